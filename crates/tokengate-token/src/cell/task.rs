//! The part that only async bodies have: polls, wakers, the way home.
//!
//! Called through the vtable by `Runnable`, and by wakers from any thread. Keeps: the future is
//! polled and dropped only by the owner of the runnable; a wake-up gives at most one runnable; the
//! runnable half lets go when the body is done and the last waker is gone.

use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::Header;
use super::run::{self, Returned};
use crate::present::Present;
use crate::runnable::{Home, Ran, Runnable, TaskRef};
use crate::state::{State, Suspend};
use crate::sync::UnsafeCell;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::{AcqRel, Relaxed};
use crate::{Bond, contain, context};

/// What an async cell has beside the stage.
pub(super) struct Task {
    /// One for the execution, one for each waker and each [`TaskRef`].
    references: AtomicUsize,
    /// Set by the runner before the first suspension; not changed after that. Read by whoever was
    /// given the runnable by a wake-up or a kill, which happens after that suspension.
    home: UnsafeCell<Option<Arc<dyn Home>>>,
    /// The key under which the home keeps the body, or [`NO_SEAT`]; touched by the runnable's owner
    /// only.
    seat: UnsafeCell<usize>,
}

/// Not suspended so far, in this attempt.
const NO_SEAT: usize = usize::MAX;

impl Task {
    pub(super) fn new() -> Self {
        Self {
            references: AtomicUsize::new(1),
            home: UnsafeCell::new(None),
            seat: UnsafeCell::new(NO_SEAT),
        }
    }
}

/// The task of an async cell.
///
/// # Safety
///
/// The cell is async, and alive for as long as the reference is used.
#[expect(unsafe_code, reason = "an offset inside the cell")]
unsafe fn task_of<'a>(cell: NonNull<Header>) -> &'a Task {
    // SAFETY: as the caller says.
    let offset = unsafe { cell.as_ref() }.vtable.task_offset;
    let offset = offset.expect("only async cells have a task");
    // SAFETY: inside the cell's allocation.
    let task = unsafe { cell.byte_add(offset) }.cast::<Task>();
    // SAFETY: initialised with the cell; only shared references to it exist.
    unsafe { task.as_ref() }
}

/// Ends an async body whose future has returned or panicked.
pub(super) type End<T, E> = unsafe fn(NonNull<Header>, Returned<T, E>, &Arc<dyn Home>) -> Ran;

/// Polls an async body. Consumes the runnable half, unless it gives it back.
///
/// # Safety
///
/// 1. The caller owns the runnable half and gives it up.
/// 2. The cell was made by `new_async` with these types.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn run_async<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Ran
where
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    // SAFETY: as the caller says.
    unsafe { poll::<F, T, E>(cell, home, present, finish::<F, T, E>) }
}

/// As [`run_async`]; `end` ends a body whose future has returned or panicked.
///
/// # Safety
///
/// As [`run_async`], and those of `end`.
#[inline(always)]
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn poll<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
    end: End<T, E>,
) -> Ran
where
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    // SAFETY: alive until the runnable half lets go (obligation 1); not used after that.
    let header = unsafe { cell.as_ref() };
    let started = header.state.load().started();
    if started {
        if !header.state.resume() {
            // SAFETY: a runnable of a started body owns the future.
            return unsafe { drop_at_home(cell, home) };
        }
    } else if !header.state.start() {
        let tombstone = Ran::Tombstone(header.ended_as());
        // SAFETY: the execution's reference is given up with the half (obligation 1).
        unsafe { drop_reference(cell) };
        return tombstone;
    }
    let future = run::stage_of::<Result<T, E>>(cell).cast::<F>();
    let poll = || {
        // SAFETY: the vtable's functions uphold what a waker needs; the execution's reference
        // outlives this borrowed one, which is not dropped.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(cell)) });
        let mut context = Context::from_waker(&waker);
        catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: the stage holds the future (obligation 2), ours while `RUNNING` is.
            let future = unsafe { &mut *future.as_ptr() };
            // SAFETY: it is not moved from here until it is dropped in place.
            unsafe { Pin::new_unchecked(future) }.poll(&mut context)
        }))
    };
    let poll = || context::enter(cell, || header.stage.with_mut(|_| poll()));
    let polled = match present {
        Some(present) => present.during(cell, || {
            // SAFETY: alive while the half is ours.
            let refused = present.is_controlled() && unsafe { run::refuse(cell, home, started) };
            (!refused).then(poll)
        }),
        None => Some(poll()),
    };
    let Some(polled) = polled else {
        // SAFETY: the half and the future are ours, and the token was killed.
        return unsafe { drop_at_home(cell, home) };
    };
    let returned = match polled {
        // SAFETY: the half and the future are ours.
        Ok(Poll::Pending) => return unsafe { suspend(cell, home, present) },
        Ok(Poll::Ready(result)) => Ok(result),
        Err(panic) => Err(panic),
    };
    // SAFETY: the start was claimed; the half and the future are ours.
    unsafe { end(cell, returned, home) }
}

/// Ends an async body whose future has returned or panicked. For [`poll`].
///
/// # Safety
///
/// The caller has claimed the start of a cell that holds such a future, and owns the runnable half
/// and the future and gives them up.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn finish<F, T, E>(
    cell: NonNull<Header>,
    returned: Returned<T, E>,
    home: &Arc<dyn Home>,
) -> Ran {
    context::enter(cell, || {
        // SAFETY: ours, and not polled again.
        unsafe { run::drop_body::<F, Result<T, E>>(cell) };
    });
    // SAFETY: still ours.
    unsafe { leave_home(cell) };
    // SAFETY: the start was claimed, the stage is empty, and `complete_watched` does not release.
    unsafe {
        run::finish(
            cell,
            returned,
            home,
            State::complete_watched,
            run::release_watched,
        )
    }
}

/// Ends a poll that returned `Pending`.
///
/// # Safety
///
/// The caller owns the runnable half, is in `RUNNING`, and gives the half up.
#[expect(unsafe_code, reason = "hands the runnable half to the next waker")]
unsafe fn suspend(cell: NonNull<Header>, home: &Arc<dyn Home>, present: Option<&Present>) -> Ran {
    // SAFETY: alive while the half is ours.
    let (header, task) = (unsafe { cell.as_ref() }, unsafe { task_of(cell) });
    // SAFETY: only the runnable's owner touches the seat.
    let first = task.seat.with(|seat| unsafe { *seat }) == NO_SEAT;
    if first {
        // An earlier attempt may have set it.
        // SAFETY: read only, as a wake-up of that attempt may still be inside `post_home`.
        if task.home.with(|slot| unsafe { &*slot }.is_none()) {
            // SAFETY: before the first suspension nobody is given the runnable, so nobody else looks.
            let set = |slot: *mut Option<_>| unsafe { *slot = Some(home.clone()) };
            task.home.with_mut(set);
        }
        // SAFETY: the cell is async, and the execution's reference keeps it alive.
        let seat = home.seat(unsafe { new_reference(cell) });
        // SAFETY: only the runnable's owner touches the seat.
        task.seat.with_mut(|slot| unsafe { *slot = seat });
        // Who looks for tokens to end has found it in its poll or finds it in its seat, unless the
        // look fell between the two.
        if present.is_some_and(Present::is_controlled) {
            // SAFETY: alive while the half is ours.
            let _ = unsafe { run::refuse(cell, home, true) };
        }
    }
    match header.state.suspend() {
        Suspend::Suspended => Ran::Suspended,
        // SAFETY: the half is still ours.
        Suspend::Again => Ran::Again(unsafe { Runnable::from_raw(cell) }),
        // SAFETY: the half and the future are still ours.
        Suspend::Killed => unsafe { drop_at_home(cell, home) },
    }
}

/// Drops the future of a token that was ended from outside, tells the home that it has exited, and
/// lets go.
///
/// # Safety
///
/// As [`drop_future`].
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn drop_at_home(cell: NonNull<Header>, home: &Arc<dyn Home>) -> Ran {
    // SAFETY: alive while the half is ours.
    let header = unsafe { cell.as_ref() };
    let (operation, outcome) = (header.operation, header.ended_as());
    // SAFETY: as the caller says.
    let bond = unsafe { drop_future(cell) };
    if !bond.is_none() {
        home.exited(operation, bond);
    }
    Ran::Dropped(outcome)
}

/// Drops the future of a token that was ended from outside, and lets go; what it was bound to.
///
/// # Safety
///
/// The caller owns the runnable half of a started async body, or has claimed its start, and gives it
/// up.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
pub(super) unsafe fn drop_future(cell: NonNull<Header>) -> Bond {
    // SAFETY: alive while the half is ours.
    let header = unsafe { cell.as_ref() };
    context::enter(cell, || {
        // SAFETY: the runnable's owner owns the future.
        unsafe { (header.vtable.drop_body)(cell) };
    });
    // SAFETY: still ours.
    unsafe { leave_home(cell) };
    let bond = header.bond.take();
    // SAFETY: the execution's reference is given up with the half.
    unsafe { drop_reference(cell) };
    bond
}

/// Gives the seat back, if the body was suspended in this attempt.
///
/// # Safety
///
/// The caller owns the runnable half of an async cell.
#[expect(unsafe_code, reason = "reads what belongs to the runnable's owner")]
pub(super) unsafe fn leave_home(cell: NonNull<Header>) {
    // SAFETY: alive while the half is the caller's.
    let task = unsafe { task_of(cell) };
    // SAFETY: only the runnable's owner touches the seat.
    let seat = task
        .seat
        .with_mut(|seat| mem::replace(unsafe { &mut *seat }, NO_SEAT));
    if seat == NO_SEAT {
        return;
    }
    task.home.with(|home| {
        // SAFETY: written by an earlier owner of the runnable only.
        let home = unsafe { &*home }.as_ref();
        home.expect("set before a seat was taken").leave(seat);
    });
}

/// Posts a runnable to the home of its body.
///
/// # Safety
///
/// The cell is async, was suspended before, and the caller has a counted reference until this
/// returns: the posted runnable may have run to its end by then.
#[expect(unsafe_code, reason = "reads the home in the cell")]
pub(super) unsafe fn post_home(cell: NonNull<Header>, runnable: Runnable) {
    // SAFETY: as the caller says.
    let task = unsafe { task_of(cell) };
    task.home.with(|home| {
        // SAFETY: written before the suspension that the caller's step on the word happened after,
        // and not written again.
        let home = unsafe { &*home }.as_ref();
        home.expect("set at the first suspension").post(runnable);
    });
}

/// A further counted reference.
///
/// # Safety
///
/// The cell is async, and the caller has a reference that keeps it alive.
#[expect(unsafe_code, reason = "counts a reference to the cell")]
pub(crate) unsafe fn new_reference(cell: NonNull<Header>) -> TaskRef {
    // Relaxed: the caller's own reference orders this before the last drop.
    // SAFETY: as the caller says.
    let before = unsafe { task_of(cell) }.references.fetch_add(1, Relaxed);
    if before > usize::MAX / 2 {
        // Leaked wakers by the quintillion: going on could free a cell in use.
        std::process::abort();
    }
    // SAFETY: counted just now.
    unsafe { TaskRef::from_raw(cell) }
}

/// Gives up one reference; the last one lets go of the runnable half.
///
/// # Safety
///
/// The cell is async, and the reference is the caller's. The execution's own is given up only when
/// the body is gone.
#[expect(unsafe_code, reason = "ends the caller's right to the cell")]
pub(crate) unsafe fn drop_reference(cell: NonNull<Header>) {
    // AcqRel: what others did with the cell under their references happens before the release.
    // SAFETY: alive by the caller's reference.
    let before = unsafe { task_of(cell) }.references.fetch_sub(1, AcqRel);
    if before == 1 {
        // The home goes with the last reference: a waker may still be inside `post_home` before.
        // SAFETY: alive until the release below.
        let task = unsafe { task_of(cell) };
        // SAFETY: no other reference exists, and whoever uses the home has one.
        let home = task.home.with_mut(|home| unsafe { &mut *home }.take());
        // SAFETY: the last reference is the runnable half.
        unsafe { run::release(cell) };
        contain(|| drop(home));
    }
}

static WAKER_VTABLE: RawWakerVTable =
    RawWakerVTable::new(clone_waker, wake, wake_by_ref, drop_waker);

fn raw_waker(cell: NonNull<Header>) -> RawWaker {
    RawWaker::new(cell.as_ptr().cast_const().cast(), &WAKER_VTABLE)
}

fn cell_of(data: *const ()) -> NonNull<Header> {
    NonNull::new(data.cast_mut().cast()).expect("wakers are made from cells")
}

/// # Safety
///
/// `data` is a cell that the caller's waker has a reference to.
#[expect(unsafe_code, reason = "part of a raw waker")]
unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: as the caller says.
    let reference = unsafe { new_reference(cell_of(data)) };
    raw_waker(reference.into_raw())
}

/// # Safety
///
/// As [`clone_waker`]; the reference is given up.
#[expect(unsafe_code, reason = "part of a raw waker")]
unsafe fn wake(data: *const ()) {
    // SAFETY: as the caller says.
    unsafe { wake_by_ref(data) }
    // SAFETY: as the caller says.
    unsafe { drop_waker(data) }
}

/// # Safety
///
/// As [`clone_waker`].
#[expect(unsafe_code, reason = "part of a raw waker")]
unsafe fn wake_by_ref(data: *const ()) {
    let cell = cell_of(data);
    // SAFETY: alive by the waker's reference.
    if unsafe { cell.as_ref() }.state.wake() {
        // SAFETY: the wake-up gave the runnable to us.
        let runnable = unsafe { Runnable::from_raw(cell) };
        // SAFETY: it was suspended, and is alive by the waker's reference.
        unsafe { post_home(cell, runnable) };
    }
}

/// # Safety
///
/// As [`clone_waker`]; the reference is given up.
#[expect(unsafe_code, reason = "part of a raw waker")]
unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as the caller says.
    unsafe { drop_reference(cell_of(data)) }
}
