//! Blocks a thread until a token resolves: a waker that unparks it.
//!
//! Called by `Token::get` and `get_timeout`. A wait registers like any other waiter, so the cell
//! knows only one kind of them. It publishes deferred calls of this thread first.

use std::task::Waker;
use std::time::Duration;

use crossbeam_utils::Backoff;
use parking::Parker;

use crate::cell::handle::Handle;
use crate::context;

thread_local! {
    /// This thread's parker with its waker, kept between waits.
    static PARKER: (Parker, Waker) = parker();
}

fn parker() -> (Parker, Waker) {
    let (parker, unparker) = parking::pair();
    (parker, unparker.into())
}

/// Parks this thread until the token is resolved.
#[cold]
pub(crate) fn block_on<T, E>(handle: &mut Handle<T, E>) {
    context::before_wait();
    // A short token is done before this thread could be parked and woken.
    let backoff = Backoff::new();
    while !backoff.is_completed() {
        backoff.snooze();
        if handle.header().state().load().resolved() {
            return;
        }
    }
    park_with(|parker, waker| {
        // A wake-up meant for an earlier wait can come now, hence the loop.
        while handle.register(waker) {
            parker.park();
        }
    });
}

/// Parks this thread until the token is resolved, at most this long; whether it is.
#[cold]
pub(crate) fn block_on_for<T, E>(handle: &mut Handle<T, E>, limit: Duration) -> bool {
    context::before_wait();
    // A parker of its own: nobody but this token can wake it, so one wait is enough.
    let (parker, waker) = parker();
    !handle.register(&waker) || parker.park_timeout(limit)
}

/// Calls `wait` with this thread's parker; with a fresh one while the thread ends.
///
/// A waker's code may wait in turn: then both waits share the parker, and both look again.
pub(crate) fn park_with(mut wait: impl FnMut(&Parker, &Waker)) {
    let kept = PARKER.try_with(|(parker, waker)| wait(parker, waker));
    if kept.is_err() {
        let (parker, waker) = parker();
        wait(&parker, &waker);
    }
}
