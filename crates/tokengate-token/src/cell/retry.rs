//! The runner's half of a cell whose body can run again: attempts in place, and what follows each.
//!
//! Called through the vtable by `Runnable`. Keeps: between two attempts the body is in the cell as
//! before its first start, and nothing of the attempt is left; whether there is another one is
//! decided once, by the policy, the home, and the state word, in this order. It waits for nothing:
//! whoever gets `Ran::Retry` does. Its tokens are not run by their waiters.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;

use super::handle::Handle;
use super::run::{self, Returned};
use super::task::{self, Task};
use super::{BODY_ALIGN, Cell, Header, Place, VTable, new_cell};
use crate::present::Present;
use crate::runnable::{Home, Ran, Runnable};
use crate::state::State;
use crate::{Operation, contain, context};

/// A future that can begin anew.
pub(crate) trait Anew: Future {
    /// Drops what is left of the present attempt; the next poll begins another one.
    fn begin_anew(self: Pin<&mut Self>);
}

impl<F: Anew> Anew for Pin<Box<F>> {
    fn begin_anew(self: Pin<&mut Self>) {
        self.get_mut().as_mut().begin_anew();
    }
}

/// Makes the cell of a sync body that can run again.
pub(crate) fn create_sync<F, T, E>(
    operation: &'static Operation,
    body: F,
) -> (Handle<T, E>, NonNull<Header>)
where
    F: FnMut() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    if align_of::<F>() > BODY_ALIGN {
        new_sync(operation, Box::new(body))
    } else {
        new_sync(operation, body)
    }
}

fn new_sync<F, T, E>(operation: &'static Operation, body: F) -> (Handle<T, E>, NonNull<Header>)
where
    F: FnMut() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    struct Sync<F, T, E>(PhantomData<(F, T, E)>);
    impl<F, T, E> Sync<F, T, E>
    where
        F: FnMut() -> Result<T, E> + Send + 'static,
    {
        const VTABLE: &'static VTable = &VTable {
            run: run_sync::<F, T, E>,
            run_here: None,
            drop_body: run::drop_body::<F, Result<T, E>>,
            block: Cell::<F, Result<T, E>, ()>::BLOCK,
            task_offset: None,
        };
    }
    let header = new_cell::<F, Result<T, E>, ()>(operation, Sync::<F, T, E>::VTABLE, body, ());
    (Handle::new(header), header)
}

/// Makes the cell of an async body that can run again.
pub(crate) fn create_async<F, T, E>(
    operation: &'static Operation,
    body: F,
) -> (Handle<T, E>, NonNull<Header>)
where
    F: Anew<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    if align_of::<F>() > BODY_ALIGN {
        new_async(operation, Box::pin(body))
    } else {
        new_async(operation, body)
    }
}

fn new_async<F, T, E>(operation: &'static Operation, body: F) -> (Handle<T, E>, NonNull<Header>)
where
    F: Anew<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    struct Async<F, T, E>(PhantomData<(F, T, E)>);
    impl<F, T, E> Async<F, T, E>
    where
        F: Anew<Output = Result<T, E>> + Send + 'static,
    {
        const VTABLE: &'static VTable = &VTable {
            run: run_async::<F, T, E>,
            run_here: None,
            drop_body: run::drop_body::<F, Result<T, E>>,
            block: Cell::<F, Result<T, E>, Task>::BLOCK,
            task_offset: Some(std::mem::offset_of!(Cell<F, Result<T, E>, Task>, task)),
        };
    }
    let vtable = Async::<F, T, E>::VTABLE;
    let header = new_cell::<F, Result<T, E>, Task>(operation, vtable, body, Task::new());
    (Handle::new(header), header)
}

/// Runs one attempt of a sync body. Consumes the runnable half, unless it gives it back.
///
/// # Safety
///
/// 1. The caller owns the runnable half and gives it up.
/// 2. The cell was made by `new_sync` of this file with these types.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
unsafe fn run_sync<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Ran
where
    F: FnMut() -> Result<T, E> + Send + 'static,
{
    // SAFETY: alive until the runnable half lets go (obligation 1); not used after that.
    let header = unsafe { cell.as_ref() };
    if !header.state.start() {
        let tombstone = Ran::Tombstone(header.ended_as());
        // SAFETY: the half is ours (obligation 1).
        unsafe { run::release(cell) };
        return tombstone;
    }
    // SAFETY: the start was claimed (and obligation 2).
    let returned = unsafe { call_body::<F, T, E>(cell, home, present) };
    let outcome = match returned {
        // Refused, and killed.
        None => None,
        Some(returned) if runs_again(header, &returned, home) => {
            drop_attempt(cell, || drop(returned));
            // SAFETY: the start was claimed, and nothing of the attempt is left.
            match unsafe { between_attempts(cell, home) } {
                Some(runnable) => return Ran::Retry(runnable),
                None => None,
            }
        }
        Some(returned) => Some(returned),
    };
    context::enter(cell, || {
        // SAFETY: the claim of the start made the body ours, and it does not run again.
        unsafe { run::drop_body::<F, Result<T, E>>(cell) };
    });
    match outcome {
        // SAFETY: the body is gone, so the stage is free; the half is ours (obligation 1).
        Some(returned) => unsafe {
            run::finish(cell, returned, home, State::complete, run::release_watched)
        },
        None => {
            header.exited(home);
            let dropped = Ran::Dropped(header.ended_as());
            // SAFETY: the half is ours (obligation 1); the body is gone, and there is no result.
            unsafe { run::release(cell) };
            dropped
        }
    }
}

/// Calls the body in the stage; gives what it returned, or its panic. Nothing if the home refuses it:
/// then it is killed.
///
/// # Safety
///
/// The caller has claimed the start of a cell that was made by `new_sync` of this file with these
/// types.
#[expect(unsafe_code, reason = "calls the body in the cell")]
unsafe fn call_body<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Option<Returned<T, E>>
where
    F: FnMut() -> Result<T, E>,
{
    // SAFETY: alive, as the caller's claim keeps it.
    let header = unsafe { cell.as_ref() };
    let body = run::stage_of::<Result<T, E>>(cell).cast::<F>();
    let call = || {
        // SAFETY: the stage holds the body, ours while the start is claimed.
        let body = || unsafe { &mut *body.as_ptr() }();
        context::enter(cell, || {
            header
                .stage
                .with_mut(|_| catch_unwind(AssertUnwindSafe(body)))
        })
    };
    match present {
        None => Some(call()),
        Some(present) => present.during(cell, || {
            // SAFETY: alive and claimed, as the caller says.
            let refused = present.is_controlled() && unsafe { run::refuse(cell, home, false) };
            (!refused).then(call)
        }),
    }
}

/// Polls an async body. Consumes the runnable half, unless it gives it back.
///
/// # Safety
///
/// As [`run_sync`], with `new_async` of this file.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
unsafe fn run_async<F, T, E>(
    cell: NonNull<Header>,
    home: &Arc<dyn Home>,
    present: Option<&Present>,
) -> Ran
where
    F: Anew<Output = Result<T, E>> + Send + 'static,
{
    // SAFETY: as the caller says.
    unsafe { task::poll::<F, T, E>(cell, home, present, end_attempt::<F, T, E>) }
}

/// Ends an attempt of an async body, and all of it unless another one follows. For [`task::poll`].
///
/// # Safety
///
/// The caller has claimed the start of a cell that was made by `new_async` of this file with these
/// types, and owns the runnable half and the future and gives them up.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
unsafe fn end_attempt<F, T, E>(
    cell: NonNull<Header>,
    returned: Returned<T, E>,
    home: &Arc<dyn Home>,
) -> Ran
where
    F: Anew<Output = Result<T, E>> + Send + 'static,
{
    // SAFETY: alive while the half is ours.
    let header = unsafe { cell.as_ref() };
    if !runs_again(header, &returned, home) {
        // SAFETY: as the caller says.
        return unsafe { task::finish::<F, T, E>(cell, returned, home) };
    }
    drop_attempt(cell, || drop(returned));
    drop_attempt(cell, || {
        let future = run::stage_of::<Result<T, E>>(cell).cast::<F>();
        header.stage.with_mut(|_| {
            // SAFETY: the stage holds the future, which is ours.
            let future = unsafe { &mut *future.as_ptr() };
            // SAFETY: it is not moved from here until it is dropped in place.
            unsafe { Pin::new_unchecked(future) }.begin_anew();
        });
    });
    // SAFETY: the half is ours.
    unsafe { task::leave_home(cell) };
    // SAFETY: the start was claimed, and nothing of the attempt is left.
    match unsafe { between_attempts(cell, home) } {
        Some(runnable) => Ran::Retry(runnable),
        // SAFETY: the half and the future are still ours, and the token was killed.
        None => unsafe { task::drop_at_home(cell, home) },
    }
}

/// Whether the body may run again after what this attempt gave: the policy says so, and the home.
fn runs_again<T, E>(header: &Header, returned: &Returned<T, E>, home: &Arc<dyn Home>) -> bool {
    let Some(policy) = header.operation.retry() else {
        return false;
    };
    let now = header.state.load();
    let has_failed = match returned {
        Ok(result) => result.is_err(),
        Err(_) => policy.is_on_panic(),
    };
    // A token that was ended meanwhile is not retried.
    let again = has_failed && now.attempt() < policy.attempts() && !now.resolved();
    home.attempted(header.operation, now.attempt(), again) && again
}

/// Drops a part of a failed attempt, which is user code.
fn drop_attempt(cell: NonNull<Header>, drop: impl FnOnce()) {
    context::enter(cell, || contain(drop));
}

/// Takes the token back to where it was before its start; nothing if it was killed meanwhile: then the
/// caller drops the body and lets go.
///
/// # Safety
///
/// The caller has claimed the start, and nothing is left of the attempt. It owns the runnable half, and
/// gives it to the result.
#[expect(unsafe_code, reason = "owns the runnable half of a cell")]
unsafe fn between_attempts(cell: NonNull<Header>, home: &Arc<dyn Home>) -> Option<Runnable> {
    // SAFETY: alive while the half is the caller's.
    let header = unsafe { cell.as_ref() };
    // For whoever kills it from now on.
    let _ = header.extras().home().set(home.clone());
    // Before the step, so that nobody takes it for one that may start.
    header.set_place(Place {
        aside: true,
        ..header.place()
    });
    // SAFETY: as the caller says.
    header
        .state
        .retry()
        .then(|| unsafe { Runnable::from_raw(cell) })
}
