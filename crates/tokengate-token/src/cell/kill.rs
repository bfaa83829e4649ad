//! Ends a token from outside: by its handle, a `Killer`, a `Deadline`, or the owner of its runnable.
//!
//! A kill has two steps: the claim, for which the cell must be alive, and the clean-up, which keeps
//! it alive by `BUSY`. So a killer can claim under its lock and drop the body outside of it. A token
//! that had not started has exited with that, and what it was bound to is given back: to its
//! `Keeper`, or to the owner of the runnable.

use std::ptr::NonNull;

use super::{Header, free_cell, run, task};
use crate::extras::Ending;
use crate::keeper::Visit;
use crate::moment;
use crate::runnable::{Abandoned, Runnable};
use crate::state::{Kill, Outcome, State};
use crate::{Bond, Phase, TokenView};

/// What came of a claim. If it won the clean-up is to be done, at the latest when this is dropped.
#[must_use]
pub(crate) struct Claim {
    /// Alive if the claim won.
    cell: NonNull<Header>,
    found: Kill,
    /// For outsiders. Not dropped before this: it may be the last one to hold the scheduler.
    visit: Option<Visit>,
}

/// Claims the outcome, unless the token has one already.
///
/// # Safety
///
/// The cell is alive until this returns.
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim(cell: NonNull<Header>, ending: Ending) -> Claim {
    // SAFETY: as the caller says.
    unsafe { claim_from_outside(cell, ending, State::kill) }
}

/// As [`claim`], for a body that no thread is in at present.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim_suspended(cell: NonNull<Header>, ending: Ending) -> Claim {
    // SAFETY: as the caller says.
    unsafe { claim_from_outside(cell, ending, State::kill_suspended) }
}

/// As [`claim`], for a time limit: of the attempt, and in the phase, that the ending says.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim_in_attempt(cell: NonNull<Header>, ending: Ending) -> Claim {
    let Ending::TimedOut { phase, attempt } = ending else {
        unreachable!("only time limits are for one attempt");
    };
    let kill = |state: &State, outcome| match phase {
        Phase::Waiting => state.kill_unstarted_attempt(attempt, outcome),
        Phase::Executing => state.kill_attempt(attempt, outcome),
    };
    // SAFETY: as the caller says.
    unsafe { claim_from_outside(cell, ending, kill) }
}

/// As [`claim`], with the transition to use.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
unsafe fn claim_from_outside(
    cell: NonNull<Header>,
    ending: Ending,
    kill: impl FnOnce(&State, Outcome) -> Kill,
) -> Claim {
    // SAFETY: as the caller says.
    let visit = unsafe { cell.as_ref() }.visit_keeper();
    Claim {
        cell,
        // SAFETY: as the caller says.
        found: unsafe { claim_by(cell, ending, kill) },
        visit,
    }
}

/// As [`claim`], for the owner of the runnable or the runner, who sees to the bond.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(super) unsafe fn claim_as_owner(
    cell: NonNull<Header>,
    ending: Ending,
    kill: fn(&State, Outcome) -> Kill,
) -> Claim {
    Claim {
        cell,
        // SAFETY: as the caller says.
        found: unsafe { claim_by(cell, ending, kill) },
        visit: None,
    }
}

/// Makes the transition, and leaves the ending for the handle.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
unsafe fn claim_by(
    cell: NonNull<Header>,
    ending: Ending,
    kill: impl FnOnce(&State, Outcome) -> Kill,
) -> Kill {
    // SAFETY: as the caller says.
    let header = unsafe { cell.as_ref() };
    if header.state.load().resolved() {
        return Kill::Lost;
    }
    let outcome = match ending {
        Ending::Killed(_) => Outcome::Killed,
        Ending::Rejected(_) => Outcome::Rejected,
        Ending::TimedOut { .. } => Outcome::TimedOut,
    };
    // The lock is held over claim and writing, so whoever sees the outcome finds the ending.
    let extras = header.extras();
    let mut slot = extras.ending();
    let found = kill(&header.state, outcome);
    if found != Kill::Lost {
        *slot = Some(ending);
        extras.set_ended_at(moment::now());
    }
    found
}

impl Claim {
    /// Whether this ended the token.
    pub(crate) fn is_won(&self) -> bool {
        self.found != Kill::Lost
    }
}

impl Drop for Claim {
    #[expect(unsafe_code, reason = "cleans up what the claim gave to the killer")]
    fn drop(&mut self) {
        let (Kill::Unstarted { waker } | Kill::Executing { waker } | Kill::Suspended { waker }) =
            self.found
        else {
            return;
        };
        // SAFETY: the claim won, and `BUSY` keeps the cell alive until `leave`.
        let header = unsafe { self.cell.as_ref() };
        if waker {
            // SAFETY: the claim resolved the token and found a waker.
            unsafe { run::wake(header, false) };
        }
        match self.found {
            Kill::Unstarted { .. } => {
                // SAFETY: nobody can start it any more, so the body is ours.
                unsafe { (header.vtable.drop_body)(self.cell) };
                if let Some(keeper) = &self.visit {
                    keeper.exited(header.bond.take());
                }
                tell_who_waits(header);
            }
            Kill::Suspended { .. } => {
                // SAFETY: suspended means async, and the execution's reference is still there.
                let reference = unsafe { task::new_reference(self.cell) };
                // SAFETY: the claim found no runnable, and no wake-up makes one after it.
                let runnable = unsafe { Runnable::from_raw(self.cell) };
                // SAFETY: it was suspended, so it has a home, and the reference is ours.
                unsafe { task::post_home(self.cell, runnable) };
                drop(reference);
            }
            Kill::Executing { .. } | Kill::Lost => {}
        }
        if header.state.leave() {
            // SAFETY: our step was the last; the body is gone, and there is no result.
            unsafe { free_cell(self.cell) }
        }
    }
}

/// Tells the home of a token between two attempts, whose runnable waits somewhere.
fn tell_who_waits(header: &Header) {
    if header.state.load().attempt() == 1 {
        return;
    }
    let home = header
        .extras_if_any()
        .and_then(|extras| extras.home().get());
    let home = home.expect("set before the attempt was counted");
    home.ended_between_attempts(&TokenView::of(header));
}

/// Ends a token whose runnable is given up without being run, unless its waiter has started it: then
/// it goes on. Says what it ended as, and what it was bound to if it has exited by this.
///
/// # Safety
///
/// The caller owns the runnable half, and gives it up.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(crate) unsafe fn abandon(cell: NonNull<Header>, ending: Ending) -> Abandoned {
    // SAFETY: alive until the half lets go.
    let header = unsafe { cell.as_ref() };
    let has_started = header.state.load().started();
    if header.is_async() && has_started {
        // SAFETY: the same.
        drop(unsafe { claim_as_owner(cell, ending, State::kill) });
        let outcome = Some(header.ended_as());
        // SAFETY: nobody else starts it while the runnable is ours, so it was started before and
        // queued again: its runnable owns the future.
        let bond = unsafe { task::drop_future(cell) };
        return Abandoned { outcome, bond };
    }
    // A body that was started elsewhere, by a waiter, goes on: this is its tombstone.
    // SAFETY: the same.
    let claim = unsafe { claim_as_owner(cell, ending, State::kill_unstarted) };
    let is_ours = claim.is_won();
    // The body goes before the bond does.
    drop(claim);
    // Else it is taken by whoever has claimed the start or the end.
    let bond = if is_ours {
        header.bond.take()
    } else {
        Bond::NONE
    };
    let outcome = (!header.state.load().started()).then(|| header.ended_as());
    // SAFETY: the half is given up; the body is gone, or its claimer's.
    unsafe { run::release_watched(cell) };
    Abandoned { outcome, bond }
}
