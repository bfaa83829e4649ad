//! Where a worker counts the tokens that end on it, and notes the times of those that are timed.
//!
//! Called after each run of a body. Keeps the rows of some operations at hand, as `calling.rs`
//! does. Readers find the times under locks that the worker takes for timed tokens only.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use tokengate_token::{Operation, Outcome, Ran};

use crate::shared::lock;
use crate::stats::cells;
use crate::stats::ledger::{Ledger, NEAR, OUTCOMES, address, near, place_of};
use crate::stats::timed::Timed;

/// Counters by outcome.
type Row = &'static [AtomicU64; OUTCOMES];

/// No operation has this address.
const NOBODY: usize = 0;

static NOTHING: [AtomicU64; OUTCOMES] = [const { AtomicU64::new(0) }; OUTCOMES];

/// The rows of one worker.
pub(crate) struct WorkCounts {
    ledger: Arc<Ledger>,
    domain: u16,
    near: [Cell<(usize, Row)>; NEAR],
    known: RefCell<BTreeMap<usize, Row>>,
}

/// What came of a body, if that was the end of its token.
pub(crate) fn outcome_of(ran: &Ran) -> Option<Outcome> {
    match *ran {
        Ran::Completed => Some(Outcome::Value),
        Ran::Failed => Some(Outcome::Error),
        Ran::Panicked => Some(Outcome::Panicked),
        Ran::Late(outcome) | Ran::Tombstone(outcome) | Ran::Dropped(outcome) => Some(outcome),
        // Counted where it is run; or not at its end.
        _ => None,
    }
}

impl WorkCounts {
    pub(crate) fn new(ledger: &Arc<Ledger>, domain: u16) -> Self {
        Self {
            ledger: ledger.clone(),
            domain,
            near: [const { Cell::new((NOBODY, &NOTHING)) }; NEAR],
            known: RefCell::default(),
        }
    }

    /// This came of a token of this operation.
    pub(crate) fn count(&self, operation: &'static Operation, ran: &Ran) {
        if let Some(outcome) = outcome_of(ran) {
            self.ended(operation, outcome);
        }
    }

    /// A token of this operation has ended.
    #[inline]
    pub(crate) fn ended(&self, operation: &'static Operation, outcome: Outcome) {
        let (address_there, row) = self.near[near(operation)].get();
        let row = if address_there == address(operation) {
            row
        } else {
            self.look_up(operation)
        };
        cells::add_one(&row[place_of(outcome)]);
    }

    #[cold]
    fn look_up(&self, operation: &'static Operation) -> Row {
        let mut known = self.known.borrow_mut();
        let row = known.entry(address(operation)).or_insert_with(|| {
            let row = self.ledger.row_to_work(operation, self.domain);
            row.first_chunk().expect("as long as there are outcomes")
        });
        self.near[near(operation)].set((address(operation), row));
        row
    }
}

/// The times of the tokens that ended on one worker, by operation.
#[derive(Default)]
pub(crate) struct WorkTimes {
    by_operation: Mutex<BTreeMap<usize, OfOperation>>,
}

type OfOperation = (&'static Operation, Arc<Mutex<Timed>>);

impl WorkTimes {
    /// Notes something of a timed token.
    pub(crate) fn note(&self, operation: &'static Operation, note: impl FnOnce(&mut Timed)) {
        let mut all = lock(&self.by_operation);
        let (_, timed) = all
            .entry(address(operation))
            .or_insert_with(|| (operation, Arc::default()));
        let timed = timed.clone();
        drop(all);
        note(&mut lock(&timed));
    }

    /// Calls `look` with each operation's times; the worker can note others meanwhile.
    pub(crate) fn read(&self, mut look: impl FnMut(&'static Operation, &Timed)) {
        let all: Vec<OfOperation> = lock(&self.by_operation).values().cloned().collect();
        for (operation, timed) in all {
            look(operation, &lock(&timed));
        }
    }
}
