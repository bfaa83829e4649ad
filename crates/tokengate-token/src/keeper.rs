//! Finds the scheduler that a bound token belongs to, by the number in its place.
//!
//! Asked by whoever ends a token that has not started, on any thread: a token that nobody runs any
//! more has exited then and there, and what it held is given back at once. Keeps: a scheduler that
//! was found is the token's own, if the token is ended by the one who looked. The table is looked at
//! for moments and calls nobody.

use std::fmt;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use crate::{Bond, Place};

/// A scheduler that tokens are [bound](Bond) to, as those see it who end them from outside.
///
/// All methods are called from any thread, and must not panic or block.
pub trait Keeper: Send + Sync + 'static {
    /// Somebody is about to end a bound token of it that has not started; [`left`](Self::left)
    /// follows, whether the token was ended or not. Until then the tokens that wait for what it holds
    /// may be in no queue.
    fn entered(&self) {}

    /// A token that had not started has exited: its body and arguments are gone. Gives back what it
    /// was bound to.
    fn exited(&self, bond: Bond);

    /// Follows [`entered`](Self::entered).
    fn left(&self) {}

    /// Whether the turn of a token with this bond has come in its lane.
    fn has_turn(&self, bond: Bond) -> bool {
        let _ = bond;
        true
    }
}

/// What a number stands for.
enum Entry {
    Free,
    /// By a scheduler that is not ready yet, and has no tokens.
    Taken,
    Kept(Weak<dyn Keeper>),
}

/// By number.
static KEEPERS: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// The number of a scheduler, to be kept in the [`Place`] of its tokens; no other that lives has it.
///
/// Dropped with the scheduler, when all its tokens have resolved.
#[derive(Debug)]
pub struct GateNumber(u16);

impl GateNumber {
    /// Takes the lowest free number; none if all are taken.
    pub fn take() -> Option<Self> {
        let mut keepers = write();
        let free = keepers
            .iter()
            .position(|entry| matches!(entry, Entry::Free));
        let index = free.unwrap_or(keepers.len());
        let number = u16::try_from(index).ok()?;
        if number > Place::MAX_GATE {
            return None;
        }
        if free.is_none() {
            keepers.push(Entry::Free);
        }
        keepers[index] = Entry::Taken;
        Some(Self(number))
    }

    /// Has this scheduler hear of exits; before it binds any token.
    pub fn keep(&self, keeper: Weak<dyn Keeper>) {
        self.replace(Entry::Kept(keeper));
    }

    /// The number.
    pub fn get(&self) -> u16 {
        self.0
    }

    fn replace(&self, entry: Entry) {
        let before = mem::replace(&mut write()[usize::from(self.0)], entry);
        // Outside of the lock: it may be what is left of the scheduler's memory.
        drop(before);
    }
}

impl Drop for GateNumber {
    fn drop(&mut self) {
        self.replace(Entry::Free);
    }
}

/// A look at a scheduler, from before a claim until the exit is seen to.
pub(crate) struct Visit(Arc<dyn Keeper>);

impl Visit {
    /// Finds the scheduler with this number, if it lives.
    pub(crate) fn to(number: u16) -> Option<Self> {
        let keeper = find(number)?;
        keeper.entered();
        Some(Self(keeper))
    }

    pub(crate) fn exited(&self, bond: Bond) {
        if !bond.is_none() {
            self.0.exited(bond);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.left();
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").finish_non_exhaustive()
    }
}

/// The scheduler with this number, if it lives.
pub(crate) fn find(number: u16) -> Option<Arc<dyn Keeper>> {
    match read().get(usize::from(number))? {
        Entry::Kept(keeper) => keeper.upgrade(),
        Entry::Free | Entry::Taken => None,
    }
}

// Nothing that can panic runs under this lock. Not the model checker's: it is part of no protocol.
fn read() -> RwLockReadGuard<'static, Vec<Entry>> {
    KEEPERS.read().unwrap_or_else(PoisonError::into_inner)
}

fn write() -> RwLockWriteGuard<'static, Vec<Entry>> {
    KEEPERS.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Keeper for Nobody {
        fn exited(&self, _: Bond) {}
    }

    #[test]
    fn living_schedulers_have_different_numbers() {
        let taken: Vec<_> = (0..10).filter_map(|_| GateNumber::take()).collect();
        let mut numbers: Vec<u16> = taken.iter().map(GateNumber::get).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 10);
    }

    #[test]
    fn a_scheduler_is_found_as_long_as_it_lives() {
        let keeper: Arc<dyn Keeper> = Arc::new(Nobody);
        let number = GateNumber::take().unwrap();
        assert!(Visit::to(number.get()).is_none());
        number.keep(Arc::downgrade(&keeper));
        assert!(Visit::to(number.get()).is_some());
        drop(keeper);
        assert!(Visit::to(number.get()).is_none());
    }
}
