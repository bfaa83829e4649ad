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
