//! How many tokens of each operation a gate has made, and how they ended.
//!
//! Written through `calling.rs` and `working.rs`, each thread in cells of its own; a token that is
//! ended anywhere else is entered under a lock. Keeps: each token is counted once when it is made,
//! before anybody else sees it, and once when it has exited. See
//! `docs/decisions/0012-counted-on-both-sides.md`.

use std::collections::HashMap;
use std::ptr;
use std::sync::Mutex;

use tokengate_token::{Operation, Outcome};

use crate::shared::{Shared, lock};
use crate::stats::cells::{self, Cells};

/// How many outcomes there are.
pub(crate) const OUTCOMES: usize = 6;

/// The place of an outcome in a row.
#[inline(always)]
pub(crate) fn place_of(outcome: Outcome) -> usize {
    outcome as usize - 1
}

/// Names an operation: each is one static.
#[inline(always)]
pub(crate) fn address(operation: &'static Operation) -> usize {
    ptr::from_ref(operation).addr()
}

/// How many rows a thread has at hand.
pub(crate) const NEAR: usize = 32;

/// Which of the rows at hand is that of an operation: statics that follow each other differ.
#[inline(always)]
pub(crate) fn near(operation: &'static Operation) -> usize {
    address(operation) / 64 % NEAR
}

/// The counts of one gate.
#[derive(Default)]
pub(crate) struct Ledger {
    rows: Mutex<Rows>,
    /// Endings that no worker has counted, by the address of the operation and the domain.
    elsewhere: Mutex<HashMap<(usize, Option<u16>), Elsewhere>>,
}

#[derive(Default)]
struct Rows {
    /// Tokens made, by domain; then those that are bound outside of their range.
    made: Vec<(&'static Operation, Cells)>,
    /// Those of `made` whose thread has ended: the next one goes on in them.
    left: Vec<(&'static Operation, Cells)>,
    /// Tokens ended, by outcome, on a worker of this domain.
    ended: Vec<(&'static Operation, u16, Cells)>,
}

struct Elsewhere {
    operation: &'static Operation,
    ended: [u64; OUTCOMES],
}

/// A count of an operation, as [`Ledger::read`] finds it.
pub(crate) struct Entry {
    pub(crate) operation: &'static Operation,
    /// None for tokens that were refused before they had one.
    pub(crate) domain: Option<u16>,
    pub(crate) what: Counted,
}

pub(crate) enum Counted {
    Made(u64),
    Outside(u64),
    Ended([u64; OUTCOMES]),
}

impl Ledger {
    /// A row for a thread that calls an operation of a gate with so many domains.
    pub(crate) fn row_to_call(&self, operation: &'static Operation, domains: usize) -> Cells {
        let mut rows = lock(&self.rows);
        let left = &mut rows.left;
        if let Some(place) = left.iter().position(|(of, _)| ptr::eq(*of, operation)) {
            return left.swap_remove(place).1;
        }
        let row = cells::take(domains + 1);
        rows.made.push((operation, row));
        row
    }

    /// The thread that called has ended.
    pub(crate) fn leave_row(&self, operation: &'static Operation, row: Cells) {
        lock(&self.rows).left.push((operation, row));
    }

    /// A row for a worker.
    pub(crate) fn row_to_work(&self, operation: &'static Operation, domain: u16) -> Cells {
        let row = cells::take(OUTCOMES);
        lock(&self.rows).ended.push((operation, domain, row));
        row
    }

    /// A token has ended that no worker counts.
    #[cold]
    pub(crate) fn ended_elsewhere(
        &self,
        operation: &'static Operation,
        domain: Option<u16>,
        outcome: Outcome,
    ) {
        let mut elsewhere = lock(&self.elsewhere);
        let entry = elsewhere.entry((address(operation), domain));
        let entry = entry.or_insert(Elsewhere {
            operation,
            ended: [0; OUTCOMES],
        });
        entry.ended[place_of(outcome)] += 1;
    }

    /// All counts: those of ends first, so that none is seen without its beginning.
    pub(crate) fn read(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let ended = lock(&self.rows).ended.clone();
        for (operation, domain, row) in ended {
            let mut outcomes = [0; OUTCOMES];
            let counts = row.iter().map(cells::read);
            outcomes.iter_mut().zip(counts).for_each(|(to, n)| *to = n);
            entries.push(Entry {
                operation,
                domain: Some(domain),
                what: Counted::Ended(outcomes),
            });
        }
        for (&(_, domain), elsewhere) in &*lock(&self.elsewhere) {
            entries.push(Entry {
                operation: elsewhere.operation,
                domain,
                what: Counted::Ended(elsewhere.ended),
            });
        }
        let made = lock(&self.rows).made.clone();
        for (operation, row) in made {
            let Some((outside, domains)) = row.split_last() else {
                continue;
            };
            entries.push(Entry {
                operation,
                domain: None,
                what: Counted::Outside(cells::read(outside)),
            });
            entries.extend(domains.iter().zip(0..).map(|(made, domain)| Entry {
                operation,
                domain: Some(domain),
                what: Counted::Made(cells::read(made)),
            }));
        }
        entries
    }
}

impl Shared {
    /// A call is refused, and its token rejected before it was counted as made.
    #[cold]
    pub(crate) fn refused(&self, operation: &'static Operation) {
        let ledger = &self.anchors.ledger;
        ledger.ended_elsewhere(operation, None, Outcome::Rejected);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let rows = std::mem::take(&mut *lock(&self.rows));
        let made = rows.made.into_iter().map(|(_, row)| row);
        cells::give(made.chain(rows.ended.into_iter().map(|(_, _, row)| row)));
    }
}
