//! What the tokens of a gate are bound to: keys with their lanes, chains, and limits.
//!
//! Bound by the submit path, given back at each exit: by the runner, by whoever ends a token that has
//! not started, by whoever takes its runnable out of a queue to end it. The token crate says once who
//! does it. It decides no place, and posts only what is granted a permit.

use std::borrow::Cow;
use std::sync::Arc;

use tokengate_anchor::{ChainId, Conductor, EntryId, StickyRegistry};
use tokengate_token::{Abandoned, Bond, Joined, RejectCause, Runnable, RunnableList, Turn};

use crate::contain::contain;
use crate::lane::Lane;
use crate::permits::Permits;
use crate::stats::Ledger;

/// The registry, the conductor and the limits of one gate.
pub(crate) struct Anchors {
    pub(crate) keys: StickyRegistry<Lane>,
    pub(crate) chains: Conductor,
    pub(crate) permits: Permits,
    /// Where tokens are counted.
    pub(crate) ledger: Arc<Ledger>,
}

impl Anchors {
    pub(crate) fn new(keys: StickyRegistry<Lane>, permits: Permits) -> Self {
        Self {
            keys,
            chains: Conductor::new(),
            permits,
            ledger: Arc::default(),
        }
    }

    /// Puts the token into the lane of its key.
    #[inline]
    pub(crate) fn join_lane(&self, runnable: Runnable) -> Result<Joined, Runnable> {
        match runnable.bond().entry.map(EntryId::from_number) {
            Some(entry) => self.keys.value(entry).join(runnable),
            None => Ok(Joined::Holds(runnable)),
        }
    }

    /// Gives back key, lane and chain of a token that has exited; the one whose turn it is in its lane.
    ///
    /// Calls `over` with those that were ended while they waited, and that the lane passes over.
    #[inline]
    pub(crate) fn exit(&self, bond: Bond, mut over: impl FnMut(Runnable)) -> Option<Runnable> {
        let mut next = None;
        if let Some(entry) = bond.entry.map(EntryId::from_number) {
            if bond.turn == Turn::Holds {
                next = self.keys.value(entry).pass(|gone| {
                    self.keys.release(entry);
                    over(gone);
                });
            }
            // After the pass: an entry that nobody is counted in has a free lane.
            self.keys.release(entry);
        }
        if let Some(chain) = bond.chain {
            self.chains.leave(ChainId::from_number(chain));
        }
        next
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
            // Those that the lane passes over are ended, and unbound.
            next.extend(self.exit(bond, |gone| {
                self.give_up(gone, |gone| gone.kill(""));
            }));
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
        self.kill_waiting(reason, Lane::take_waiting)
    }

    /// As [`purge_lanes`](Self::purge_lanes); whoever would wait from now on is refused.
    pub(crate) fn close_lanes(&self, reason: &'static str) -> usize {
        self.kill_waiting(reason, Lane::close)
    }

    fn kill_waiting(
        &self,
        reason: &'static str,
        take: impl Fn(&Lane) -> [RunnableList; 2],
    ) -> usize {
        let mut killed = 0;
        self.each_waiting(take, |runnable| killed += self.kill(runnable, reason));
        killed
    }

    /// Takes all that wait in lanes out of them, and gives each to `end`.
    pub(crate) fn take_waiting(&self, end: impl FnMut(Runnable)) {
        self.each_waiting(Lane::take_waiting, end);
    }

    fn each_waiting(
        &self,
        take: impl Fn(&Lane) -> [RunnableList; 2],
        mut each: impl FnMut(Runnable),
    ) {
        self.keys.each_value(|lane| {
            for mut list in take(lane) {
                while let Some(runnable) = list.pop_front() {
                    each(runnable);
                }
            }
        });
    }
}
