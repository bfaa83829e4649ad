//! The tokens that a thread executes, reachable from other threads.
//!
//! Kept by the runner around each body, so that a shutdown can end a token whose body never returns.
//! Keeps: a cell can be reached only while its body runs, for the runner waits before it lets go
//! until nobody holds it; and all the time that its body runs, below others too.
//!
//! | slot | meaning | leaves it by |
//! |---|---|---|
//! | null | no body runs, or it is about to | runner: body starts |
//! | cell | its body runs, on top of those in the list | runner: body ends, another starts; anybody: claim |
//! | cell, tag set | somebody claims it, with the list locked; the runner waits before it lets go | the same: done |
//!
//! A claim is short: it drops no body and wakes nobody.

use std::borrow::Cow;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::PoisonError;

use crate::Operation;
use crate::cell::{Header, kill};
use crate::extras::Ending;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

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

struct Outer(*mut Header);

#[expect(unsafe_code, reason = "points to a cell that threads share")]
// SAFETY: used under the lock only, for claims, which any thread may make.
unsafe impl Send for Outer {}

/// The tag of a slot that is being claimed; the alignment of a cell leaves the bit free.
const CLAIMED: usize = 1;

impl Present {
    /// For a thread that runs nothing yet.
    pub fn new() -> Self {
        Self {
            innermost: AtomicPtr::new(ptr::null_mut()),
            outer: Mutex::new(Vec::new()),
        }
    }

    /// Calls `body`, which is the body of this cell, for the time of which others reach it.
    #[inline(always)]
    pub(crate) fn during<R>(&self, cell: NonNull<Header>, body: impl FnOnce() -> R) -> R {
        // Relaxed: this thread alone puts cells in.
        if !self.innermost.load(Relaxed).is_null() {
            return self.nest(cell, body);
        }
        // Release: who claims the slot sees the cell as it is now.
        self.innermost.store(cell.as_ptr(), Release);
        let result = body();
        if !self.try_leave(cell) {
            self.wait_until(|| self.try_leave(cell));
        }
        result
    }

    /// As [`during`](Self::during), on top of a body that is there already.
    #[cold]
    fn nest<R>(&self, cell: NonNull<Header>, body: impl FnOnce() -> R) -> R {
        {
            let mut outer = self.outer();
            // With the list locked nobody claims the slot, so it may be written: see `kill`.
            // AcqRel: as the steps of `during`.
            outer.push(Outer(self.innermost.swap(cell.as_ptr(), AcqRel)));
        }
        let result = body();
        self.wait_until(|| self.try_return(cell));
        result
    }

    #[inline(always)]
    fn try_leave(&self, cell: NonNull<Header>) -> bool {
        // AcqRel: what a claim did with the cell happens before what the runner does next.
        self.innermost
            .compare_exchange(cell.as_ptr(), ptr::null_mut(), AcqRel, Relaxed)
            .is_ok()
    }

    /// Puts the body below back in its place, in one step for a kill.
    fn try_return(&self, cell: NonNull<Header>) -> bool {
        let mut outer = self.outer();
        // Relaxed: written with the list locked, as it is here.
        if self.innermost.load(Relaxed) != cell.as_ptr() {
            // Several threads run with this one, against the rules: wait for the other's end.
            return false;
        }
        let below = outer.pop().map_or(ptr::null_mut(), |Outer(below)| below);
        self.innermost.store(below, Release);
        true
    }

    #[cold]
    fn wait_until(&self, mut done: impl FnMut() -> bool) {
        let backoff = crossbeam_utils::Backoff::new();
        while !done() {
            crate::sync::snooze(&backoff);
        }
    }

    fn outer(&self) -> crate::sync::MutexGuard<'_, Vec<Outer>> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all tokens whose bodies run on this thread.
    ///
    /// Their handles resolve as killed, and the bodies see [`cancelled`](crate::cancelled).
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> PresentKilled {
        let reason = reason.into();
        let mut present = Vec::new();
        let mut claims = Vec::new();
        self.visit(|cell, header| {
            present.push(header.operation());
            #[expect(unsafe_code, reason = "claims a cell whose runner is held up")]
            // SAFETY: the runner does not let go until the visit is over.
            let claimed = unsafe { kill::claim(cell, Ending::Killed(reason.clone())) };
            claims.extend(claimed);
        });
        PresentKilled {
            present,
            // Dropped one by one: that wakes the callers, which is user code, with nothing held up.
            claimed: claims.into_iter().map(drop).count(),
        }
    }

    /// Calls `look` with each cell whose body runs on this thread, the innermost first.
    ///
    /// Its runner is held up meanwhile: `look` is short, drops no body and wakes nobody.
    fn visit(&self, mut look: impl FnMut(NonNull<Header>, &Header)) {
        let mut look = |cell: NonNull<Header>| {
            #[expect(unsafe_code, reason = "reads a cell whose runner is held up")]
            // SAFETY: the slot is locked, or the list is: the runner does not let go until then.
            look(cell, unsafe { cell.as_ref() });
        };
        // Locked over both, so that no body moves between them unseen, and no two kills meet.
        let outer = self.outer();
        // Relaxed: the exchange decides.
        let slot = self.innermost.load(Relaxed);
        if let Some(cell) = NonNull::new(slot)
            // Acquire: pairs with the Release of `during`.
            && self
                .innermost
                .compare_exchange(slot, slot.map_addr(|addr| addr | CLAIMED), Acquire, Relaxed)
                .is_ok()
        {
            look(cell);
            // Release: pairs with the exchange in `try_leave`.
            self.innermost.store(slot, Release);
        }
        outer
            .iter()
            .rev()
            .filter_map(|&Outer(cell)| NonNull::new(cell))
            .for_each(look);
    }
}

/// What [`Present::kill`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct PresentKilled {
    /// The operations whose bodies were running, the innermost first.
    pub present: Vec<&'static Operation>,
    /// How many of their tokens were ended by this; the others had ended before.
    pub claimed: usize,
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
