//! The tokens that a thread executes, reachable from other threads.
//!
//! Entered and left by the runner around each body, so that a shutdown can end a token whose body
//! never returns. Keeps: a cell can be reached only while its body runs, for the runner waits in
//! `leave` until nobody holds it.
//!
//! | slot | meaning | leaves it by |
//! |---|---|---|
//! | null | no body runs, or it is about to | runner: `enter` |
//! | cell | its body runs | runner: `leave`; anybody: lock |
//! | cell, tag set | somebody claims it; the runner waits before it lets go | the same: unlock |
//!
//! One lock is enough for the wait, as a claim is short: it drops no body and wakes nobody.

use std::borrow::Cow;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::PoisonError;

use crate::cell::{Header, kill};
use crate::extras::Ending;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::{Operation, TokenId};

/// The tokens whose bodies run on one thread, for others to end them.
///
/// Given to [`Runnable::run_present`](crate::Runnable::run_present). Costs each body one atomic
/// read-modify-write.
pub struct Present {
    innermost: AtomicPtr<Header>,
    /// Bodies below the innermost one, which wait for it on the same stack. Their cells may be
    /// used under the lock: the runner takes them out before they are left.
    outer: Mutex<Vec<Outer>>,
}

struct Outer(NonNull<Header>);

#[expect(unsafe_code, reason = "points to a cell that threads share")]
// SAFETY: used under the lock only, for claims, which any thread may make.
unsafe impl Send for Outer {}

/// The tag of a locked slot; the alignment of a cell leaves the bit free.
const LOCKED: usize = 1;

impl Present {
    /// For a thread that runs nothing yet.
    pub fn new() -> Self {
        Self {
            innermost: AtomicPtr::new(ptr::null_mut()),
            outer: Mutex::new(Vec::new()),
        }
    }

    /// The body of this cell starts on this thread.
    #[inline(always)]
    pub(crate) fn enter(&self, cell: NonNull<Header>) {
        // Release: who locks the slot sees the cell as it is now.
        self.innermost.store(cell.as_ptr(), Release);
    }

    /// The body of this cell has ended; after this nobody reaches the cell through here.
    #[inline(always)]
    pub(crate) fn leave(&self, cell: NonNull<Header>) {
        if !self.try_leave(cell) {
            self.wait_and_leave(cell);
        }
    }

    #[inline(always)]
    fn try_leave(&self, cell: NonNull<Header>) -> bool {
        // AcqRel: what a claim did with the cell happens before what the runner does next.
        self.innermost
            .compare_exchange(cell.as_ptr(), ptr::null_mut(), AcqRel, Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait_and_leave(&self, cell: NonNull<Header>) {
        let backoff = crossbeam_utils::Backoff::new();
        while !self.try_leave(cell) {
            crate::sync::snooze(&backoff);
        }
    }

    /// Calls `run`, which runs another body on this stack, with the present one kept below.
    pub(crate) fn nest<R>(&self, run: impl FnOnce() -> R) -> R {
        // Relaxed: this thread alone puts cells in; a tag is somebody's claim under way.
        let slot = self.innermost.load(Relaxed).map_addr(|addr| addr & !LOCKED);
        let Some(below) = NonNull::new(slot) else {
            return run();
        };
        // First into the list, then out of the slot: a kill that looks at the list last finds it.
        self.outer().push(Outer(below));
        self.leave(below);
        let result = run();
        self.enter(below);
        self.outer().pop();
        result
    }

    fn outer(&self) -> crate::sync::MutexGuard<'_, Vec<Outer>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all tokens whose bodies run on this thread; gives their ids and operations.
    ///
    /// Their handles resolve as killed, and the bodies see [`cancelled`](crate::cancelled). A token
    /// that ended before is listed too, as long as its body runs.
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> Vec<(TokenId, &'static Operation)> {
        let reason = reason.into();
        let mut listed = Vec::new();
        let mut claims = Vec::new();
        let mut claim = |cell: NonNull<Header>| {
            #[expect(unsafe_code, reason = "reads a cell whose runner is held up")]
            // SAFETY: the slot is locked, or the list is: the runner does not let go until then.
            let header = unsafe { cell.as_ref() };
            listed.push((header.id(), header.operation()));
            #[expect(unsafe_code, reason = "claims a cell whose runner is held up")]
            // SAFETY: as above.
            let claimed = unsafe { kill::claim(cell, Ending::Killed(reason.clone())) };
            claims.extend(claimed);
        };
        // Relaxed: the exchange decides.
        let slot = self.innermost.load(Relaxed);
        if let Some(cell) = NonNull::new(slot)
            && slot.addr() & LOCKED == 0
            // Acquire: pairs with the Release of `enter`.
            && self
                .innermost
                .compare_exchange(slot, slot.map_addr(|addr| addr | LOCKED), Acquire, Relaxed)
                .is_ok()
        {
            claim(cell);
            // Release: pairs with the exchange in `leave`.
            self.innermost.store(slot, Release);
        }
        for &Outer(cell) in self.outer().iter() {
            claim(cell);
        }
        // Wakes the callers, which is user code: with nothing held up.
        drop(claims);
        listed
    }
}

impl Default for Present {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present").finish_non_exhaustive()
    }
}
