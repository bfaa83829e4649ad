//! Numbered slots that stay where they are and are used again.
//!
//! Entries and chains live in them, so that a token names its own by a number and no counter of
//! references is touched. Keeps: a number that was given out is not given out again before it was
//! given back. Slots are never freed one by one: as many stay as were ever in use at one time.
//!
//! Slots are made in blocks, and the list of blocks only points to them. In the list itself, a slot would
//! take another cache line for the flag that the list has for each element; and as the list grows by
//! doubling, somebody would have to zero as much memory as it has already.
//!
//! Free numbers are kept in several pools, so that threads which take and threads which give back
//! seldom meet: a thread uses one pool, and takes half of another when that is empty.

use std::array;
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

/// How many slots are made at a time: few enough that a scheduler of few keys takes little memory.
///
/// In the model one, so that a thread soon needs what another one gave back. The others of a block are
/// in a pool as those are: made before, under the same lock.
const BLOCK: usize = if cfg!(tokengate_loom) { 1 } else { 16 };

/// Slots with numbers that follow each other. None shares a cache line with another.
type Block<T> = Box<[CachePadded<T>; BLOCK]>;

/// Free numbers, for the threads that use this pool.
#[derive(Default)]
struct Pool {
    numbers: Mutex<Vec<Number>>,
    /// How many, for those without the lock.
    len: AtomicUsize,
}

pub(crate) struct Slots<T> {
    blocks: boxcar::Vec<Block<T>>,
    free: [CachePadded<Pool>; POOLS],
}

impl<T: Default> Slots<T> {
    pub(crate) fn new() -> Self {
        Self {
            blocks: boxcar::Vec::new(),
            free: Default::default(),
        }
    }

    /// A slot that nobody uses: one that was given back, or a new one.
    #[inline]
    pub(crate) fn take(&self) -> Number {
        let own = &self.free[own_pool()];
        let free = own.pop().or_else(|| self.pop_from_others(own));
        free.unwrap_or_else(|| self.add_block(own))
    }

    /// Makes a block; keeps one slot of it, and puts the others into the pool.
    #[cold]
    fn add_block(&self, own: &Pool) -> Number {
        let block = Box::new(array::from_fn(|_| CachePadded::default()));
        let last = u32::try_from((self.blocks.push(block) + 1) * BLOCK).ok();
        let last = last.filter(|&last| last <= MOST);
        let last = last.expect("memory ends before a billion slots do");
        // Downwards, as the pool is used from its end.
        let numbers = (last - BLOCK as u32 + 1..=last).rev();
        let mut numbers: Vec<_> = numbers.filter_map(Number::new).collect();
        let first = numbers.pop().expect("a block has slots");
        own.extend(numbers);
        first
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
        let index = number.get() as usize - 1;
        let block = index / BLOCK;
        &self.blocks[block][index - block * BLOCK]
    }

    /// All slots there are: in use, free, or never taken.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.iter().map(|(_, block)| block);
        blocks.flat_map(|block| block.iter().map(|slot| &**slot))
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
            .field("made", &(self.blocks.count() * BLOCK))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_slot_is_used_again_only_after_it_was_given_back() {
        let slots = Slots::<AtomicUsize>::new();
        let (first, second) = (slots.take(), slots.take());
        assert_ne!(first, second);
        slots.get(first).store(1, Relaxed);
        slots.get(second).store(2, Relaxed);
        slots.give(first);
        assert_eq!(slots.take(), first);
        assert_eq!(slots.get(first).load(Relaxed), 1, "it keeps its content");
        assert_eq!(slots.get(second).load(Relaxed), 2);
    }

    #[test]
    fn a_thread_without_free_slots_takes_over_those_of_another() {
        let slots = Slots::<AtomicUsize>::new();
        // The others of its block are left over.
        let mut taken = vec![slots.take()];
        std::thread::scope(|scope| {
            let take = || (1..BLOCK).map(|_| slots.take()).collect::<Vec<_>>();
            taken.extend(scope.spawn(take).join().unwrap());
        });
        taken.sort_unstable();
        assert!(taken.iter().map(|number| number.get()).eq(1..=BLOCK as u32));
        assert_eq!(slots.iter().count(), BLOCK, "no other block was made");
        assert_eq!(slots.take().get(), BLOCK as u32 + 1);
    }

    #[test]
    fn a_slot_takes_as_much_memory_as_its_cache_lines() {
        const MANY: usize = 100 * BLOCK;
        let slots = Slots::<AtomicUsize>::new();
        let taken: Vec<_> = (0..MANY).map(|_| slots.take()).collect();
        assert_eq!(slots.iter().count(), MANY, "all that are made are used");
        let line = size_of::<CachePadded<AtomicUsize>>();
        for block in taken.chunks(BLOCK) {
            let address = |&number| ptr::from_ref(slots.get(number)).addr();
            let first = address(&block[0]);
            assert_eq!(first % line, 0, "it begins with a line");
            let addresses = (0..BLOCK).map(|at| first + at * line);
            assert!(block.iter().map(address).eq(addresses), "and has no gap");
        }
    }
}
