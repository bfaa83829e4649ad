//! Numbered slots that stay where they are and are used again.
//!
//! Entries and chains live in them, so that a token names its own by a number and no counter of
//! references is touched. Keeps: a number that was given out is not given out again before it was
//! given back. Slots are never freed one by one: as many stay as were ever in use at one time.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

/// The number of a slot.
pub(crate) type Number = NonZeroU32;

pub(crate) struct Slots<T> {
    all: boxcar::Vec<T>,
    free: Mutex<Vec<Number>>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            all: boxcar::Vec::new(),
            free: Mutex::new(Vec::new()),
        }
    }

    /// A slot that nobody uses: one that was given back, or a new one.
    #[inline]
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> Number {
        let free = self.lock().pop();
        free.unwrap_or_else(|| {
            let index = self.all.push(make());
            let number = u32::try_from(index + 1).ok().and_then(Number::new);
            number.expect("memory ends before four billion slots do")
        })
    }

    /// Gives a slot back.
    #[inline]
    pub(crate) fn give(&self, number: Number) {
        self.lock().push(number);
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Number>> {
        // Nothing that can panic runs under this lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        assert_eq!(*slots.get(first), 1, "it keeps its content");
        assert_eq!(slots.iter().count(), 2);
    }
}
