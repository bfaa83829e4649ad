//! Token ids: unique in the process, drawn in blocks per thread, not ordered.
//!
//! Called once for each token by `cell::create`. No id is given twice; ids that a thread drew and
//! did not use are skipped.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

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

    /// Draws the next id of this thread's block.
    #[inline]
    pub(crate) fn next() -> Self {
        thread_local! {
            // No destructor, so that ids can be drawn while the thread ends.
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }
        NEXT.with(|next| {
            let mut id = next.get();
            if id % BLOCK == 0 {
                id = draw();
            }
            next.set(id + 1);
            Self(id)
        })
    }
}

/// Takes a block. Relaxed: only uniqueness is asked for, which a read-modify-write gives.
#[cold]
fn draw() -> u64 {
    static BLOCKS: AtomicU64 = AtomicU64::new(0);
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
