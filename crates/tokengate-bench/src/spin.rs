//! Bodies of a given length: arithmetic that takes so many microseconds of CPU time.
//!
//! Scenarios put it into their bodies. It is a number of steps, measured once on this machine; a body that
//! is put off the CPU has as much left to do when it comes back, as real work has. It touches no memory.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::random::mix;

/// Steps of one trial.
const TRIAL: u32 = 4096;

/// So many steps of arithmetic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spin(u32);

impl Spin {
    /// No work at all.
    pub(crate) const NONE: Self = Self(0);

    /// As many steps as take this long, by the shortest of many trials.
    pub(crate) fn taking(time: Duration) -> Self {
        static TRIAL_TIME: OnceLock<Duration> = OnceLock::new();
        let trial_time = *TRIAL_TIME.get_or_init(|| {
            let trial = |_| {
                let started = Instant::now();
                Self(TRIAL).run();
                started.elapsed()
            };
            let shortest = (0..200).map(trial).min();
            shortest.map_or(Duration::from_nanos(1), |time| {
                time.max(Duration::from_nanos(1))
            })
        });
        let trials = time.as_secs_f64() / trial_time.as_secs_f64();
        Self((f64::from(TRIAL) * trials).round() as u32)
    }

    /// Takes the steps.
    #[inline]
    pub(crate) fn run(self) {
        let mut number = 0;
        for step in 0..self.0 {
            number = mix(number ^ u64::from(step));
        }
        black_box(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_time_takes_twice_the_steps() {
        let steps = |us| Spin::taking(Duration::from_micros(us)).0;
        assert!(steps(5) > 0);
        assert!(steps(10).abs_diff(2 * steps(5)) <= 1);
        assert_eq!(steps(0), 0);
    }
}
