//! The inbox of one core, with the drain role.
//!
//! The router and the wakers post; any worker of the domain takes, oldest first, whoever gets the
//! *drain role*: a try-lock that is held only while runnables are moved out, never while a body
//! runs. Keeps: what was posted is in the inbox, in the backlog, or with a worker. It unparks
//! nobody; the answers say when somebody has to.

use crossbeam_utils::CachePadded;
use tokengate_token::{Inbox, Posted, Runnable, RunnableList};

use crate::sync::Mutex;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;

/// Where posters and drainers meet.
pub(crate) struct Mailbox {
    /// Written by posters.
    inbox: CachePadded<Posting>,
    /// Written by the holder of the drain role.
    drain: CachePadded<Draining>,
}

struct Posting {
    inbox: Inbox,
    /// How many were ever posted; on the line that a post has to own anyway. Counted before the
    /// post, so that whoever sees the runnable, or what it did, sees it counted. `Relaxed`
    /// throughout: the post itself is the release.
    posted: AtomicUsize,
}

struct Draining {
    /// The lock is the drain role; the list is what an earlier drain took from the inbox and has
    /// not handed out.
    backlog: Mutex<RunnableList>,
    /// The list's length, for those without the role. Written by the holder.
    left: AtomicUsize,
    /// How many were ever handed out. Written by the holder.
    taken: AtomicUsize,
}

impl Mailbox {
    pub(crate) fn new() -> Self {
        Self {
            inbox: CachePadded::new(Posting {
                inbox: Inbox::new(),
                posted: AtomicUsize::new(0),
            }),
            drain: CachePadded::new(Draining {
                backlog: Mutex::new(RunnableList::new()),
                left: AtomicUsize::new(0),
                taken: AtomicUsize::new(0),
            }),
        }
    }

    /// Posts one; gives it back if the mailbox is closed.
    #[inline]
    pub(crate) fn post(&self, runnable: Runnable) -> Result<Posted, Runnable> {
        self.inbox.posted.fetch_add(1, Relaxed);
        self.inbox.inbox.post(runnable)
    }

    /// Posts a list, newest at the front; gives it back if the mailbox is closed.
    pub(crate) fn post_list(&self, list: RunnableList) -> Result<Posted, RunnableList> {
        self.inbox.posted.fetch_add(list.len(), Relaxed);
        self.inbox.inbox.post_list(list)
    }

    /// Hands out up to `limit` of the oldest; how many. Nothing if another worker has the role.
    pub(crate) fn drain(&self, limit: usize, mut hand_out: impl FnMut(Runnable)) -> usize {
        if self.is_empty() {
            return 0;
        }
        let Ok(mut backlog) = self.drain.backlog.try_lock() else {
            return 0;
        };
        if backlog.is_empty() {
            *backlog = self.inbox.inbox.take();
        }
        let mut taken = 0;
        while taken < limit
            && let Some(runnable) = backlog.pop_front()
        {
            hand_out(runnable);
            taken += 1;
        }
        self.drain.left.store(backlog.len(), Relaxed);
        let before = self.drain.taken.load(Relaxed);
        self.drain.taken.store(before.wrapping_add(taken), Relaxed);
        taken
    }

    /// Whether there is nothing to drain. Relaxed reads: who must not miss a post fences first.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.inbox.inbox.is_empty() && self.drain.left.load(Relaxed) == 0
    }

    /// About how many are queued: exact when nobody posts or drains, and it is open.
    pub(crate) fn queued(&self) -> usize {
        let taken = self.drain.taken.load(Relaxed);
        let queued = self.posted().wrapping_sub(taken);
        // The two are read one after the other, and may have wrapped: no less than none.
        if queued > usize::MAX / 2 { 0 } else { queued }
    }

    /// How many were ever posted, or refused when it was closed.
    pub(crate) fn posted(&self) -> usize {
        self.inbox.posted.load(Relaxed)
    }

    /// Takes all that is left, and refuses what is posted from now on.
    ///
    /// Only when no worker of the domain drains any more.
    pub(crate) fn close(&self) -> RunnableList {
        let mut rest = RunnableList::new();
        let mut backlog = crate::sync::lock(&self.drain.backlog);
        let mut inbox = self.inbox.inbox.close();
        for list in [&mut *backlog, &mut inbox] {
            while let Some(runnable) = list.pop_front() {
                rest.push_front(runnable);
            }
        }
        self.drain.left.store(0, Relaxed);
        rest
    }
}
