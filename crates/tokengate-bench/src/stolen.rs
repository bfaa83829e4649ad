//! Tells how much CPU time the hypervisor took away during a repetition.
//!
//! The recorder reads it before and after each repetition. It reads Linux's `/proc/stat`; elsewhere
//! nothing is known and nothing counts as stolen.

/// CPU time of the whole machine since it started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    total: u64,
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

    #[cfg(test)]
    pub(crate) fn of(total: u64, stolen: u64) -> Self {
        Self { total, stolen }
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
            stolen: *ticks.get(7)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_steal_from_the_line_of_all_cpus() {
        let before = CpuTime::parse("cpu  10 0 10 80 0 0 0 0 5 0\ncpu0 1 2\n").unwrap();
        let after = CpuTime::parse("cpu  60 0 20 110 0 0 0 10 9 0\n").unwrap();
        assert_eq!(before.total, 100);
        assert_eq!(after.stolen_since(before), 0.1);
    }

    #[test]
    fn unknown_text_counts_as_nothing_stolen() {
        assert_eq!(CpuTime::parse("intr 5"), None);
        assert_eq!(CpuTime::default().stolen_since(CpuTime::default()), 0.0);
    }
}
