//! The inbox of one core, with the drain role.
//!
//! The router and the wakers post; any worker of the domain takes, oldest first, whoever gets the
//! *drain role*: a try-lock that is held only while runnables are moved out, never while a body
//! runs. Keeps: what was posted is in the inbox, in the backlog, or with a worker. It unparks
//! nobody; the answers say when somebody has to.

use std::mem;

use crossbeam_utils::CachePadded;
use tokengate_token::{Inbox, Posted, Runnable, RunnableList};

use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{Mutex, lock};

/// A poster looks at what is taken after so many posts: it costs a cache line that a worker writes.
const SEEN_FOR: usize = 16;

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
    /// How many were taken, and did not wait elsewhere, when a poster looked last.
    seen_done: AtomicUsize,
    /// How many had been posted then.
    seen_at: AtomicUsize,
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
                seen_done: AtomicUsize::new(0),
                seen_at: AtomicUsize::new(0),
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
        difference(self.posted(), taken)
    }

    /// About how many are queued, and wait elsewhere as `waiting` says: exact if it is a few, and
    /// else as of some posts ago. For posters: seldom reads what the drainers write.
    #[inline]
    pub(crate) fn queued_lately(&self, few: usize, waiting: impl FnOnce() -> usize) -> usize {
        // Relaxed, all: a glance.
        let posting = &*self.inbox;
        let posted = self.posted();
        let seen = posting.seen_done.load(Relaxed);
        if posted.wrapping_sub(seen) <= few
            || posted.wrapping_sub(posting.seen_at.load(Relaxed)) < SEEN_FOR
        {
            return difference(posted, seen);
        }
        let done = self.drain.taken.load(Relaxed).wrapping_sub(waiting());
        posting.seen_done.store(done, Relaxed);
        posting.seen_at.store(posted, Relaxed);
        difference(posted, done)
    }

    /// How many were ever posted, or refused when it was closed.
    pub(crate) fn posted(&self) -> usize {
        self.inbox.posted.load(Relaxed)
    }

    /// Takes all that is left, oldest first in each list and from one to the next, and refuses what
    /// is posted from now on.
    pub(crate) fn close(&self) -> [RunnableList; 2] {
        let mut backlog = lock(&self.drain.backlog);
        self.drain.left.store(0, Relaxed);
        [mem::take(&mut *backlog), self.inbox.inbox.close()]
    }
}

/// How many were posted and not done. The two are read one after the other, and may have wrapped: no less
/// than none.
fn difference(posted: usize, done: usize) -> usize {
    let queued = posted.wrapping_sub(done);
    if queued > usize::MAX / 2 { 0 } else { queued }
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use std::collections::HashMap;

    use tokengate_token::{Operation, Plain, TokenId, create};

    use super::*;

    static OP: Operation = Operation::new("test.operation");

    /// Makes runnables, and gives them numbers in this order.
    #[derive(Default)]
    struct Numbers(HashMap<TokenId, usize>);

    impl Numbers {
        fn next(&mut self) -> Runnable {
            let (token, runnable) = create(&OP, Plain::new(|| ()));
            self.0.insert(token.id(), self.0.len());
            token.detach();
            runnable
        }

        fn list(&mut self, count: usize) -> RunnableList {
            let mut list = RunnableList::new();
            (0..count).for_each(|_| list.push_front(self.next()));
            list
        }

        fn drain(&self, mailbox: &Mailbox, limit: usize) -> Vec<usize> {
            let mut order = Vec::new();
            let taken = mailbox.drain(limit, |runnable| order.push(self.0[&runnable.id()]));
            assert_eq!(taken, order.len());
            order
        }
    }

    #[test]
    fn the_oldest_come_first_through_lists_and_batches() {
        let (mailbox, mut numbers) = (Mailbox::new(), Numbers::default());
        assert_eq!(mailbox.post(numbers.next()).unwrap(), Posted::Edge);
        assert_eq!(mailbox.post_list(numbers.list(3)).unwrap(), Posted::Joined);
        assert_eq!(mailbox.post(numbers.next()).unwrap(), Posted::Joined);
        assert_eq!(numbers.drain(&mailbox, 2), [0, 1]);
        // The inbox was emptied, though something is left.
        assert_eq!(mailbox.post_list(numbers.list(2)).unwrap(), Posted::Edge);
        assert_eq!(numbers.drain(&mailbox, 2), [2, 3]);
        assert_eq!(numbers.drain(&mailbox, 9), [4]);
        assert_eq!(numbers.drain(&mailbox, 9), [5, 6]);
        assert!(numbers.drain(&mailbox, 9).is_empty());
    }

    #[test]
    fn it_knows_how_many_are_queued_and_whether_any_are() {
        let (mailbox, mut numbers) = (Mailbox::new(), Numbers::default());
        assert!(mailbox.is_empty());
        assert_eq!(mailbox.post_list(numbers.list(5)).unwrap(), Posted::Edge);
        for left in (0..5).rev() {
            assert!(!mailbox.is_empty());
            assert_eq!(numbers.drain(&mailbox, 1).len(), 1);
            assert_eq!(mailbox.queued(), left);
        }
        assert!(mailbox.is_empty());
        assert_eq!(mailbox.posted(), 5);
    }

    #[test]
    fn a_poster_knows_a_few_at_once_and_more_after_some_posts() {
        let (mailbox, mut numbers) = (Mailbox::new(), Numbers::default());
        let mut post = |count| {
            (0..count).for_each(|_| assert!(mailbox.post(numbers.next()).is_ok()));
        };
        let drain = |limit| mailbox.drain(limit, drop);
        let queued = |few| mailbox.queued_lately(few, || 0);
        post(SEEN_FOR + 3);
        assert_eq!(queued(9), SEEN_FOR + 3);
        assert_eq!(drain(5), 5);
        assert_eq!(queued(9), SEEN_FOR + 3, "it has not looked again");
        post(SEEN_FOR);
        assert_eq!(queued(9), 2 * SEEN_FOR - 2, "it looks by now");
        assert_eq!(drain(usize::MAX) + drain(usize::MAX), 2 * SEEN_FOR - 2);
        // However many have gone through.
        for round in 0..100 {
            post(1);
            // What it saw before the loop is good for some posts.
            let stale = if round < SEEN_FOR { 2 * SEEN_FOR } else { 0 };
            assert!(queued(4) <= SEEN_FOR + 4 + stale);
            assert_eq!(drain(1), 1);
        }
        post(SEEN_FOR);
        assert_eq!(
            mailbox.queued_lately(4, || 7),
            SEEN_FOR + 7,
            "those that wait elsewhere too"
        );
    }

    #[test]
    fn a_poster_that_looks_before_others_and_compares_after_them_is_told_of_none() {
        let mailbox = Mailbox::new();
        // It had seen 20 posts when the others had seen 25 taken.
        mailbox.inbox.posted.store(20, Relaxed);
        mailbox.inbox.seen_at.store(20, Relaxed);
        mailbox.inbox.seen_done.store(25, Relaxed);
        assert_eq!(mailbox.queued_lately(4, || 0), 0);
        mailbox.inbox.seen_at.store(0, Relaxed);
        mailbox.drain.taken.store(25, Relaxed);
        assert_eq!(mailbox.queued_lately(4, || 0), 0);
    }

    #[test]
    fn only_one_has_the_drain_role() {
        let (mailbox, mut numbers) = (Mailbox::new(), Numbers::default());
        assert_eq!(mailbox.post_list(numbers.list(3)).unwrap(), Posted::Edge);
        let mut others = 0;
        let taken = mailbox.drain(2, |_| others += mailbox.drain(9, |_| ()));
        assert_eq!((taken, others), (2, 0));
        assert_eq!(numbers.drain(&mailbox, 9), [2]);
    }

    #[test]
    fn closing_takes_what_is_left_in_order_and_gives_later_posts_back() {
        let (mailbox, mut numbers) = (Mailbox::new(), Numbers::default());
        assert_eq!(mailbox.post_list(numbers.list(3)).unwrap(), Posted::Edge);
        assert_eq!(numbers.drain(&mailbox, 1), [0]);
        assert_eq!(mailbox.post_list(numbers.list(2)).unwrap(), Posted::Edge);
        let mut order = Vec::new();
        for mut rest in mailbox.close() {
            while let Some(runnable) = rest.pop_front() {
                order.push(numbers.0[&runnable.id()]);
            }
        }
        assert_eq!(order, [1, 2, 3, 4]);
        assert!(mailbox.is_empty());
        let late = numbers.next();
        let id = late.id();
        assert_eq!(mailbox.post(late).unwrap_err().id(), id);
        assert_eq!(mailbox.post_list(numbers.list(2)).unwrap_err().len(), 2);
        assert!(mailbox.close().iter().all(RunnableList::is_empty));
    }
}
