//! A token as its scheduler sees it: to decide whether it may start, or who waits for whom.
//!
//! A copy of what does not change once it is published.

use std::num::NonZeroU16;

use crate::cell::{Header, Place};
use crate::{Bond, Operation, TokenId};

/// Who a token is, and what it is bound to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenView {
    /// Its id.
    pub id: TokenId,
    /// Its operation.
    pub operation: &'static Operation,
    /// Its gate and domain.
    pub place: Place,
    /// Its entry, its turn in the lane there, its chain and its limit.
    pub bond: Bond,
}

impl TokenView {
    pub(crate) fn of(header: &Header) -> Self {
        Self {
            id: header.id(),
            operation: header.operation(),
            place: header.place(),
            bond: header.bond(),
        }
    }

    /// Whether it has a later turn in the same lane: then it cannot execute before the other has exited.
    ///
    /// Neither has exited: the entry of one that has may be another key's by now, so a token whose
    /// body returned is unbound, though it resolves later.
    pub(crate) fn is_behind(&self, other: &Self) -> bool {
        let turns = self.bond.turn.zip(other.bond.turn);
        turns.is_some_and(|(own, other)| other < own)
            && self.bond.entry == other.bond.entry
            && self.place.gate == other.place.gate
    }

    /// The limit that it needs a permit of: the number of the gate, and that of the limit in it.
    pub(crate) fn limit(&self) -> Option<(u16, NonZeroU16)> {
        Some((self.place.gate, self.bond.limit?))
    }
}
