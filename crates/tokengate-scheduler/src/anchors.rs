//! What the tokens of a gate are bound to: keys with their lanes, chains, and limits.
//!
//! Bound by the submit path, given back at each exit: by the runner, by whoever ends a token that has
//! not started, by whoever takes its runnable out of a queue to end it. The token crate says once who
//! does it. It decides no place, and posts only what is granted a permit.

use std::borrow::Cow;
use std::sync::Arc;

use tokengate_anchor::{ChainId, Conductor, EntryId, StickyRegistry};
use tokengate_token::{Abandoned, Bond, RejectCause, Runnable};

use crate::contain::contain;
use crate::lane::places::Backlogs;
use crate::lane::{Lane, Over};
use crate::permits::Permits;
use crate::stats::Ledger;

/// The registry, the conductor and the limits of one gate.
pub(crate) struct Anchors {
    pub(crate) keys: StickyRegistry<Lane>,
    pub(crate) chains: Conductor,
    pub(crate) permits: Permits,
    /// Where tokens are counted.
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) backlogs: Backlogs,
}

impl Anchors {
    pub(crate) fn new(keys: StickyRegistry<Lane>, permits: Permits, domains: usize) -> Self {
        Self {
            keys,
            chains: Conductor::new(),
            permits,
            ledger: Arc::default(),
            backlogs: Backlogs::new(domains),
        }
    }

    /// Gives the token back if it is its turn in the lane of its key, or if it has none; else it waits
    /// there, unless it is to be ended, as `refused` says.
    #[inline]
    pub(crate) fn arrive(
        &self,
        runnable: Runnable,
        refused: impl FnOnce(&Runnable) -> bool,
    ) -> Option<Runnable> {
        let Some((lane, turn)) = self.lane(runnable.bond()) else {
            return Some(runnable);
        };
        if lane.has_come(turn) {
            return Some(runnable);
        }
        lane.set_aside(turn, runnable, &self.backlogs, refused)
    }

    /// Whether it is the turn of a token that has not started, as far as its bond says.
    #[inline]
    pub(crate) fn has_turn(&self, bond: Bond) -> bool {
        self.lane(bond)
            .is_none_or(|(lane, turn)| lane.has_come(turn))
    }

    /// The lane that a token takes part in, and its turn there.
    #[inline]
    fn lane(&self, bond: Bond) -> Option<(&Lane, u64)> {
        let (entry, turn) = (bond.entry?, bond.turn?);
        Some((self.keys.value(EntryId::from_number(entry)), turn))
    }

    /// Gives back key, lane and chain of a token that has exited.
    #[inline]
    pub(crate) fn exit(&self, bond: Bond) -> Over {
        let mut over = Over::default();
        if let Some(entry) = bond.entry.map(EntryId::from_number) {
            if let Some(turn) = bond.turn {
                over = self.keys.value(entry).end(turn, &self.backlogs);
            }
            // After its turn: of an entry that nobody is counted in all turns are over.
            self.keys.release(entry);
        }
        if let Some(chain) = bond.chain {
            self.chains.leave(ChainId::from_number(chain));
        }
        over
    }

    /// How many tokens wait in lanes, where workers came upon them. Costs a look at each lane.
    pub(crate) fn waiting_in_lanes(&self) -> usize {
        let mut waiting = 0;
        self.keys.each_value(|lane| waiting += lane.waiting());
        waiting
    }

    /// Kills a token, and those that its end lets go on in its lane; how many.
    pub(crate) fn kill(&self, runnable: Runnable, reason: impl Into<Cow<'static, str>>) -> usize {
        let reason = reason.into();
        self.end(runnable, |runnable| runnable.kill(reason.clone()))
    }

    /// Refuses a token, and those behind it that its end would let go on in its lane.
    pub(crate) fn reject(&self, runnable: Runnable, cause: &RejectCause) {
        self.end(runnable, |runnable| runnable.reject(cause.clone()));
    }

    fn end(&self, runnable: Runnable, end: impl Fn(Runnable) -> Abandoned) -> usize {
        let mut ended = 0;
        let mut next = vec![runnable];
        // Not by recursion: a lane may be long.
        while let Some(runnable) = next.pop() {
            ended += 1;
            let held = self.permits.held_by(&runnable);
            let bond = self.give_up(runnable, &end);
            let over = self.exit(bond);
            // Its runnable was in hand, so it does not wait in the lane.
            debug_assert!(over.tombstone.is_none());
            next.extend(over.next);
            next.extend(
                held.into_iter()
                    .flat_map(|limit| self.permits.release(limit)),
            );
        }
        ended
    }

    /// Ends a token by its runnable, and counts that; what it was bound to is to be given back.
    pub(crate) fn give_up(&self, runnable: Runnable, end: impl Fn(Runnable) -> Abandoned) -> Bond {
        let (operation, domain) = (runnable.operation(), runnable.place().domain);
        let companion = runnable.companion();
        let abandoned = end(runnable);
        if let Some(outcome) = abandoned.outcome {
            self.ledger.ended_elsewhere(operation, domain, outcome);
            companion.inspect(|it| {
                contain(|| it.ended(outcome));
            });
        }
        abandoned.bond
    }

    /// Kills all that wait in lanes; how many.
    pub(crate) fn purge_lanes(&self, reason: &'static str) -> usize {
        let mut killed = 0;
        self.take_waiting(|runnable| killed += self.kill(runnable, reason));
        killed
    }

    /// Takes all that wait in lanes out of them, and gives each to `end`.
    pub(crate) fn take_waiting(&self, mut end: impl FnMut(Runnable)) {
        self.keys.each_value(|lane| {
            let waiting = lane.take_waiting(&self.backlogs);
            waiting.into_iter().for_each(&mut end);
        });
    }
}
