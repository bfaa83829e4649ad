//! What the tokens of a gate are bound to: keys with their lanes, and chains.
//!
//! Bound by the submit path, given back at each exit by whoever has ended the token. Keeps: each
//! bond is given back exactly once. It decides no place and posts nothing.

use std::borrow::Cow;

use tokengate_anchor::{ChainId, Conductor, EntryId, StickyRegistry};
use tokengate_token::{Bond, Joined, Operation, RejectCause, Runnable, RunnableList};

use crate::lane::Lane;

/// The registry and the conductor of one gate.
pub(crate) struct Anchors {
    pub(crate) keys: StickyRegistry<Lane>,
    pub(crate) chains: Conductor,
}

impl Anchors {
    pub(crate) fn new(keys: StickyRegistry<Lane>) -> Self {
        Self {
            keys,
            chains: Conductor::new(),
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

    /// Gives back what a token held that has exited, or that nobody can start any more; the one
    /// whose turn it is in its lane.
    #[inline]
    pub(crate) fn exit(&self, operation: &Operation, bond: Bond) -> Option<Runnable> {
        let mut next = None;
        if let Some(entry) = bond.entry.map(EntryId::from_number) {
            if operation.is_serial() {
                next = self.keys.value(entry).pass();
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

    fn end(&self, runnable: Runnable, end: impl Fn(Runnable) -> bool) -> usize {
        let mut ended = 0;
        let mut next = Some(runnable);
        // Not by recursion: a lane may be long.
        while let Some(runnable) = next.take() {
            let (operation, bond) = (runnable.operation(), runnable.bond());
            let waiting = runnable.place().waiting;
            ended += 1;
            if !end(runnable) || bond.is_none() {
                continue;
            }
            if waiting {
                self.exit_waiting(bond);
            } else {
                next = self.exit(operation, bond);
            }
        }
        ended
    }

    /// As [`exit`](Self::exit), of a token that does not hold its lane.
    fn exit_waiting(&self, bond: Bond) {
        if let Some(entry) = bond.entry {
            self.keys.release(EntryId::from_number(entry));
        }
        if let Some(chain) = bond.chain {
            self.chains.leave(ChainId::from_number(chain));
        }
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
