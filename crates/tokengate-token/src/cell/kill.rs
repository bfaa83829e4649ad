//! Ends a token from outside: by its handle, a `Killer`, a `Deadline`, or the owner of its runnable.
//!
//! A kill has two steps: the claim, for which the cell must be alive, and the clean-up, which keeps
//! it alive by `BUSY`. So a killer can claim under its lock and drop the body outside of it.

use std::ptr::NonNull;

use super::{Header, free_cell, run, task};
use crate::extras::Ending;
use crate::runnable::Runnable;
use crate::state::{Kill, Outcome, State};

/// A claim that won: the clean-up is to be done, at the latest when this is dropped.
#[must_use]
pub(crate) struct Claim {
    cell: NonNull<Header>,
    found: Kill,
}

/// Claims the outcome; `None` if the token has one already.
///
/// # Safety
///
/// The cell is alive until this returns.
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim(cell: NonNull<Header>, ending: Ending) -> Option<Claim> {
    // SAFETY: as the caller says.
    unsafe { claim_by(cell, ending, State::kill) }
}

/// As [`claim`], for a body that no thread is in at present.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim_suspended(cell: NonNull<Header>, ending: Ending) -> Option<Claim> {
    // SAFETY: as the caller says.
    unsafe { claim_by(cell, ending, State::kill_suspended) }
}

/// As [`claim`], for a token that has not started.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
pub(crate) unsafe fn claim_unstarted(cell: NonNull<Header>, ending: Ending) -> Option<Claim> {
    // SAFETY: as the caller says.
    unsafe { claim_by(cell, ending, State::kill_unstarted) }
}

/// As [`claim`], with the transition to use.
///
/// # Safety
///
/// As [`claim`].
#[expect(unsafe_code, reason = "reads through the cell pointer")]
unsafe fn claim_by(
    cell: NonNull<Header>,
    ending: Ending,
    kill: impl FnOnce(&State, Outcome) -> Kill,
) -> Option<Claim> {
    // SAFETY: as the caller says.
    let header = unsafe { cell.as_ref() };
    if header.state.load().resolved() {
        return None;
    }
    let outcome = match ending {
        Ending::Killed(_) => Outcome::Killed,
        Ending::Rejected(_) => Outcome::Rejected,
        Ending::TimedOut(_) => Outcome::TimedOut,
    };
    // The lock is held over claim and writing, so whoever sees the outcome finds the ending.
    let mut slot = header.extras().ending();
    let found = kill(&header.state, outcome);
    if found == Kill::Lost {
        return None;
    }
    *slot = Some(ending);
    Some(Claim { cell, found })
}

impl Drop for Claim {
    #[expect(unsafe_code, reason = "cleans up what the claim gave to the killer")]
    fn drop(&mut self) {
        // SAFETY: `BUSY` keeps the cell alive until `leave`.
        let header = unsafe { self.cell.as_ref() };
        let (Kill::Unstarted { waker } | Kill::Executing { waker } | Kill::Suspended { waker }) =
            self.found
        else {
            unreachable!("a lost claim is not made");
        };
        if waker {
            // SAFETY: the claim resolved the token and found a waker.
            unsafe { run::wake(header, false) };
        }
        match self.found {
            // SAFETY: nobody can start it any more, so the body is ours.
            Kill::Unstarted { .. } => unsafe { (header.vtable.drop_body)(self.cell) },
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

/// Ends a token whose runnable is given up without being run; `false` if its waiter has started it,
/// so that it goes on.
///
/// # Safety
///
/// The caller owns the runnable half and gives it up.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(crate) unsafe fn abandon(cell: NonNull<Header>, ending: Ending) -> bool {
    // SAFETY: alive until the half lets go.
    let header = unsafe { cell.as_ref() };
    if header.is_async() {
        let started = header.state.load().started();
        // SAFETY: the same.
        drop(unsafe { claim(cell, ending) });
        if started {
            // SAFETY: nobody else starts it while the runnable is ours, so it was started before
            // and queued again: its runnable owns the future.
            unsafe { task::drop_future(cell) };
        } else {
            // SAFETY: the execution's own reference is given up with the half.
            unsafe { task::drop_reference(cell) };
        }
        true
    } else {
        // A body that was started elsewhere, by a waiter, goes on: this is its tombstone.
        // SAFETY: the same.
        drop(unsafe { claim_unstarted(cell, ending) });
        let started = header.state.load().started();
        // SAFETY: as the caller says; the body is gone, or its claimer's.
        unsafe { run::release(cell) };
        !started
    }
}
