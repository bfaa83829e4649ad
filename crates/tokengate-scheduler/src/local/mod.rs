//! A worker's own queue: what it took from a mailbox, and the children of its bodies.
//!
//! First in, first out, over a crossbeam deque that siblings and spares steal from. Its stealer is
//! given to the domain and to nobody else. It knows no mailbox. It keeps in mind whether all of it is
//! of one lane.

mod deque;

use std::cell::Cell;
use std::num::NonZeroU32;

use tokengate_token::Runnable;

use deque::{Deque, Steal};

/// The owner's end.
pub(crate) struct LocalQueue {
    deque: Deque,
    latest: Cell<Latest>,
}

/// What was pushed last: so many of one lane, or of none, in a row.
#[derive(Clone, Copy, Default)]
struct Latest {
    lane: Option<NonZeroU32>,
    count: usize,
}

/// A sibling's end.
pub(crate) struct Stealer(deque::Stealer);

impl LocalQueue {
    /// An empty queue, with the end for siblings.
    pub(crate) fn new() -> (Self, Stealer) {
        let deque = Deque::new_fifo();
        let stealer = Stealer(deque.stealer());
        let queue = Self {
            deque,
            latest: Cell::default(),
        };
        (queue, stealer)
    }

    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) {
        let mut latest = self.latest.get();
        let lane = runnable.lane();
        if lane != latest.lane {
            latest = Latest { lane, count: 0 };
        }
        latest.count += 1;
        self.latest.set(latest);
        self.deque.push(runnable);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.deque.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deque.is_empty()
    }

    /// Whether all that is in it is of this lane.
    pub(crate) fn is_all_of(&self, lane: NonZeroU32) -> bool {
        let latest = self.latest.get();
        let left = self.deque.len();
        left == 0 || latest.lane == Some(lane) && latest.count >= left
    }

    /// Steals about half of a sibling's queue, and gives the first of it.
    pub(crate) fn steal_from(&self, sibling: &Stealer) -> Option<Runnable> {
        // What comes from there is not looked at.
        self.latest.take();
        until_settled(|| sibling.0.steal_batch_and_pop(&self.deque))
    }
}

impl Stealer {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Steals one.
    pub(crate) fn steal_one(&self) -> Option<Runnable> {
        until_settled(|| self.0.steal())
    }
}

/// Tries again as long as another thread was in the way.
fn until_settled(mut steal: impl FnMut() -> Steal) -> Option<Runnable> {
    loop {
        match steal() {
            Steal::Success(runnable) => return Some(runnable),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use tokengate_token::{Bond, Operation, Plain, TokenId, create};

    use super::*;

    static OP: Operation = Operation::new("test.operation");

    fn fill(queue: &LocalQueue, count: usize) -> Vec<TokenId> {
        let each = (0..count).map(|_| {
            let (token, runnable) = create(&OP, Plain::new(|| ()));
            queue.push(runnable);
            token.id()
        });
        each.collect()
    }

    fn empty(queue: &LocalQueue) -> Vec<TokenId> {
        std::iter::from_fn(|| queue.pop().map(|runnable| runnable.id())).collect()
    }

    #[test]
    fn the_owner_takes_the_oldest_first() {
        let (queue, _) = LocalQueue::new();
        assert!(queue.is_empty() && queue.pop().is_none());
        let ids = fill(&queue, 100);
        assert!(!queue.is_empty());
        assert_eq!(empty(&queue), ids);
    }

    #[test]
    fn a_sibling_steals_the_older_half_in_order() {
        let ((queue, stealer), (thief, _)) = (LocalQueue::new(), LocalQueue::new());
        assert!(thief.steal_from(&stealer).is_none());
        let ids = fill(&queue, 20);
        let first = thief.steal_from(&stealer).expect("there are some");
        let mut stolen = vec![first.id()];
        stolen.extend(empty(&thief));
        let left = empty(&queue);
        assert_eq!(stolen.len(), 10);
        assert_eq!([stolen, left].concat(), ids);
        assert!(stealer.is_empty());
    }

    /// Pushes a token of this lane, or of none.
    fn push(queue: &LocalQueue, lane: u32) {
        let (token, runnable) = create(&OP, Plain::new(|| ()));
        token.detach();
        let entry = NonZeroU32::new(lane);
        runnable.set_bond(Bond {
            entry,
            turn: entry.map(|_| 0),
            ..Bond::NONE
        });
        queue.push(runnable);
    }

    #[test]
    fn it_knows_whether_all_of_it_is_of_one_lane() {
        let (queue, _) = LocalQueue::new();
        let [one, two] = [1, 2].map(|lane| NonZeroU32::new(lane).unwrap());
        let is_all_of = || (queue.is_all_of(one), queue.is_all_of(two));
        assert_eq!(is_all_of(), (true, true), "it is empty");
        push(&queue, 0);
        assert_eq!(is_all_of(), (false, false));
        (0..3).for_each(|_| push(&queue, 1));
        assert_eq!(is_all_of(), (false, false), "one of no lane is before them");
        drop(queue.pop());
        assert_eq!(is_all_of(), (true, false));
        push(&queue, 2);
        assert_eq!(is_all_of(), (false, false));
        (0..3).for_each(|_| drop(queue.pop()));
        assert_eq!(is_all_of(), (false, true));
        push(&queue, 0);
        push(&queue, 2);
        drop(queue.pop());
        assert_eq!(is_all_of(), (false, false));
        drop(queue.pop());
        assert_eq!(is_all_of(), (false, true));
    }

    #[test]
    fn what_was_stolen_is_of_no_lane_that_it_knows() {
        let ((queue, stealer), (thief, _)) = (LocalQueue::new(), LocalQueue::new());
        let lane = NonZeroU32::new(1).unwrap();
        push(&thief, 1);
        (0..8).for_each(|_| push(&queue, 0));
        assert!(thief.is_all_of(lane));
        let first = thief.steal_from(&stealer);
        assert!(first.is_some() && !thief.is_all_of(lane));
        push(&thief, 1);
        while !thief.is_all_of(lane) {
            drop(thief.pop().expect("the last one is of the lane"));
        }
        assert!(!thief.is_empty());
    }

    #[test]
    fn a_spare_steals_the_oldest() {
        let (queue, stealer) = LocalQueue::new();
        let ids = fill(&queue, 3);
        let stolen = stealer.steal_one().expect("there are some");
        assert_eq!(stolen.id(), ids[0]);
        assert_eq!(empty(&queue), ids[1..]);
        assert!(stealer.steal_one().is_none());
    }
}
