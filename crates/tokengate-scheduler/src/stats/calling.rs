//! Where a thread counts the tokens that it makes.
//!
//! Called once for each call, before publication. Keeps the rows of some operations at hand, each in
//! one place; others, and those of several gates in turn, are looked up, which costs some ten
//! nanoseconds. When the thread ends its rows go to the next one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokengate_token::Operation;

use crate::shared::Shared;
use crate::stats::cells::{self, Cells};
use crate::stats::ledger::{Ledger, NEAR, address, near};

/// The rows of one thread.
pub(crate) struct CallCounts {
    near: [Cell<Near>; NEAR],
    /// By the gate's number and the operation's address.
    known: RefCell<BTreeMap<(u64, usize), Known>>,
}

#[derive(Clone, Copy)]
struct Near {
    gate: u64,
    operation: usize,
    row: Cells,
}

struct Known {
    ledger: Weak<Ledger>,
    operation: &'static Operation,
    row: Cells,
}

impl CallCounts {
    pub(crate) fn new() -> Self {
        Self {
            near: [const {
                Cell::new(Near {
                    // No gate has this number.
                    gate: 0,
                    operation: 0,
                    row: &[],
                })
            }; NEAR],
            known: RefCell::default(),
        }
    }

    /// A token of this operation is made, for this domain of the gate.
    #[inline]
    pub(crate) fn made(&self, gate: &Shared, operation: &'static Operation, domain: u16) {
        if let Some(made) = self.row(gate, operation).get(usize::from(domain)) {
            cells::add_one(made);
        }
    }

    /// It is bound to a domain outside of its range.
    #[cold]
    pub(crate) fn outside(&self, gate: &Shared, operation: &'static Operation) {
        if let Some(outside) = self.row(gate, operation).last() {
            cells::add_one(outside);
        }
    }

    #[inline]
    fn row(&self, gate: &Shared, operation: &'static Operation) -> Cells {
        let near = self.near[near(operation)].get();
        if near.operation == address(operation) && near.gate == gate.id {
            return near.row;
        }
        self.look_up(gate, operation)
    }

    #[cold]
    fn look_up(&self, gate: &Shared, operation: &'static Operation) -> Cells {
        let key = (gate.id, address(operation));
        let mut known = self.known.borrow_mut();
        let row = if let Some(known) = known.get(&key) {
            known.row
        } else {
            // Of gates that are gone nothing is called any more.
            known.retain(|_, known| known.ledger.strong_count() > 0);
            let ledger = &gate.anchors.ledger;
            let row = ledger.row_to_call(operation, gate.domains.len());
            let ledger = Arc::downgrade(ledger);
            let new = Known {
                ledger,
                operation,
                row,
            };
            known.insert(key, new);
            row
        };
        self.near[near(operation)].set(Near {
            gate: key.0,
            operation: key.1,
            row,
        });
        row
    }
}

impl Drop for CallCounts {
    fn drop(&mut self) {
        for known in std::mem::take(self.known.get_mut()).into_values() {
            if let Some(ledger) = known.ledger.upgrade() {
                ledger.leave_row(known.operation, known.row);
            }
        }
    }
}
