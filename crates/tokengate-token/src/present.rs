//! The tokens that a thread executes, reachable from other threads.
//!
//! Kept by the runner around each body, so that a shutdown can end a token whose body never returns.
//! Keeps: a cell can be reached only while its body runs, for the runner waits before it lets go
//! until nobody holds it; and all the time that its body runs, below others too.
//!
//! | slot | meaning | leaves it by |
//! |---|---|---|
//! | null | no body runs, or the first one is about to | runner: body starts |
//! | frame | its body runs, on top of those below | runner: body ends, another starts; anybody: claim |
//! | frame, tag set | somebody looks at it and those below; the runner waits before it changes the slot | the same: done |
//!
//! Frames are on the runner's stack and do not change. A claim is short: it drops no body and wakes
//! nobody.

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
    innermost: AtomicPtr<Frame>,
    /// Held by those who claim the slot, so that no two do.
    claims: Mutex<()>,
}

/// A body that runs; on the stack of its runner for as long as it does.
struct Frame {
    cell: NonNull<Header>,
    /// The body that waits for this one, on the same stack.
    below: *mut Frame,
}

/// The tag of a slot that is claimed; the alignment of a frame leaves the bit free.
const CLAIMED: usize = 1;

impl Present {
    /// For a thread that runs nothing yet.
    pub fn new() -> Self {
        Self {
            innermost: AtomicPtr::new(ptr::null_mut()),
            claims: Mutex::new(()),
        }
    }

    /// Calls `body`, which is the body of this cell, for the time of which others reach it.
    #[inline(always)]
    pub(crate) fn during<R>(&self, cell: NonNull<Header>, body: impl FnOnce() -> R) -> R {
        // Relaxed: this thread alone puts frames in, and the tag is not part of one.
        let below = self
            .innermost
            .load(Relaxed)
            .map_addr(|addr| addr & !CLAIMED);
        let mut frame = Frame { cell, below };
        let own = &raw mut frame;
        if below.is_null() {
            // Release: who claims the slot sees the frame and the cell as they are now. Nobody
            // claims null, so there is nothing to write over.
            self.innermost.store(own, Release);
        } else {
            self.exchange(below, own);
        }
        let result = body();
        self.exchange(own, below);
        result
    }

    /// Changes the slot, as soon as nobody claims it.
    #[inline(always)]
    fn exchange(&self, from: *mut Frame, to: *mut Frame) {
        if !self.try_exchange(from, to) {
            self.wait_to_exchange(from, to);
        }
    }

    #[inline(always)]
    fn try_exchange(&self, from: *mut Frame, to: *mut Frame) -> bool {
        // AcqRel: what a claim did with the cells happens before what the runner does next, and who
        // claims the slot later sees the frame.
        self.innermost
            .compare_exchange(from, to, AcqRel, Relaxed)
            .is_ok()
    }

    #[cold]
    fn wait_to_exchange(&self, from: *mut Frame, to: *mut Frame) {
        let backoff = crossbeam_utils::Backoff::new();
        while !self.try_exchange(from, to) {
            crate::sync::snooze(&backoff);
        }
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
    #[expect(unsafe_code, reason = "reads frames and cells whose runner is held up")]
    fn visit(&self, mut look: impl FnMut(NonNull<Header>, &Header)) {
        let claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(innermost) = self.claim() else {
            return;
        };
        let mut next = innermost;
        // SAFETY: a frame is on the stack of a runner that does not leave it while the slot is
        // claimed, nor those below; the claim's Acquire shows it as it was put in.
        while let Some(frame) = unsafe { next.as_ref() } {
            // SAFETY: the runner lets go of the cell after it has left the frame.
            look(frame.cell, unsafe { frame.cell.as_ref() });
            next = frame.below;
        }
        // Release: pairs with the exchanges of the runner.
        self.innermost.store(innermost, Release);
        drop(claims);
    }

    /// Claims the slot, unless no body runs. Under the lock of the claims.
    fn claim(&self) -> Option<*mut Frame> {
        // Relaxed: the exchange decides.
        let mut now = self.innermost.load(Relaxed);
        while !now.is_null() {
            let claimed = now.map_addr(|addr| addr | CLAIMED);
            // Acquire: pairs with the Release of `during`.
            match self
                .innermost
                .compare_exchange_weak(now, claimed, Acquire, Relaxed)
            {
                Ok(_) => return Some(now),
                Err(other) => now = other,
            }
        }
        None
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
