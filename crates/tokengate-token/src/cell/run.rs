//! The runner's half of a cell: claims the start, runs a sync body, resolves, lets go.
//!
//! Called through the vtable by `Runnable`. Keeps: a body runs at most once and only after its
//! start was claimed; no panic leaves this file; nothing in the cell is touched after the release.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;

use super::{Header, free_cell, kill, result_offset};
use crate::TokenView;
use crate::extras::Ending;
use crate::present::Present;
use crate::runnable::{Failure, FailureKind, Home, Ran};
use crate::state::{Complete, Outcome, State};
use crate::{contain, context};

/// What a body gave: its result, or its panic.
pub(super) type Returned<T, E> = Result<Result<T, E>, Box<dyn Any + Send>>;

/// Runs a sync body. Consumes the runnable half.
///
/// # Safety
///
/// 1. The caller owns the runnable half and gives it up.
/// 2. The cell was made by `new_sync` with these types.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn run_sync<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Ran
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    // SAFETY: alive until the runnable half lets go (obligation 1); not used after that.
    let header = unsafe { cell.as_ref() };
    if !header.state.start() {
        let lost = Ran::lost(header);
        // SAFETY: the half is ours (obligation 1).
        unsafe { release(cell) };
        return lost;
    }
    // SAFETY: the start was claimed (and obligation 2).
    let Some(returned) = (unsafe { call_body::<F, T, E>(cell, home, present) }) else {
        header.exited(home);
        let dropped = Ran::Dropped(header.ended_as());
        // SAFETY: the half is ours (obligation 1); the body is gone.
        unsafe { release(cell) };
        return dropped;
    };
    // SAFETY: the body was moved out, so the stage is free; the half is ours (obligation 1).
    unsafe { finish(cell, returned, home, State::complete, release_watched) }
}

/// Runs a sync body for its waiter. Leaves the runnable half where it is, as a tombstone.
///
/// # Safety
///
/// 1. The caller owns the handle, which keeps the cell alive.
/// 2. The cell was made by `new_sync` with these types.
#[cold]
#[expect(unsafe_code, reason = "runs the body of a cell")]
pub(super) unsafe fn run_sync_here<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Ran
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    // SAFETY: alive by the handle (obligation 1).
    let header = unsafe { cell.as_ref() };
    if !header.state.start() {
        return Ran::lost(header);
    }
    // SAFETY: the start was claimed (and obligation 2).
    let Some(returned) = (unsafe { call_body::<F, T, E>(cell, home, present) }) else {
        header.exited(home);
        return Ran::Dropped(header.ended_as());
    };
    // SAFETY: the body was moved out; `complete_watched` does not release, and nothing else does.
    unsafe { finish(cell, returned, home, State::complete_watched, |_| {}) }
}

/// Moves the body out of the stage and calls it; gives what it returned, or its panic. Nothing if the
/// home refuses it: then it is killed, and its body dropped.
///
/// # Safety
///
/// The caller has claimed the start of a cell that was made by `new_sync` with these types.
#[inline(always)]
#[expect(unsafe_code, reason = "moves the body out of the cell")]
unsafe fn call_body<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Option<Returned<T, E>>
where
    F: FnOnce() -> Result<T, E>,
{
    let stage = stage_of::<Result<T, E>>(cell);
    let call = || {
        // SAFETY: alive, as the caller's claim keeps it.
        let body = unsafe { cell.as_ref() }.stage.with_mut(|_| {
            // SAFETY: the stage holds the body, and the claim made it ours to move out.
            unsafe { stage.cast::<F>().read() }
        });
        context::enter(cell, || catch_unwind(AssertUnwindSafe(body)))
    };
    let Some(present) = present else {
        return Some(call());
    };
    let returned = present.during(cell, || {
        // SAFETY: alive and claimed, as the caller says.
        let refused = present.is_controlled() && unsafe { refuse(cell, home, false) };
        (!refused).then(call)
    });
    if returned.is_none() {
        context::enter(cell, || {
            // SAFETY: the body was not moved out, and the claim made it ours.
            unsafe { drop_body::<F, Result<T, E>>(cell) };
        });
    }
    returned
}

/// Asks the home whether it refuses this token, and kills it then.
///
/// # Safety
///
/// The cell is alive until this returns.
#[cold]
#[expect(unsafe_code, reason = "claims through the cell pointer")]
pub(super) unsafe fn refuse(cell: NonNull<Header>, home: &Arc<dyn Home>, started: bool) -> bool {
    // SAFETY: as the caller says.
    let view = TokenView::of(unsafe { cell.as_ref() });
    let Some(reason) = home.refuses(&view, started) else {
        return false;
    };
    // Nothing, if it was killed meanwhile: then it is refused all the same.
    // SAFETY: as the caller says.
    drop(unsafe { kill::claim_as_owner(cell, Ending::Killed(reason), State::kill) });
    true
}

/// Tells the home that the token has exited, stores what the body gave, resolves, wakes, and lets
/// go of the runnable half.
///
/// `complete` is the transition to use: `State::complete` may release in the same step. Else
/// `release` lets go of the half.
///
/// # Safety
///
/// 1. The caller has claimed the start, and owns the runnable half and gives it up, unless neither
///    `complete` nor `release` lets go of it.
/// 2. The stage is empty, of a cell with results of this type.
#[inline(always)]
#[expect(unsafe_code, reason = "writes the result and releases")]
pub(super) unsafe fn finish<T, E>(
    cell: NonNull<Header>,
    returned: Returned<T, E>,
    home: &Arc<dyn Home>,
    complete: impl FnOnce(&State, Outcome) -> Complete,
    release: unsafe fn(NonNull<Header>),
) -> Ran {
    // SAFETY: alive until the half lets go (obligation 1).
    let header = unsafe { cell.as_ref() };
    let (outcome, ran) = match &returned {
        Ok(Ok(_)) => (Outcome::Value, Ran::Completed),
        Ok(Err(_)) => (Outcome::Error, Ran::Failed),
        Err(_) => (Outcome::Panicked, Ran::Panicked),
    };
    // Before it resolves: what it held is free when its caller hears of it.
    header.exited(home);
    if outcome != Outcome::Value {
        // For the handle, should it be dropped unread.
        let _ = header.extras().home().set(home.clone());
    }
    let stage = stage_of::<Result<T, E>>(cell);
    header.stage.with_mut(|_| match returned {
        // SAFETY: the stage is empty and ours (obligation 2), and large enough for either.
        Ok(result) => unsafe { stage.cast::<Result<T, E>>().write(result) },
        // SAFETY: as above.
        Err(panic) => unsafe { stage.cast::<Box<dyn Any + Send>>().write(panic) },
    });
    let ran = match complete(&header.state, outcome) {
        Complete::Released => return ran,
        Complete::Resolved { waker, closed } => {
            if closed {
                // SAFETY: written above; the handle let go before, so the result is ours.
                let failure = unsafe { drop_result::<T, E>(cell, outcome) };
                report(header, failure, home);
            }
            if waker {
                // SAFETY: the transition gave the slot to us.
                unsafe { wake(header, closed) };
            }
            ran
        }
        Complete::Late => {
            // SAFETY: written above; the outcome is a killer's, so the handle does not read it.
            drop(unsafe { drop_result::<T, E>(cell, outcome) });
            Ran::Late(header.ended_as())
        }
    };
    // SAFETY: the half is ours (obligation 1); result and waker were seen to.
    unsafe { release(cell) };
    ran
}

/// Lets go of the runnable half, of async cells when the last waker is gone too.
///
/// # Safety
///
/// The caller owns the runnable half, gives it up, and body and result are seen to.
#[expect(unsafe_code, reason = "ends the caller's right to the cell")]
pub(super) unsafe fn release_watched(cell: NonNull<Header>) {
    // SAFETY: alive until this lets go.
    if unsafe { cell.as_ref() }.is_async() {
        // SAFETY: the execution's own reference is given up with the half.
        unsafe { super::task::drop_reference(cell) }
    } else {
        // SAFETY: as the caller says.
        unsafe { release(cell) }
    }
}

/// Lets go of the runnable half, and frees the cell if that was the last step.
///
/// # Safety
///
/// The caller owns the runnable half, of an async cell also its last reference, and gives it up;
/// body and result are seen to.
#[expect(unsafe_code, reason = "frees the cell")]
pub(super) unsafe fn release(cell: NonNull<Header>) {
    // SAFETY: alive until this step.
    let last = unsafe { cell.as_ref() }.state.release();
    if last {
        // SAFETY: our step was the last, and the stage is empty.
        unsafe { free_cell(cell) }
    }
}

/// Takes the waker out of the slot and wakes it, or only drops it if the handle let go.
///
/// # Safety
///
/// The transition that resolved found `WAKER`, and was the caller's.
#[cold]
#[expect(unsafe_code, reason = "reads the waker slot")]
pub(super) unsafe fn wake(header: &Header, closed: bool) {
    // SAFETY: the slot belongs to whoever resolved.
    let waker = header.waker.with_mut(|slot| unsafe { &mut *slot }.take());
    contain(|| match waker {
        Some(waker) if !closed => waker.wake(),
        unused => drop(unused),
    });
}

/// Drops the result in place; says what failure it was.
///
/// # Safety
///
/// The stage holds a result of this type with this outcome, and it is the caller's.
#[cold]
#[expect(unsafe_code, reason = "drops the result in the cell")]
unsafe fn drop_result<T, E>(cell: NonNull<Header>, outcome: Outcome) -> Option<FailureKind> {
    let stage = stage_of::<Result<T, E>>(cell);
    // SAFETY: alive, as the caller owns a part of it.
    unsafe { cell.as_ref() }.stage.with_mut(|_| match outcome {
        Outcome::Panicked => {
            // SAFETY: the outcome says what is there; moved out, so dropped once.
            let payload = unsafe { stage.cast::<Box<dyn Any + Send>>().read() };
            let message = crate::error::panic_message(&*payload).into_owned();
            contain(|| drop(payload));
            Some(FailureKind::Panic(message))
        }
        _ => {
            // SAFETY: as above.
            let result = unsafe { stage.cast::<Result<T, E>>().read() };
            let failed = result.is_err();
            contain(|| drop(result));
            failed.then_some(FailureKind::Error)
        }
    })
}

/// Tells the home of a failure that nobody will read.
#[cold]
fn report(header: &Header, failure: Option<FailureKind>, home: &Arc<dyn Home>) {
    if let Some(kind) = failure {
        let failure = Failure::new(header.id, header.operation, kind);
        contain(|| home.unobserved(&failure));
    }
}

/// Drops the body in place, and contains its panic. For [`super::VTable::drop_body`].
///
/// # Safety
///
/// The stage holds a body of this type, in a cell with results of type `R`, and it is the caller's.
#[expect(unsafe_code, reason = "drops the body in the cell")]
pub(super) unsafe fn drop_body<B, R>(cell: NonNull<Header>) {
    let body = stage_of::<R>(cell).cast::<B>();
    // SAFETY: alive, as the caller owns a part of it.
    unsafe { cell.as_ref() }.stage.with_mut(|_| {
        contain(|| {
            // SAFETY: as the caller says; a future that was pinned here is dropped in place.
            unsafe { body.drop_in_place() }
        });
    });
}

/// The stage of a cell with results of type `R`.
#[expect(unsafe_code, reason = "an offset inside the cell")]
pub(super) fn stage_of<R>(cell: NonNull<Header>) -> NonNull<()> {
    // SAFETY: every cell with results of this type has its stage there, inside the allocation.
    unsafe { cell.byte_add(result_offset::<R>()) }.cast()
}
