//! The lane of a serial key: first in, first out, one at a time.
//!
//! Joined by the submit path, passed on at each exit. Keeps: at most one token of the lane is
//! posted or executes, the others wait here in the order of their calls. It posts nothing: what
//! `pass` gives is the next holder, and its poster's affair.
#![doc = include_str!("LANES.md")]

use std::mem;

use tokengate_token::{Joined, LaneQueue, Place, Runnable, RunnableList};

use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{Mutex, lock};

/// See the page above.
#[derive(Default)]
pub(crate) struct Lane {
    queue: LaneQueue,
    /// What an earlier pass has taken from the queue, oldest first. For the holder; and for those
    /// who purge, hence the lock.
    backlog: Mutex<RunnableList>,
    /// The list's length. Written by who has the lock, read by the holder: a lane that nobody waits
    /// in is passed on without the lock.
    left: AtomicUsize,
}

impl Lane {
    /// Holds the lane, or waits behind the others. Gives the runnable back if the lane is closed.
    ///
    /// One that holds it is yet to be [given its turn](Runnable::give_turn).
    #[inline]
    pub(crate) fn join(&self, runnable: Runnable) -> Result<Joined, Runnable> {
        self.queue.join(runnable)
    }

    /// For the holder, at its exit: the next holder, if anybody waits.
    ///
    /// Calls `over` with those before it that were ended while they waited: they are unbound.
    #[inline]
    pub(crate) fn pass(&self, mut over: impl FnMut(Runnable)) -> Option<Runnable> {
        loop {
            // Relaxed: written by the holder, whose turn happened before, or by a purge, which leaves
            // nothing to miss.
            let next = if self.left.load(Relaxed) > 0 {
                self.pass_from_backlog()
            } else {
                self.pass_from_queue()
            }?;
            next.set_place(Place {
                published: true,
                ..next.place()
            });
            // The last step: whoever ends it from now on passes on in turn.
            match next.give_turn() {
                Ok(()) => return Some(next),
                Err(_) => over(next),
            }
        }
    }

    fn pass_from_backlog(&self) -> Option<Runnable> {
        let mut backlog = lock(&self.backlog);
        let next = backlog.pop_front();
        self.left.store(backlog.len(), Relaxed);
        drop(backlog);
        // A purge may have been quicker.
        next.or_else(|| self.pass_from_queue())
    }

    fn pass_from_queue(&self) -> Option<Runnable> {
        let mut list = self.queue.pass();
        let next = list.pop_front()?;
        if !list.is_empty() {
            let mut backlog = lock(&self.backlog);
            self.left.store(list.len(), Relaxed);
            *backlog = list;
        }
        Some(next)
    }

    /// Whether a token holds it, as far as can be seen.
    pub(crate) fn is_held(&self) -> bool {
        self.queue.is_held()
    }

    /// Takes all that wait, oldest first in each list; the holder goes on.
    pub(crate) fn take_waiting(&self) -> [RunnableList; 2] {
        [self.take_backlog(), self.queue.take()]
    }

    /// As [`take_waiting`](Self::take_waiting); joins are given back from now on.
    pub(crate) fn close(&self) -> [RunnableList; 2] {
        [self.take_backlog(), self.queue.close()]
    }

    fn take_backlog(&self) -> RunnableList {
        let mut backlog = lock(&self.backlog);
        self.left.store(0, Relaxed);
        mem::take(&mut *backlog)
    }
}
