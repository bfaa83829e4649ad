//! The atomics and cells of the concurrent files, or loom's stand-ins under `--cfg tokengate_loom`.
//!
//! Every file that takes part in a protocol imports from here and from nowhere else, so that the
//! model checker sees each access. It holds no logic.

#[cfg(not(tokengate_loom))]
pub(crate) use std::sync::atomic;

#[cfg(tokengate_loom)]
pub(crate) use loom::sync::atomic;

#[cfg(not(tokengate_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(tokengate_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

#[cfg(not(tokengate_loom))]
pub(crate) use std::alloc::{alloc, dealloc};

#[cfg(tokengate_loom)]
pub(crate) use loom::alloc::{alloc, dealloc};

#[cfg(not(tokengate_loom))]
pub(crate) use std::thread_local;

/// Thread-locals that start as constants, one for each thread of the model.
#[cfg(tokengate_loom)]
macro_rules! per_thread {
    ($(static $name:ident: $type:ty = const $start:block;)*) => {
        loom::thread_local! { $(static $name: $type = $start;)* }
    };
}

#[cfg(tokengate_loom)]
pub(crate) use per_thread as thread_local;

/// A cell with scoped access, in loom's form: each access is visible to the model checker.
#[cfg(not(tokengate_loom))]
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(tokengate_loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

#[cfg(tokengate_loom)]
pub(crate) use loom::cell::UnsafeCell;

/// Waits a little for another thread.
#[cfg(not(tokengate_loom))]
pub(crate) fn snooze(backoff: &crossbeam_utils::Backoff) {
    backoff.snooze();
}

/// Lets the other threads of the model go on.
#[cfg(tokengate_loom)]
pub(crate) fn snooze(_backoff: &crossbeam_utils::Backoff) {
    loom::thread::yield_now();
}
