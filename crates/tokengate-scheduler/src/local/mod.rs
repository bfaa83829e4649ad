//! A worker's own queue: what it took from a mailbox, and the children of its bodies.
//!
//! First in, first out. In a domain with siblings it is a crossbeam deque that they steal from; a
//! worker that is alone in its domain keeps a plain ring, since nobody could steal. Its stealer is
//! given to the domain and to nobody else. It knows no mailbox.

mod deque;

use std::collections::VecDeque;

use tokengate_token::Runnable;

use deque::{Deque, Steal};

/// The owner's end.
pub(crate) enum LocalQueue {
    /// Nobody else in the domain.
    Alone(VecDeque<Runnable>),
    /// Siblings may steal.
    Shared(Deque),
}

/// A sibling's end.
pub(crate) struct Stealer(deque::Stealer);

impl LocalQueue {
    /// For a worker that is alone in its domain.
    pub(crate) fn alone() -> Self {
        Self::Alone(VecDeque::with_capacity(crate::domain::BATCH))
    }

    /// For one of several workers, with the end for its siblings.
    pub(crate) fn shared() -> (Self, Stealer) {
        let deque = Deque::new_fifo();
        let stealer = Stealer(deque.stealer());
        (Self::Shared(deque), stealer)
    }

    #[inline]
    pub(crate) fn push(&mut self, runnable: Runnable) {
        match self {
            Self::Alone(ring) => ring.push_back(runnable),
            Self::Shared(deque) => deque.push(runnable),
        }
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        match self {
            Self::Alone(ring) => ring.pop_front(),
            Self::Shared(deque) => deque.pop(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Alone(ring) => ring.is_empty(),
            Self::Shared(deque) => deque.is_empty(),
        }
    }

    /// Whether siblings could take something of it.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Steals about half of a sibling's queue, and gives the first of it.
    pub(crate) fn steal_from(&mut self, sibling: &Stealer) -> Option<Runnable> {
        let Self::Shared(deque) = self else {
            return None;
        };
        loop {
            match sibling.0.steal_batch_and_pop(deque) {
                Steal::Success(runnable) => return Some(runnable),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

impl Stealer {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
