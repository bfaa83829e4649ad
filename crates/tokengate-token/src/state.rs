//! The state word of a token: every transition, and nothing else.
//!
//! Called by the halves in `cell/`. Keeps the table in `STATE.md`: each transition is one
//! read-modify-write and tells its caller what to do next. It touches no memory but the word.
//!
//! Orderings. A step that hands memory over (body, result, waker slot, future) is a `Release`; the
//! step that takes it over is an `Acquire` on the same word. Since every step is a
//! read-modify-write, release sequences are never broken, and `AcqRel` on success is enough for any
//! pair of them. Failed attempts use `Relaxed`: whoever acts on a refusal owns what it touches, or
//! loads the word again.

use std::fmt;

use crate::sync::atomic::AtomicU32;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const STARTED: u32 = 1 << 0;
const RUNNING: u32 = 1 << 1;
const SCHEDULED: u32 = 1 << 2;
const RESOLVED: u32 = 1 << 3;
const WAKER: u32 = 1 << 4;
const CLOSED: u32 = 1 << 5;
const RELEASED: u32 = 1 << 6;
const BUSY: u32 = 1 << 7;
/// How often the body is to run again: between the flags and the outcome, which stands alone at the
/// top so that it needs no mask.
const ATTEMPT: u32 = 1 << 8;
const ATTEMPTS_MASK: u32 = !(ATTEMPT - 1) & !(u32::MAX << OUTCOME_SHIFT);
const OUTCOME_SHIFT: u32 = 29;

/// The most attempts that the word can count.
pub(crate) const MAX_ATTEMPTS: u32 = ATTEMPTS_MASK / ATTEMPT;

/// How a token ended.
///
/// What its result slot holds follows from that: the result, the panic, or, for a token that was
/// ended from outside, nothing; then the extras hold the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Outcome {
    /// The body returned a value.
    Value = 1,
    /// The body returned an error.
    Error = 2,
    /// The body panicked.
    Panicked = 3,
    /// It was ended from outside: killed, purged, or abandoned.
    Killed = 4,
    /// It was refused before it was queued.
    Rejected = 5,
    /// Its time was over.
    TimedOut = 6,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Value => "completed",
            Self::Error => "failed",
            Self::Panicked => "panicked",
            Self::Killed => "killed",
            Self::Rejected => "rejected",
            Self::TimedOut => "timed out",
        })
    }
}

/// A copy of the word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot(u32);

impl Snapshot {
    pub(crate) fn started(self) -> bool {
        self.0 & STARTED != 0
    }

    pub(crate) fn resolved(self) -> bool {
        self.0 & RESOLVED != 0
    }

    /// Whether nothing of the body is left, as far as the word says.
    ///
    /// Of a body that was ended while its waiter runs it the word does not say: then this is about the
    /// tombstone in the queue.
    pub(crate) fn exited(self) -> bool {
        let by_body = matches!(
            self.outcome(),
            Some(Outcome::Value | Outcome::Error | Outcome::Panicked)
        );
        self.resolved() && (by_body || !self.started() || self.0 & RELEASED != 0)
    }

    /// The handle is the only party left: it may free the cell without a further step.
    pub(crate) fn handle_is_alone(self) -> bool {
        self.0 & (RELEASED | BUSY) == RELEASED
    }

    pub(crate) fn waker_registered(self) -> bool {
        self.0 & WAKER != 0
    }

    /// The number of the attempt that runs or comes next, or was the last one; counted from 1.
    pub(crate) fn attempt(self) -> u32 {
        (self.0 & ATTEMPTS_MASK) / ATTEMPT + 1
    }

    pub(crate) fn outcome(self) -> Option<Outcome> {
        match self.0 >> OUTCOME_SHIFT {
            1 => Some(Outcome::Value),
            2 => Some(Outcome::Error),
            3 => Some(Outcome::Panicked),
            4 => Some(Outcome::Killed),
            5 => Some(Outcome::Rejected),
            6 => Some(Outcome::TimedOut),
            _ => None,
        }
    }
}

/// What [`State::complete`] found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Complete {
    /// Resolved and released in one step: the cell must not be touched again.
    Released,
    /// Resolved; then the waker is to be taken (`waker`) or the result dropped (`closed`), then
    /// the runnable half releases.
    Resolved { waker: bool, closed: bool },
    /// A killer was first: the result is to be dropped, then the runnable half releases.
    Late,
}

/// What [`State::kill`] found.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kill {
    /// It had an outcome already; nothing was changed.
    Lost,
    /// Claimed before it started: the killer drops the body.
    Unstarted { waker: bool },
    /// Claimed while a thread is in the body, or while a runnable of it is queued: whoever has
    /// that drops it.
    Executing { waker: bool },
    /// Claimed while suspended: the killer has the runnable and posts it home.
    Suspended { waker: bool },
}

/// What [`State::suspend`] found.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// The future waits for a waker; the runner must not touch it again.
    Suspended,
    /// It was woken during the poll; the runner still has the runnable.
    Again,
    /// It was killed during the poll; the runner drops the future.
    Killed,
}

/// The word itself.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    /// Acquire: pairs with the step that set `RESOLVED`, so that the result is visible.
    #[inline(always)]
    pub(crate) fn load(&self) -> Snapshot {
        Snapshot(self.0.load(Acquire))
    }

    /// Claims the start; `false` if it was claimed before.
    #[inline(always)]
    pub(crate) fn start(&self) -> bool {
        // The first guess is the common state: nobody waits yet.
        match self
            .0
            .compare_exchange(0, STARTED | RUNNING, AcqRel, Relaxed)
        {
            Ok(_) => true,
            Err(_) => self
                .change(|now| (now & (STARTED | RESOLVED) == 0).then_some(now | STARTED | RUNNING))
                .is_ok(),
        }
    }

    /// Resolves with what the body gave; see [`Complete`].
    #[inline(always)]
    pub(crate) fn complete(&self, outcome: Outcome) -> Complete {
        let done = STARTED | RUNNING | RESOLVED | RELEASED | bits(outcome);
        match self
            .0
            .compare_exchange(STARTED | RUNNING, done, AcqRel, Relaxed)
        {
            Ok(_) => Complete::Released,
            Err(_) => self.complete_watched(outcome),
        }
    }

    /// As [`complete`](Self::complete), but the runnable half keeps the cell in every case.
    #[cold]
    pub(crate) fn complete_watched(&self, outcome: Outcome) -> Complete {
        let changed =
            self.change(|now| (now & RESOLVED == 0).then_some(now | RESOLVED | bits(outcome)));
        match changed {
            Ok(before) => Complete::Resolved {
                waker: before & WAKER != 0,
                closed: before & CLOSED != 0,
            },
            Err(_) => Complete::Late,
        }
    }

    /// Resolves from outside; see [`Kill`]. Unless it lost, the caller is `BUSY` until
    /// [`leave`](Self::leave).
    pub(crate) fn kill(&self, outcome: Outcome) -> Kill {
        self.kill_unless(RESOLVED, outcome)
    }

    /// As [`kill`](Self::kill), but loses against a thread inside the body too.
    pub(crate) fn kill_suspended(&self, outcome: Outcome) -> Kill {
        self.kill_unless(RESOLVED | RUNNING, outcome)
    }

    fn kill_unless(&self, any_of: u32, outcome: Outcome) -> Kill {
        self.kill_if(|now| now & any_of == 0, outcome)
    }

    fn kill_if(&self, may: impl Fn(u32) -> bool, outcome: Outcome) -> Kill {
        let changed = self.change(|now| {
            // No wake-up succeeds after this, so a suspended body has no runnable but the killer's.
            may(now).then_some(now | RESOLVED | BUSY | bits(outcome))
        });
        match changed {
            Err(_) => Kill::Lost,
            Ok(before) => {
                let waker = before & WAKER != 0;
                if before & STARTED == 0 {
                    Kill::Unstarted { waker }
                } else if before & (RUNNING | SCHEDULED) == 0 {
                    Kill::Suspended { waker }
                } else {
                    Kill::Executing { waker }
                }
            }
        }
    }

    /// As [`kill`](Self::kill), but loses against a start too.
    pub(crate) fn kill_unstarted(&self, outcome: Outcome) -> Kill {
        self.kill_unless(RESOLVED | STARTED, outcome)
    }

    /// As [`kill`](Self::kill), but loses against the retry that ends this attempt.
    pub(crate) fn kill_attempt(&self, attempt: u32, outcome: Outcome) -> Kill {
        let is_in = |now| Snapshot(now).attempt() == attempt;
        self.kill_if(|now| now & RESOLVED == 0 && is_in(now), outcome)
    }

    /// As [`kill_attempt`](Self::kill_attempt), but loses against the start of this attempt too.
    pub(crate) fn kill_unstarted_attempt(&self, attempt: u32, outcome: Outcome) -> Kill {
        let is_in = |now| Snapshot(now).attempt() == attempt;
        self.kill_if(|now| now & (RESOLVED | STARTED) == 0 && is_in(now), outcome)
    }

    /// The killer is done with the cell; `true` if it has to free it.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        let before = self.0.fetch_and(!BUSY, AcqRel);
        before & (CLOSED | RELEASED) == CLOSED | RELEASED
    }

    /// The runnable half is done with the cell; `true` if it has to free it.
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        let before = self.0.fetch_or(RELEASED, AcqRel);
        before & (CLOSED | BUSY) == CLOSED
    }

    /// The handle is done with a resolved cell, result taken; `true` if it has to free it.
    #[must_use]
    pub(crate) fn close(&self) -> bool {
        let before = self.0.fetch_or(CLOSED, AcqRel);
        before & (RELEASED | BUSY) == RELEASED
    }

    /// The handle lets go before the token is resolved; `false` if it is resolved by now, and
    /// nothing was changed: the result belongs to the handle.
    #[must_use]
    pub(crate) fn detach(&self) -> bool {
        self.change(|now| (now & RESOLVED == 0).then_some(now | CLOSED))
            .is_ok()
    }

    /// Takes the waker slot back from whoever would resolve; `false` if it is resolved by now.
    #[must_use]
    pub(crate) fn reclaim_waker(&self) -> bool {
        self.change(|now| (now & RESOLVED == 0).then_some(now & !WAKER))
            .is_ok()
    }

    /// Gives the full waker slot to whoever resolves; `false` if it is resolved by now, and the
    /// slot stays the handle's.
    #[must_use]
    pub(crate) fn publish_waker(&self) -> bool {
        self.change(|now| (now & RESOLVED == 0).then_some(now | WAKER))
            .is_ok()
    }

    /// A queued async body is about to be polled again; `false` if it was killed meanwhile.
    #[must_use]
    pub(crate) fn resume(&self) -> bool {
        self.change(|now| (now & RESOLVED == 0).then_some(now & !SCHEDULED | RUNNING))
            .is_ok()
    }

    /// A poll returned `Pending`; see [`Suspend`].
    pub(crate) fn suspend(&self) -> Suspend {
        let changed = self.change(|now| (now & RESOLVED == 0).then_some(now & !RUNNING));
        match changed {
            Err(_) => Suspend::Killed,
            Ok(before) if before & SCHEDULED != 0 => Suspend::Again,
            Ok(_) => Suspend::Suspended,
        }
    }

    /// A waker of an async body was used; `true` if the caller has the runnable and posts it.
    #[must_use]
    pub(crate) fn wake(&self) -> bool {
        let changed = self.change(|now| {
            (now & (RESOLVED | SCHEDULED) == 0 && now & STARTED != 0).then_some(now | SCHEDULED)
        });
        matches!(changed, Ok(before) if before & RUNNING == 0)
    }

    /// The attempt has failed, and the body is to run again; `false` if it was killed meanwhile: then
    /// the runner drops the body.
    #[must_use]
    pub(crate) fn retry(&self) -> bool {
        self.change(|now| {
            debug_assert!(now & ATTEMPTS_MASK != ATTEMPTS_MASK, "attempts are bounded");
            // A wake-up during the attempt was for what has failed.
            let between = (now & !(STARTED | RUNNING | SCHEDULED)) + ATTEMPT;
            (now & RESOLVED == 0).then_some(between)
        })
        .is_ok()
    }

    /// Applies `next` until it holds or refuses; gives the value before.
    fn change(&self, next: impl FnMut(u32) -> Option<u32>) -> Result<u32, u32> {
        self.0.fetch_update(AcqRel, Relaxed, next)
    }
}

fn bits(outcome: Outcome) -> u32 {
    (outcome as u32) << OUTCOME_SHIFT
}
