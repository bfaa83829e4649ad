//! The deque behind a worker's queue: crossbeam's, or a stand-in for the model checker.
//!
//! Used by `LocalQueue` and `Stealer` only. The stand-in promises no more than crossbeam's: a look
//! from outside orders nothing.

#[cfg(not(tokengate_loom))]
pub(super) type Deque = crossbeam_deque::Worker<tokengate_token::Runnable>;
#[cfg(not(tokengate_loom))]
pub(super) type Stealer = crossbeam_deque::Stealer<tokengate_token::Runnable>;
#[cfg(not(tokengate_loom))]
pub(super) type Steal = crossbeam_deque::Steal<tokengate_token::Runnable>;

#[cfg(tokengate_loom)]
pub(super) use modelled::{Deque, Steal, Stealer};

#[cfg(tokengate_loom)]
mod modelled {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use tokengate_token::Runnable;

    use crate::sync::atomic::AtomicUsize;
    use crate::sync::atomic::Ordering::Relaxed;
    use crate::sync::{Mutex, lock};

    struct Ring {
        content: Mutex<VecDeque<Runnable>>,
        /// The content's length, for those who look without taking.
        len: AtomicUsize,
    }

    impl Ring {
        fn change<R>(&self, change: impl FnOnce(&mut VecDeque<Runnable>) -> R) -> R {
            let mut content = lock(&self.content);
            let changed = change(&mut content);
            self.len.store(content.len(), Relaxed);
            changed
        }

        fn len(&self) -> usize {
            self.len.load(Relaxed)
        }
    }

    pub(crate) struct Deque(Arc<Ring>);
    pub(crate) struct Stealer(Arc<Ring>);

    pub(crate) enum Steal {
        Success(Runnable),
        Empty,
        #[expect(dead_code, reason = "the stand-in never fails")]
        Retry,
    }

    impl Deque {
        pub(crate) fn new_fifo() -> Self {
            Self(Arc::new(Ring {
                content: Mutex::default(),
                len: AtomicUsize::new(0),
            }))
        }

        pub(crate) fn stealer(&self) -> Stealer {
            Stealer(self.0.clone())
        }

        pub(crate) fn push(&self, runnable: Runnable) {
            self.0.change(|content| content.push_back(runnable));
        }

        pub(crate) fn pop(&self) -> Option<Runnable> {
            self.0.change(VecDeque::pop_front)
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.len() == 0
        }
    }

    impl Stealer {
        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.len() == 0
        }

        pub(crate) fn steal(&self) -> Steal {
            match self.0.change(VecDeque::pop_front) {
                Some(runnable) => Steal::Success(runnable),
                None => Steal::Empty,
            }
        }

        pub(crate) fn steal_batch_and_pop(&self, to: &Deque) -> Steal {
            let half = |content: &mut VecDeque<Runnable>| {
                let half = content.len().div_ceil(2);
                content.drain(..half).collect::<VecDeque<_>>()
            };
            let mut stolen = self.0.change(half);
            let Some(first) = stolen.pop_front() else {
                return Steal::Empty;
            };
            for runnable in stolen {
                to.push(runnable);
            }
            Steal::Success(first)
        }
    }
}
