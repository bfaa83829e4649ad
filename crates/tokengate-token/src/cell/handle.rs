//! The caller's half of a cell: waits, takes the result, lets go.
//!
//! Owned by a `Token`. Keeps: the result is taken at most once, the waker slot is touched only while
//! it belongs to the handle, and the cell is freed if the handle is the last to let go.

use std::any::Any;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::task::Waker;

use super::{Header, free_cell, result_offset};
use crate::contain;
use crate::extras::Ending;
use crate::runnable::{Failure, FailureKind};
use crate::state::Outcome;
use crate::wait::Awaited;

/// The tag in a handle's pointer.
const TAKEN: usize = 1;

/// The caller's half; `T` and `E` say where the result is and what it is.
pub(crate) struct Handle<T, E> {
    /// The cell. Its lowest bit, which the alignment leaves free, says that the result was taken
    /// and only letting go is left: a flag beside the pointer would double a token's size, and
    /// makes every move of one a store that the next load has to wait for (15 ns on Zen 3).
    tagged: NonNull<Header>,
    result: PhantomData<Result<T, E>>,
}

/// What a resolved token gave.
pub(crate) enum Taken<T, E> {
    Returned(Result<T, E>),
    Panicked(Box<dyn Any + Send>),
    Ended(Ending),
}

#[expect(
    unsafe_code,
    reason = "the handle is a pointer to a cell that threads share"
)]
// SAFETY: what threads share is the header, whose fields are atomics or guarded by the state word.
// A handle moves results of type `T` and `E` between threads, hence the bounds.
unsafe impl<T: Send, E: Send> Send for Handle<T, E> {}
#[expect(
    unsafe_code,
    reason = "the handle is a pointer to a cell that threads share"
)]
// SAFETY: with a shared handle one can read the header's atomics and kill; results and wakers need
// the handle by unique reference.
unsafe impl<T: Send, E: Send> Sync for Handle<T, E> {}

impl<T, E> Handle<T, E> {
    pub(super) fn new(header: NonNull<Header>) -> Self {
        Self {
            tagged: header,
            result: PhantomData,
        }
    }

    #[inline(always)]
    #[expect(unsafe_code, reason = "reads through the cell pointer")]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the handle has not let go, so the cell is alive.
        unsafe { self.cell().as_ref() }
    }

    #[inline(always)]
    pub(crate) fn cell(&self) -> NonNull<Header> {
        self.tagged.map_addr(|addr| {
            // The address of a cell is not 0 without its tag.
            NonZeroUsize::new(addr.get() & !TAKEN).unwrap_or(addr)
        })
    }

    #[inline(always)]
    pub(crate) fn is_taken(&self) -> bool {
        self.tagged.addr().get() & TAKEN != 0
    }

    fn set_taken(&mut self) {
        self.tagged = self.tagged.map_addr(|addr| addr | TAKEN);
    }

    /// Leaves `waker` to be woken when the token resolves; `false` if it is resolved already.
    ///
    /// A waker that was left before is replaced. If `clone` of the waker panics nothing is lost:
    /// the slot is empty and belongs to the handle.
    #[expect(unsafe_code, reason = "writes the waker slot")]
    pub(crate) fn register(&mut self, waker: &Waker) -> bool {
        let header = self.header();
        let snapshot = header.state.load();
        if snapshot.resolved() {
            return false;
        }
        if snapshot.waker_registered() && !header.state.reclaim_waker() {
            return false;
        }
        // From here the slot is ours: `WAKER` is clear, and only this handle sets it.
        // SAFETY: the slot belongs to the handle, which is borrowed uniquely.
        let old = header.waker.with_mut(|slot| unsafe { &mut *slot }.take());
        let waker = match old {
            Some(old) if old.will_wake(waker) => old,
            old => {
                contain(|| drop(old));
                waker.clone()
            }
        };
        // SAFETY: as above.
        header.waker.with_mut(|slot| unsafe { *slot = Some(waker) });
        if header.state.publish_waker() {
            return true;
        }
        // SAFETY: as above; the token resolved before the slot was given away.
        let unused = header.waker.with_mut(|slot| unsafe { &mut *slot }.take());
        contain(|| drop(unused));
        false
    }

    /// Takes the result of a resolved token.
    ///
    /// # Panics
    ///
    /// If it was taken before, or is not resolved.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Taken<T, E> {
        assert!(!self.is_taken(), "the result of a token is taken only once");
        let outcome = self.header().state.load().outcome();
        self.set_taken();
        match outcome.expect("only a resolved token has a result") {
            Outcome::Value | Outcome::Error => Taken::Returned(self.read_returned()),
            Outcome::Panicked => Taken::Panicked(self.read_panic()),
            Outcome::Killed | Outcome::Rejected | Outcome::TimedOut => {
                let ending = self.header().extras().ending().take();
                Taken::Ended(ending.expect("written by the killer, read once"))
            }
        }
    }

    /// Reads the returned value out of the stage. Once, and only for `Value` and `Error`.
    #[inline(always)]
    #[expect(unsafe_code, reason = "reads the result out of the cell")]
    fn read_returned(&self) -> Result<T, E> {
        self.header().stage.with_mut(|_| {
            // SAFETY: within the cell: that is how it was laid out for results of this type.
            let result = unsafe { self.cell().byte_add(result_offset::<Result<T, E>>()) };
            // SAFETY: the outcome says that the stage holds a result; `RESOLVED` was seen by an
            // Acquire load, so the runner's write is visible; the tag makes this the only read.
            unsafe { result.cast::<Result<T, E>>().read() }
        })
    }

    /// As [`read_returned`](Self::read_returned), for `Panicked`.
    #[cold]
    #[expect(unsafe_code, reason = "reads the panic out of the cell")]
    fn read_panic(&self) -> Box<dyn Any + Send> {
        self.header().stage.with_mut(|_| {
            // SAFETY: as in `read_returned`.
            let panic = unsafe { self.cell().byte_add(result_offset::<Result<T, E>>()) };
            // SAFETY: as in `read_returned`, with the outcome that says that it holds a panic.
            unsafe { panic.cast::<Box<dyn Any + Send>>().read() }
        })
    }

    /// Drops a result that nobody asked for, and reports it if it was a failure.
    #[cold]
    fn discard(&mut self) {
        let failure = match self.take() {
            Taken::Returned(Ok(value)) => {
                contain(|| drop(value));
                None
            }
            Taken::Returned(Err(error)) => {
                contain(|| drop(error));
                Some(FailureKind::Error)
            }
            Taken::Panicked(payload) => {
                let message = crate::error::panic_message(&*payload).into_owned();
                contain(|| drop(payload));
                Some(FailureKind::Panic(message))
            }
            Taken::Ended(_) => None,
        };
        let header = self.header();
        let home = header
            .extras_if_any()
            .and_then(|extras| extras.home().get());
        if let (Some(kind), Some(home)) = (failure, home) {
            let failure = Failure::new(header.id, header.operation, kind);
            contain(|| home.unobserved(&failure));
        }
    }
}

impl<T, E> Awaited for Handle<T, E> {
    fn is_over(&self) -> bool {
        self.header().state().load().resolved()
    }

    fn register(&mut self, waker: &Waker) -> bool {
        self.register(waker)
    }

    fn each(&mut self, f: &mut dyn FnMut(NonNull<Header>)) {
        f(self.cell());
    }
}

impl<T, E> Drop for Handle<T, E> {
    #[inline(always)]
    #[expect(unsafe_code, reason = "frees the cell")]
    fn drop(&mut self) {
        if !self.is_taken() {
            if !self.header().state.load().resolved() && self.header().state.detach() {
                return;
            }
            self.discard();
        }
        let state = &self.header().state;
        if state.load().handle_is_alone() || state.close() {
            // SAFETY: both halves have let go and no killer is inside: either that was seen by an
            // Acquire load, or our own step was the last. The result was taken.
            unsafe { free_cell(self.cell()) }
        }
    }
}
