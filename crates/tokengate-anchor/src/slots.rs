//! Numbered slots that stay where they are and are used again.
//!
//! Entries and chains live in them, so that a token names its own by a number and no counter of
//! references is touched. Keeps: a number that was given out is not given out again before it was
//! given back. Slots are never freed one by one: as many stay as were ever in use at one time.
//!
//! Free numbers are kept in several pools, so that threads which take and threads which give back
//! seldom meet: a thread uses one pool, and takes half of another when that is empty.

use std::fmt;
use std::num::NonZeroU32;

use crossbeam_utils::CachePadded;

use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{Mutex, lock, thread_number};

/// The number of a slot.
pub(crate) type Number = NonZeroU32;

/// The largest number: two bits of a word are left to users who keep a number there.
const MOST: u32 = u32::MAX >> 2;

/// How many pools there are: enough for the threads that a machine runs at a time.
const POOLS: usize = if cfg!(tokengate_loom) { 2 } else { 16 };

/// Free numbers, for the threads that use this pool.
#[derive(Default)]
struct Pool {
    numbers: Mutex<Vec<Number>>,
    /// How many, for those without the lock.
    len: AtomicUsize,
}

pub(crate) struct Slots<T> {
    all: boxcar::Vec<T>,
    free: [CachePadded<Pool>; POOLS],
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            all: boxcar::Vec::new(),
            free: Default::default(),
        }
    }

    /// A slot that nobody uses: one that was given back, or a new one.
    #[inline]
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Number {
        let own = &self.free[own_pool()];
        let free = own.pop().or_else(|| self.pop_from_others(own));
        free.unwrap_or_else(|| {
            let index = self.all.push(make());
            let number = u32::try_from(index + 1)
                .ok()
                .filter(|&number| number <= MOST);
            let number = number.and_then(Number::new);
            number.expect("memory ends before a billion slots do")
        })
    }

    /// Gives a slot back.
    #[inline]
    pub(crate) fn give(&self, number: Number) {
        self.free[own_pool()].push(number);
    }

    /// Takes half of another pool over, and one of these.
    #[cold]
    fn pop_from_others(&self, own: &Pool) -> Option<Number> {
        let others = self.free.iter().filter(|pool| !pool.is_empty());
        let mut half = others
            .map(|pool| pool.halve())
            .find(|half| !half.is_empty())?;
        let one = half.pop();
        own.extend(half);
        one
    }

    /// The content of a slot that was taken.
    ///
    /// # Panics
    ///
    /// If no such slot was ever taken.
    #[inline]
    pub(crate) fn get(&self, number: Number) -> &T {
        &self.all[number.get() as usize - 1]
    }

    /// All slots that were ever taken, in use or not.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Number, &T)> {
        self.all.iter().filter_map(|(index, slot)| {
            let number = u32::try_from(index + 1).ok().and_then(Number::new)?;
            Some((number, slot))
        })
    }
}

impl Pool {
    fn is_empty(&self) -> bool {
        // Relaxed: a hint, here and in `pop`. Who misses one makes a new slot.
        self.len.load(Relaxed) == 0
    }

    #[inline]
    fn pop(&self) -> Option<Number> {
        if self.is_empty() {
            return None;
        }
        self.change(Vec::pop)
    }

    #[inline]
    fn push(&self, number: Number) {
        self.change(|numbers| numbers.push(number));
    }

    fn extend(&self, more: Vec<Number>) {
        self.change(|numbers| numbers.extend(more));
    }

    /// The newer half, rounded up.
    fn halve(&self) -> Vec<Number> {
        self.change(|numbers| numbers.split_off(numbers.len() / 2))
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Number>) -> R) -> R {
        // Nothing that can panic runs under this lock, short of memory.
        let mut numbers = lock(&self.numbers);
        let result = change(&mut numbers);
        self.len.store(numbers.len(), Relaxed);
        result
    }
}

/// The pool of this thread.
#[inline]
fn own_pool() -> usize {
    thread_number() % POOLS
}

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("taken", &self.all.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_only_after_it_was_given_back() {
        let slots = Slots::new();
        let (first, second) = (slots.take(|| 1), slots.take(|| 2));
        assert_ne!(first, second);
        assert_eq!((*slots.get(first), *slots.get(second)), (1, 2));
        slots.give(first);
        assert_eq!(slots.take(|| 3), first);
        slots.give(second);
        let other = std::thread::scope(|scope| scope.spawn(|| slots.take(|| 4)).join().unwrap());
        assert_eq!(other, second, "it is taken over from another thread's pool");
        assert_eq!(*slots.get(first), 1, "it keeps its content");
        assert_eq!(slots.iter().count(), 2);
    }
}
