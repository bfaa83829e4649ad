//! Blocks a thread until a token resolves: a waker that unparks it.
//!
//! Called by `Token::get`, `get_timeout` and `get_all`. A wait registers like any other waiter, so
//! the cell knows only one kind of them. It publishes deferred calls of this thread first, and hands
//! a wait on a scheduler's thread to its hook, which may run what is awaited or put another thread
//! in place: in bodies, and in what else runs there, such as destructors and wakers.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crossbeam_utils::Backoff;
use parking::Parker;

use crate::cell::{Header, Place, Run};
use crate::error::Deadlock;
use crate::extras::Times;
use crate::present::Present;
use crate::runnable::{Home, Ran};
use crate::{Companion, Deadline, Operation, TokenId, TokenView, context};

thread_local! {
    /// This thread's parker with its waker, kept between waits.
    static PARKER: (Parker, Waker) = parker();
}

fn parker() -> (Parker, Waker) {
    let (parker, unparker) = parking::pair();
    (parker, unparker.into())
}

/// What a thread of a scheduler does when it blocks on tokens, in a body or between two.
///
/// It looks after the work of its thread, then calls [`Wait::park`]. An error is the outcome of the
/// wait; the tokens are untouched.
pub type WaitHook = fn(&mut Wait<'_>) -> Result<(), Deadlock>;

thread_local! {
    // No destructor, so that a wait while the thread ends finds it.
    static HOOK: Cell<Option<WaitHook>> = const { Cell::new(None) };
}

/// Installs what this thread does when it blocks on tokens; gives the hook before.
pub fn set_wait_hook(hook: Option<WaitHook>) -> Option<WaitHook> {
    HOOK.replace(hook)
}

/// Tokens that are waited for: one, or many.
pub(crate) trait Awaited {
    /// Whether all are resolved.
    fn is_over(&self) -> bool;
    /// Leaves a waker to be woken when all are; `false` if they are by now.
    fn register(&mut self, waker: &Waker) -> bool;
    /// Calls `f` with the cell of each token; the handles keep them alive.
    fn each(&mut self, f: &mut dyn FnMut(NonNull<Header>));
}

/// A wait on a scheduler's thread, as the scheduler sees it.
pub struct Wait<'a> {
    awaited: &'a mut dyn Awaited,
    limit: Option<Duration>,
}

impl Wait<'_> {
    /// Whether all tokens have resolved.
    pub fn is_over(&self) -> bool {
        self.awaited.is_over()
    }

    /// Whether the wait ends after some time: then no body should be run for it.
    pub fn has_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// Calls `f` with each token that could be run here and now: sync, not started, and
    /// not set aside. Whether it is the turn of one that has a [turn](crate::Bond::turn), the scheduler knows.
    pub fn each_startable(&mut self, mut f: impl FnMut(Startable<'_>)) {
        self.awaited.each(&mut |cell| {
            #[expect(unsafe_code, reason = "reads through the cell pointer")]
            // SAFETY: the handle that gave the cell is borrowed meanwhile.
            let header = unsafe { cell.as_ref() };
            let now = header.state().load();
            if let Some(run) = header.vtable().run_here
                && !now.started()
                && !now.resolved()
                && !header.place().aside
            {
                f(Startable { cell, header, run });
            }
        });
    }

    /// The tokens that have not resolved, so many at most.
    pub fn open_tokens(&mut self, most: usize) -> Vec<(TokenId, &'static Operation)> {
        let mut open = Vec::new();
        self.awaited.each(&mut |cell| {
            #[expect(unsafe_code, reason = "reads through the cell pointer")]
            // SAFETY: the handle that gave the cell is borrowed meanwhile.
            let header = unsafe { cell.as_ref() };
            if open.len() < most && !header.state().load().resolved() {
                open.push((header.id(), header.operation()));
            }
        });
        open
    }

    /// The cells of the tokens that have not resolved; alive as long as the wait.
    pub(crate) fn open_cells(&mut self) -> Vec<NonNull<Header>> {
        let mut open = Vec::new();
        self.awaited.each(&mut |cell| {
            #[expect(unsafe_code, reason = "reads through the cell pointer")]
            // SAFETY: the handle that gave the cell is borrowed meanwhile.
            let header = unsafe { cell.as_ref() };
            if !header.state().load().resolved() {
                open.push(cell);
            }
        });
        open
    }

    /// Gives the tokens a few microseconds; whether all have resolved.
    pub fn linger(&self) -> bool {
        let backoff = Backoff::new();
        while !self.is_over() && !backoff.is_completed() {
            backoff.snooze();
        }
        self.is_over()
    }

    /// Parks this thread until all have resolved, or the limit has passed.
    pub fn park(&mut self) {
        match self.limit {
            None => park_with(|parker, waker| {
                // A wake-up meant for an earlier wait can come now, hence the loop.
                while self.awaited.register(waker) {
                    parker.park();
                }
            }),
            Some(limit) => {
                // A parker of its own: nobody but these tokens can wake it, so one wait is enough.
                let (parker, waker) = parker();
                if self.awaited.register(&waker) {
                    parker.park_timeout(limit);
                }
            }
        }
    }
}

/// A token that its waiter could run: see [`Wait::each_startable`].
pub struct Startable<'a> {
    cell: NonNull<Header>,
    header: &'a Header,
    run: Run,
}

impl Startable<'_> {
    /// Where the token is.
    pub fn place(&self) -> Place {
        self.header.place()
    }

    /// Its times, as [`Runnable::times`](crate::Runnable::times).
    pub fn times(&self) -> Option<Times> {
        Some(self.header.extras_if_any()?.times())
    }

    /// Notes when it is started, as [`Runnable::note_started`](crate::Runnable::note_started).
    pub fn note_started(&self, now: NonZeroU64) -> NonZeroU64 {
        self.header.extras().note_started(now)
    }

    /// What goes with it, as [`Runnable::companion`](crate::Runnable::companion).
    pub fn companion(&self) -> Option<Arc<dyn Companion>> {
        self.header.extras_if_any()?.companion().get().cloned()
    }

    /// What ends it when its time is over, as [`Runnable::deadline`](crate::Runnable::deadline).
    pub fn deadline(&self) -> Deadline {
        Deadline::of(self.cell, self.header)
    }

    /// The token.
    pub fn view(&self) -> TokenView {
        TokenView::of(self.header)
    }

    /// Runs the body on this stack, on top of the one that waits; `Tombstone` or `Elsewhere` if it
    /// was ended or started meanwhile. The runnable stays where it is, as a tombstone.
    #[expect(unsafe_code, reason = "calls through the cell's vtable")]
    pub fn run(self, home: &Arc<dyn Home>, present: &Present) -> Ran {
        // SAFETY: the vtable was made for this cell, and its handle is borrowed.
        unsafe { (self.run)(self.cell, home, Some(present)) }
    }
}

/// Blocks until all are resolved, or the limit has passed. Publishes deferred calls first.
///
/// On a thread of a scheduler that has a hook for it, the hook decides.
#[cold]
pub(crate) fn block_on(awaited: &mut dyn Awaited, limit: Option<Duration>) -> Result<(), Deadlock> {
    context::before_wait();
    let mut wait = Wait { awaited, limit };
    if limit == Some(Duration::ZERO) {
        // A look, not a wait: nobody has to take this thread's place.
        return Ok(());
    }
    match HOOK.get() {
        Some(hook) if !wait.is_over() => hook(&mut wait)?,
        // A short token is done before this thread could be parked and woken.
        _ if !wait.linger() => wait.park(),
        _ => {}
    }
    Ok(())
}

/// Calls `wait` with this thread's parker; with a fresh one while the thread ends.
///
/// A waker's code may wait in turn: then both waits share the parker, and both look again.
fn park_with(mut wait: impl FnMut(&Parker, &Waker)) {
    let kept = PARKER.try_with(|(parker, waker)| wait(parker, waker));
    if kept.is_err() {
        let (parker, waker) = parker();
        wait(&parker, &waker);
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Startable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Startable")
            .field("operation", &self.header.operation().label())
            .finish_non_exhaustive()
    }
}
