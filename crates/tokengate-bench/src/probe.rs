//! Takes the times inside and before each body, for executors that do not measure themselves.
//!
//! The `waves` scenario wraps its jobs in the pass that takes figures, never in the one that takes
//! ratios: two clock reads and two thread CPU clock reads a token cost about 0.5 µs. The result counts
//! as there when the body has returned; the hand-over to the caller is not in the latency, and what the
//! CPU clock itself takes is not in the CPU time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tokengate::Weight;

use crate::contender::{Job, OwnFigures};
use crate::spread::quantile;

/// A job that reports its times beside its result.
pub(crate) struct Probed<J> {
    job: J,
    submitted: Instant,
}

/// The times of one body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    latency: Duration,
    wall: Duration,
    /// `None` where the system does not tell.
    cpu: Option<Duration>,
}

impl<J> Probed<J> {
    /// Wraps a job; this moment is its submission.
    pub(crate) fn now(job: J) -> Self {
        Self {
            job,
            submitted: Instant::now(),
        }
    }
}

impl<J: Job> Job for Probed<J> {
    type Output = (J::Output, Times);

    fn weight(&self) -> Weight {
        self.job.weight()
    }

    fn run(self) -> Self::Output {
        // The wall clock is read inside the CPU clock: reading that one is slow and would show as wall
        // time in the body.
        let cpu_started = thread_cpu_time();
        let started = Instant::now();
        let output = self.job.run();
        let ended = Instant::now();
        let times = Times {
            latency: ended - self.submitted,
            wall: ended - started,
            cpu: cpu_since(cpu_started).map(|cpu| cpu.saturating_sub(cost_of_cpu_clock())),
        };
        (output, times)
    }
}

/// Figures of many tokens over the time that they took; `None` without tokens.
pub(crate) fn figures(times: &[Times], elapsed: Duration) -> Option<OwnFigures> {
    let mut latencies: Vec<u64> = times.iter().map(|t| t.latency.as_nanos() as u64).collect();
    latencies.sort_unstable();
    let share = |part: Duration| part.as_secs_f64() / elapsed.as_secs_f64();
    Some(OwnFigures {
        occupancy: share(times.iter().map(|t| t.wall).sum()),
        cpu_parallelism: times.iter().map(|t| t.cpu).sum::<Option<_>>().map(share),
        latency_p50_ns: quantile(&latencies, 0.5)? as f64,
        latency_p99_ns: quantile(&latencies, 0.99)? as f64,
    })
}

/// CPU time that two readings take by themselves: of many trials the shortest, taken once.
fn cost_of_cpu_clock() -> Duration {
    static COST: OnceLock<Duration> = OnceLock::new();
    *COST.get_or_init(|| {
        let trials = (0..1000).filter_map(|_| cpu_since(thread_cpu_time()));
        trials.min().unwrap_or(Duration::ZERO)
    })
}

fn cpu_since(earlier: Option<Duration>) -> Option<Duration> {
    let now = thread_cpu_time()?;
    Some(now.saturating_sub(earlier?))
}

/// CPU time of the calling thread.
#[cfg(unix)]
fn thread_cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Not known here.
#[cfg(not(unix))]
fn thread_cpu_time() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_divide_by_the_elapsed_time() {
        let times = Times {
            latency: Duration::from_micros(3),
            wall: Duration::from_micros(2),
            cpu: Some(Duration::from_micros(1)),
        };
        let figures = figures(&[times; 4], Duration::from_micros(4)).unwrap();
        assert_eq!(figures.occupancy, 2.0);
        assert_eq!(figures.cpu_parallelism, Some(1.0));
        assert_eq!(figures.latency_p50_ns, 3000.0);
    }

    #[test]
    fn the_wrapped_job_gives_its_own_result() {
        struct Seven;
        impl Job for Seven {
            type Output = u8;
            fn run(self) -> u8 {
                7
            }
        }
        let (output, times) = Probed::now(Seven).run();
        assert_eq!(output, 7);
        assert!(times.wall <= times.latency);
    }
}
