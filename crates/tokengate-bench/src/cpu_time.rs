//! Tells who took CPU time away during a measurement: the hypervisor, or other processes.
//!
//! The recorder asks about stolen time for each repetition, the bench about other processes for each
//! scenario, `latency` about the CPU time of this process. It reads Linux's `/proc/stat`; elsewhere nothing is known and nothing counts as taken.

use std::time::{Duration, Instant};

/// The kernel counts in ticks of a hundredth of a second, whatever its own clock.
const TICKS_PER_S: f64 = 100.0;

/// CPU time of the whole machine since it started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    total: u64,
    idle: u64,
    stolen: u64,
}

impl CpuTime {
    /// Reads the counters.
    pub(crate) fn now() -> Self {
        std::fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    /// The share of the CPU time since `earlier` that was stolen, 0 to 1.
    pub(crate) fn stolen_since(self, earlier: Self) -> f64 {
        let total = self.total.saturating_sub(earlier.total);
        let stolen = self.stolen.saturating_sub(earlier.stolen);
        if total == 0 {
            0.0
        } else {
            stolen as f64 / total as f64
        }
    }

    /// Seconds of CPU time since `earlier` in which something ran here.
    fn busy_s_since(self, earlier: Self) -> f64 {
        let busy = |time: Self| time.total - time.idle - time.stolen;
        busy(self).saturating_sub(busy(earlier)) as f64 / TICKS_PER_S
    }

    #[cfg(test)]
    pub(crate) fn of(total: u64, stolen: u64) -> Self {
        Self {
            total,
            stolen,
            idle: 0,
        }
    }

    /// Takes the first line: user, nice, system, idle, iowait, irq, softirq, steal; guest time is
    /// in user already.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .take(8)
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        Some(Self {
            total: ticks.iter().sum(),
            idle: ticks.get(3)? + ticks.get(4)?,
            stolen: *ticks.get(7)?,
        })
    }
}

/// Watches how much CPU time goes to other processes.
pub(crate) struct Neighbours {
    began: Instant,
    machine: CpuTime,
    own: Duration,
}

impl Neighbours {
    /// Begins to watch.
    pub(crate) fn watch() -> Self {
        Self {
            began: Instant::now(),
            machine: CpuTime::now(),
            own: process_cpu_time().unwrap_or_default(),
        }
    }

    /// How many CPUs other processes kept busy since then, on average.
    pub(crate) fn cpus(&self) -> f64 {
        let own = process_cpu_time().unwrap_or_default();
        let own_s = own.saturating_sub(self.own).as_secs_f64();
        let others_s = CpuTime::now().busy_s_since(self.machine) - own_s;
        (others_s / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// CPU time of all threads of this process.
#[cfg(unix)]
pub(crate) fn process_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Not known here.
#[cfg(not(unix))]
pub(crate) fn process_cpu_time() -> Option<Duration> {
    None
}

/// CPU time of all threads of this process since `earlier`, a reading of [`process_cpu_time`].
pub(crate) fn process_cpu_time_since(earlier: Option<Duration>) -> Option<Duration> {
    Some(process_cpu_time()?.saturating_sub(earlier?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_steal_and_busy_time_from_the_line_of_all_cpus() {
        let before = CpuTime::parse("cpu  10 0 10 80 0 0 0 0 5 0\ncpu0 1 2\n").unwrap();
        let after = CpuTime::parse("cpu  60 0 20 100 10 0 0 10 9 0\n").unwrap();
        assert_eq!(before.total, 100);
        assert_eq!(after.stolen_since(before), 0.1);
        assert_eq!(after.busy_s_since(before), 0.6);
    }

    #[test]
    fn unknown_text_counts_as_nothing_taken() {
        assert_eq!(CpuTime::parse("intr 5"), None);
        assert_eq!(CpuTime::default().stolen_since(CpuTime::default()), 0.0);
        assert_eq!(CpuTime::default().busy_s_since(CpuTime::default()), 0.0);
    }
}
