//! Work on the state of a key: what a keyed job is, who can run it, and the words that states are made of.
//!
//! The keyed scenarios make the jobs, the contenders that know keys run them, and [`Locked`] lets every
//! other contender take part: it takes a mutex for each key. States are plain memory to whoever has a key to
//! itself. No contender is trusted with that: two jobs of one key at a time lose updates, and the scenarios
//! look for them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::contender::{Contender, Job, Outcome};

/// A job that must have the state of its key to itself.
pub(crate) trait KeyedJob: Job {
    /// The key; keys are numbered from 0 without gaps.
    fn key(&self) -> usize;

    /// The mutex of the key, for executors that do not know keys.
    fn lock(&self) -> &'static Mutex<()>;
}

/// A contender for the keyed scenarios: it never runs two jobs of one key at a time.
pub(crate) trait KeyedContender {
    /// Submits each job on its own, then hands each outcome to `take`; see [`Contender::run`].
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    );
}

/// Whether jobs of one key run in the order of their submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The harness holds the contender to it.
    Kept,
    /// A mutex goes to whoever comes first.
    Free,
}

/// An executor that does not know keys, with a mutex for each key.
pub(crate) struct Locked<C>(pub(crate) C);

impl<C: Contender> KeyedContender for Locked<C> {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        self.0.run(jobs.map(Alone), take);
    }
}

/// A job that takes the mutex of its key.
struct Alone<J>(J);

impl<J: KeyedJob> Job for Alone<J> {
    type Output = J::Output;

    fn run(self) -> J::Output {
        // The state is not in the mutex: a job that has panicked fails the run anyway.
        let _held = self.0.lock().lock().unwrap_or_else(PoisonError::into_inner);
        self.0.run()
    }
}

/// The state of a key, and the mutex for those who need one.
#[derive(Debug, Default)]
pub(crate) struct Slot<S> {
    pub(crate) state: S,
    pub(crate) lock: Mutex<()>,
}

/// States for all keys, in memory until the process ends, so that a job can refer to its own without
/// counting references. All contenders of a series share them, one after the other.
pub(crate) fn slots<S>(keys: usize, state: impl FnMut(usize) -> S) -> &'static [Slot<S>] {
    let slot = |state| Slot {
        state,
        lock: Mutex::new(()),
    };
    let slots: Vec<_> = (0..keys).map(state).map(slot).collect();
    Box::leak(slots.into_boxed_slice())
}

/// A word of a state: read and written as ordinary memory is.
///
/// All accesses are `Relaxed`: jobs of one key happen one after the other, which is what the contender
/// sees to, and the harness reads a state when it has the results of all jobs. A contender that fails in
/// this loses updates, but there is no undefined behaviour.
#[derive(Debug, Default)]
pub(crate) struct Word(AtomicU64);

impl Word {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// No atomic step, on purpose: whoever has the key to itself needs none.
    #[inline]
    pub(crate) fn add(&self, value: u64) {
        self.set(self.get().wrapping_add(value));
    }
}

/// Sees whether the jobs of a key come in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: Word,
    steps_back: Word,
}

impl Sequence {
    /// A job with this number, above 0, runs now.
    #[inline]
    pub(crate) fn see(&self, number: u64) {
        self.steps_back.add(u64::from(number < self.last.get()));
        self.last.set(number);
    }

    /// How often a job ran after one with a higher number.
    pub(crate) fn steps_back(&self) -> u64 {
        self.steps_back.get()
    }

    /// Begins again.
    pub(crate) fn reset(&self) {
        self.last.set(0);
        self.steps_back.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_late_is_a_step_back() {
        let sequence = Sequence::default();
        for number in [1, 2, 5, 4, 6, 3] {
            sequence.see(number);
        }
        assert_eq!(sequence.steps_back(), 2);
        sequence.reset();
        sequence.see(1);
        assert_eq!(sequence.steps_back(), 0);
    }
}
