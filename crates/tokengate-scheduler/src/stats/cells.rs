//! Counters that one thread writes and anybody reads, in memory that is used again and never freed.
//!
//! Taken by the ledger of a gate for each thread and operation, given back when the gate is gone. A
//! thread keeps a plain reference to the cells that it counts in, so that counting is one look and
//! one step. Keeps: nobody writes cells that were given back, as whoever counts for a gate holds it.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::shared::lock;

/// A row of counters.
pub(crate) type Cells = &'static [AtomicU64];

/// Rows that no gate uses: as many as were ever in use at one time, in the process.
static FREE: Mutex<Vec<Cells>> = Mutex::new(Vec::new());

/// A row of so many counters at zero.
pub(crate) fn take(len: usize) -> Cells {
    let mut free = lock(&FREE);
    let fitting = free.iter().position(|cells| cells.len() == len);
    if let Some(place) = fitting {
        return free.swap_remove(place);
    }
    drop(free);
    Box::leak((0..len).map(|_| AtomicU64::new(0)).collect())
}

/// Gives a row back that nobody writes any more.
pub(crate) fn give(rows: impl Iterator<Item = Cells>) {
    let mut free = lock(&FREE);
    for cells in rows {
        // Relaxed: the lock orders it before the next owner.
        cells.iter().for_each(|cell| cell.store(0, Relaxed));
        free.push(cells);
    }
}

/// Adds one, on the only thread that writes this counter: no read-modify-write is needed.
#[inline(always)]
pub(crate) fn add_one(cell: &AtomicU64) {
    // Release: pairs with `read`. Who sees that a token has ended sees that it was created.
    cell.store(cell.load(Relaxed) + 1, Release);
}

/// The value of a counter.
pub(crate) fn read(cell: &AtomicU64) -> u64 {
    cell.load(Acquire)
}
