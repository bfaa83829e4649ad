//! A worker's own queue: what it took from a mailbox, and the children of its bodies.
//!
//! First in, first out, over a crossbeam deque that siblings and spares steal from. Its stealer is
//! given to the domain and to nobody else. It knows no mailbox.

mod deque;

use tokengate_token::Runnable;

use deque::{Deque, Steal};

/// The owner's end.
pub(crate) struct LocalQueue(Deque);

/// A sibling's end.
pub(crate) struct Stealer(deque::Stealer);

impl LocalQueue {
    /// An empty queue, with the end for siblings.
    pub(crate) fn new() -> (Self, Stealer) {
        let deque = Deque::new_fifo();
        let stealer = Stealer(deque.stealer());
        (Self(deque), stealer)
    }

    #[inline]
    pub(crate) fn push(&self, runnable: Runnable) {
        self.0.push(runnable);
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.0.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Steals about half of a sibling's queue, and gives the first of it.
    pub(crate) fn steal_from(&self, sibling: &Stealer) -> Option<Runnable> {
        until_settled(|| sibling.0.steal_batch_and_pop(&self.0))
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
    use tokengate_token::{Operation, Plain, TokenId, create};

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
