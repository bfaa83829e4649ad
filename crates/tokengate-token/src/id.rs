//! Token ids: unique in the process, drawn in blocks per thread, not ordered.
//!
//! Called once for each token by `cell::create`. No id is given twice; ids that a thread drew and
//! did not use are skipped.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

/// How many ids a thread draws at a time: one shared atomic step for each such block.
const BLOCK: u64 = 1 << 12;

/// The name of one token, unique in the process; ids are not ordered by time.
///
/// Its `Display` form is the decimal number.
///
/// ```
/// use tokengate_token::{create, Operation, Plain};
/// static OP: Operation = Operation::new("example");
/// let (first, _) = create(&OP, Plain::new(|| ()));
/// let (second, _) = create(&OP, Plain::new(|| ()));
/// assert_ne!(first.id(), second.id());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(u64);

impl TokenId {
    /// The id as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// An id which is greater than that of each token created before, and not greater than that of
    /// any created after this: to tell them apart.
    ///
    /// Costs each thread the rest of its block, and a shared step at its next token.
    pub fn divide() -> Self {
        // AcqRel: who sees the floor draws a block after this one.
        let block = BLOCKS.fetch_add(1, AcqRel) + 1;
        let floor = block * BLOCK;
        FLOOR.fetch_max(floor, AcqRel);
        Self(floor)
    }

    /// Draws the next id of this thread's block.
    #[inline]
    pub(crate) fn next() -> Self {
        thread_local! {
            // No destructor, so that ids can be drawn while the thread ends.
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        NEXT.with(|next| {
            let mut id = next.get();
            // Relaxed: a creation that happens after a division sees its floor.
            if id % BLOCK == 0 || id < FLOOR.load(Relaxed) {
                id = draw();
            }
            next.set(id + 1);
            Self(id)
        })
    }
}

/// How many blocks were drawn.
static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// No id below it is given any more.
static FLOOR: AtomicU64 = AtomicU64::new(0);

/// Takes a block. Relaxed: only uniqueness is asked for, which a read-modify-write gives; and that
/// the block is above the floor that was seen, which was set after the blocks below it were taken.
#[cold]
fn draw() -> u64 {
    let block = BLOCKS.fetch_add(1, Relaxed);
    // The first id of a block is left out: a number that the block's size divides means "draw".
    block * BLOCK + 1
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_across_threads_and_blocks() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..3 * BLOCK).map(|_| TokenId::next()).collect()))
            .collect();
        let mut seen = HashSet::new();
        for thread in threads {
            let ids: Vec<TokenId> = thread.join().unwrap();
            assert!(ids.into_iter().all(|id| seen.insert(id)));
        }
    }
}
