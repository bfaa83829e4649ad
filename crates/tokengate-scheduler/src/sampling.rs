//! Which calls are timed: one in so many on average, drawn by the calling thread.
//!
//! Called for each call. Keeps: the mean is the stride, from the first call of a thread on and for
//! each gate that the thread calls, in step with no rotation; with a stride of 1 every call is
//! timed. It reads no clock.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// The mean distance of two samples, in parts. A call with a stride of `n` is `1 / n` of it, so
/// that a thread which calls several gates samples each at its own rate.
const WHOLE: u64 = 1 << 31;

/// A thread's way to the next sample.
pub(crate) struct Sampling {
    /// How many parts are left; at least 1.
    until: Cell<u64>,
    random: Cell<u32>,
}

/// How far one call of a gate that times one in `stride` goes; a stride of 0 times none.
pub(crate) fn step(stride: u32) -> u64 {
    match stride {
        0 => 0,
        stride => (WHOLE / u64::from(stride)).max(1),
    }
}

impl Sampling {
    /// Threads start at places of their own.
    pub(crate) fn new() -> Self {
        static SEED: AtomicU32 = AtomicU32::new(1);
        // Relaxed: any distinct numbers will do. Odd, so that all are; the golden ratio of 2^32, so
        // that threads started one after the other are far apart.
        Self::seeded(SEED.fetch_add(0x9E37_79B9, Relaxed))
    }

    fn seeded(seed: u32) -> Self {
        let sampling = Self {
            until: Cell::new(1),
            random: Cell::new(seed),
        };
        // Like looking in at any moment: a long distance is more likely to be met, and its rest is
        // anything up to all of it. For distances that are equally likely that is the smaller of
        // two draws. A thread with one call is timed no more often than others.
        let rest = sampling.below(2 * WHOLE).min(sampling.below(2 * WHOLE));
        sampling.until.set(rest + 1);
        sampling
    }

    /// Whether a call that goes so far is one to time.
    #[inline]
    pub(crate) fn is_next(&self, step: u64) -> bool {
        if step == WHOLE {
            return true;
        }
        let until = self.until.get();
        if until > step {
            self.until.set(until - step);
            return false;
        }
        // What this call went too far is taken off the next distance.
        self.until.set(until + self.further(step));
        true
    }

    /// The next distance less this step: equally likely from nothing to as much beyond the mean.
    ///
    /// A fixed distance would be in step with the rotation: only some cores would be sampled.
    #[cold]
    fn further(&self, step: u64) -> u64 {
        self.below(2 * (WHOLE - step) + 1)
    }

    /// A number from 0 to `bound` - 1, each equally likely; `bound` is at most 2^32.
    fn below(&self, bound: u64) -> u64 {
        // A linear congruential generator modulo 2^32; the constants are from Numerical Recipes.
        let random = self.random.get();
        let random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.random.set(random);
        // The high bits are the good ones.
        (u64::from(random) * bound) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About: within a twentieth.
    fn assert_about(found: usize, expected: usize) {
        let margin = expected / 20;
        assert!(
            found.abs_diff(expected) <= margin,
            "{found} is not about {expected}"
        );
    }

    fn sampled(sampling: &Sampling, calls: usize, step: u64) -> usize {
        (0..calls).filter(|_| sampling.is_next(step)).count()
    }

    #[test]
    fn the_mean_distance_is_the_stride() {
        for stride in [2, 3, 10, 64, 1_000] {
            let sampling = Sampling::seeded(7);
            let calls = stride as usize * 5_000;
            assert_about(sampled(&sampling, calls, step(stride)), 5_000);
        }
    }

    #[test]
    fn every_call_or_none_is_exact_whatever_was_called_before() {
        let sampling = Sampling::seeded(7);
        for _ in 0..1_000 {
            sampled(&sampling, 3, step(64));
            assert_eq!(sampled(&sampling, 3, step(1)), 3);
            assert_eq!(sampled(&sampling, 3, step(0)), 0);
        }
        assert_eq!(sampled(&sampling, 1_000_000, step(0)), 0);
    }

    #[test]
    fn no_core_is_favoured() {
        for cores in 1..=9 {
            let sampling = Sampling::seeded(7);
            let mut of_core = vec![0; cores];
            for call in 0..64 * 5_000 * cores {
                of_core[call % cores] += usize::from(sampling.is_next(step(64)));
            }
            of_core
                .into_iter()
                .for_each(|found| assert_about(found, 5_000));
        }
    }

    #[test]
    fn threads_with_few_calls_are_sampled_no_more_often() {
        for calls in [1, 2, 10] {
            let seeds = (0..64 * 5_000u32).map(|thread| thread.wrapping_mul(0x9E37_79B9) | 1);
            let found = seeds.map(|seed| sampled(&Sampling::seeded(seed), calls, step(64)));
            assert_about(found.sum(), 5_000 * calls);
        }
    }

    #[test]
    fn gates_called_in_turn_are_sampled_each_at_its_own_rate() {
        let sampling = Sampling::seeded(7);
        let (mut seldom, mut often) = (0, 0);
        for _ in 0..5_000_000 {
            seldom += usize::from(sampling.is_next(step(1_000)));
            often += usize::from(sampling.is_next(step(10)));
            assert!(sampling.is_next(step(1)));
        }
        assert_about(seldom, 5_000);
        assert_about(often, 500_000);
    }
}
