//! The tokens that a thread executes, reachable from other threads.
//!
//! Kept by the runner around each body, so that a shutdown can end a token whose body never returns.
//! Keeps: a cell can be reached only while its body runs, for the runner does not let go of it while
//! somebody looks; and all the time that its body runs, below others too.
//!
//! The runner stores the frame of each body when it starts, and what is below when it ends; then it
//! looks whether it is *watched*, and if so waits until it is not. Who looks makes it watched first, and
//! then reads the frames. Between each store and what follows there is a fence, so
//!
//! * the runner sees that it is watched, and the frame and cell it has just left stay until the look
//!   is over, or
//! * who looks sees that the body has ended, and does not touch its frame.
//!
//! Frames are on the runner's stack and do not change. A look is short: it drops no body and wakes
//! nobody. The fence of the runner, which it passes for each body, costs nothing where the system
//! offers that: see `barrier.rs`.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError};

use crate::barrier::Barriers;
use crate::cell::{Header, kill};
use crate::extras::{Ending, Extras, Times};
use crate::state::Outcome;
use crate::sync::Mutex;
use crate::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicBool, AtomicPtr};
use crate::{Operation, TokenView};

/// The tokens whose bodies run on one thread, to be reached through its [`Watcher`].
///
/// Given to [`Runnable::run_present`](crate::Runnable::run_present). Costs each body two stores. Not
/// `Sync`: one thread at a time runs bodies with it.
pub struct Present {
    slot: Arc<Slot>,
    not_sync: PhantomData<Cell<()>>,
}

/// A way to end the tokens whose bodies run on a thread; made by [`Present::watcher`].
#[derive(Clone)]
pub struct Watcher {
    slot: Arc<Slot>,
}

/// What the runner and those who look share.
struct Slot {
    /// The body on top, or null. Written by the runner.
    innermost: AtomicPtr<Frame>,
    /// Somebody looks. Written under the lock.
    watched: AtomicBool,
    /// The home is to be asked about each token. Written through a watcher.
    controlled: AtomicBool,
    barriers: Barriers,
    /// Held by those who look, so that no two do.
    looks: Mutex<()>,
}

/// A body that runs; on the stack of its runner for as long as it does.
struct Frame {
    cell: NonNull<Header>,
    /// The body that waits for this one, on the same stack.
    below: *mut Frame,
}

impl Present {
    /// For a thread that runs nothing yet.
    pub fn new() -> Self {
        Self {
            slot: Arc::new(Slot {
                innermost: AtomicPtr::new(ptr::null_mut()),
                watched: AtomicBool::new(false),
                controlled: AtomicBool::new(false),
                barriers: Barriers::of_this_process(),
                looks: Mutex::new(()),
            }),
            not_sync: PhantomData,
        }
    }

    /// For others to reach the bodies that run with this.
    pub fn watcher(&self) -> Watcher {
        Watcher {
            slot: self.slot.clone(),
        }
    }

    /// Calls `body`, which is the body of this cell, for the time of which others reach it.
    #[inline(always)]
    pub(crate) fn during<R>(&self, cell: NonNull<Header>, body: impl FnOnce() -> R) -> R {
        /// Leaves the frame, in whatever way the body ends.
        struct Leave<'a> {
            slot: &'a Slot,
            below: *mut Frame,
        }
        impl Drop for Leave<'_> {
            #[inline(always)]
            fn drop(&mut self) {
                self.slot.leave(self.below);
            }
        }
        let slot = &*self.slot;
        // Relaxed: this thread alone puts frames in.
        let below = slot.innermost.load(Relaxed);
        let mut frame = Frame { cell, below };
        let _leave = Leave { slot, below };
        // Release: who looks sees the frame and the cell as they are now.
        slot.innermost.store(&raw mut frame, Release);
        // Pairs with the heavy one of `visit`, as in `leave`: of a body that a look does not find, the
        // runner finds what was stored before that look.
        slot.barriers.light();
        body()
    }

    /// Whether the home is to be asked about tokens that start here; see [`Watcher::control`].
    #[inline(always)]
    pub fn is_controlled(&self) -> bool {
        // Acquire: pairs with the Release of `control`.
        self.slot.controlled.load(Acquire)
    }
}

impl Slot {
    #[inline(always)]
    fn leave(&self, below: *mut Frame) {
        self.innermost.store(below, Release);
        // Pairs with the heavy one of `visit`.
        self.barriers.light();
        // Acquire: pairs with the end of a look, so that it is over before what the runner does next.
        if self.watched.load(Acquire) {
            self.wait_until_not_watched();
        }
    }

    #[cold]
    fn wait_until_not_watched(&self) {
        let backoff = crossbeam_utils::Backoff::new();
        while self.watched.load(Acquire) {
            crate::sync::snooze(&backoff);
        }
    }
}

impl Watcher {
    /// Has the home asked about each token before it starts on that thread, or not any more.
    ///
    /// See [`Home::refuses`](crate::Home::refuses). Followed by a look, as [`kill`](Self::kill) is,
    /// it misses no token.
    pub fn control(&self, controlled: bool) {
        self.slot.controlled.store(controlled, Release);
    }

    /// The tokens whose bodies run on this thread, the innermost first.
    ///
    /// Their thread goes on meanwhile, but for the end of a body, which waits for the look.
    pub fn look(&self) -> Vec<PresentToken> {
        let mut present = Vec::new();
        self.slot.visit(|_, header| {
            let extras = header.extras_if_any();
            present.push(PresentToken {
                view: TokenView::of(header),
                times: extras.map(Extras::times).unwrap_or_default(),
                outcome: header.state().load().outcome(),
                ended_at: extras.and_then(Extras::ended_at),
            });
        });
        present
    }

    /// Ends all tokens whose bodies run on this thread.
    ///
    /// Their handles resolve as killed, and the bodies see [`cancelled`](crate::cancelled).
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> PresentKilled {
        self.kill_if(|_| true, reason)
    }

    /// As [`kill`](Self::kill), for those tokens only that `choose` takes; it must be short.
    pub fn kill_if(
        &self,
        choose: impl Fn(&TokenView) -> bool,
        reason: impl Into<Cow<'static, str>>,
    ) -> PresentKilled {
        let reason = reason.into();
        let mut present = Vec::new();
        let mut claims = Vec::new();
        self.slot.visit(|cell, header| {
            if !choose(&TokenView::of(header)) {
                return;
            }
            present.push(header.operation());
            #[expect(unsafe_code, reason = "claims a cell whose runner is held up")]
            // SAFETY: the runner does not let go until the visit is over.
            let claimed = unsafe { kill::claim(cell, Ending::Killed(reason.clone())) };
            claims.push(claimed);
        });
        PresentKilled {
            present,
            // Dropped one by one: that wakes the callers, which is user code, with nothing held up.
            claimed: claims.into_iter().filter(|claim| claim.is_won()).count(),
        }
    }
}

impl Slot {
    /// Calls `look` with each cell whose body runs on this thread, the innermost first.
    ///
    /// Its runner may be held up meanwhile: `look` is short, drops no body and wakes nobody.
    #[expect(
        unsafe_code,
        reason = "reads frames and cells that their runner does not leave"
    )]
    fn visit(&self, mut look: impl FnMut(NonNull<Header>, &Header)) {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: the fence orders it before the load.
        self.watched.store(true, Relaxed);
        self.barriers.heavy();
        // Acquire: pairs with the Release of `during`.
        let mut next = self.innermost.load(Acquire);
        // SAFETY: a frame is on the stack of its runner, which does not leave it, nor those below,
        // without a look at `watched`; since it was in the slot after the fence, that look comes
        // after ours has begun.
        while let Some(frame) = unsafe { next.as_ref() } {
            // SAFETY: the runner lets go of the cell after it has left the frame.
            look(frame.cell, unsafe { frame.cell.as_ref() });
            next = frame.below;
        }
        // Release: pairs with the loads of the runner.
        self.watched.store(false, Release);
        drop(looks);
    }
}

/// A token whose body runs, as [`Watcher::look`] found it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PresentToken {
    /// Who it is.
    pub view: TokenView,
    /// What was noted with it about time.
    pub times: Times,
    /// What it was ended as from outside, though its body runs.
    pub outcome: Option<Outcome>,
    /// When that was, by the [clock](crate::set_clock) of the process, if there is one.
    pub ended_at: Option<NonZeroU64>,
}

/// What [`Watcher::kill`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct PresentKilled {
    /// The operations of the chosen ones whose bodies were running, the innermost first.
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

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}
