//! The atomics and locks of the modelled files, or loom's stand-ins under `--cfg tokengate_loom`.
//!
//! Imported by what the loom suites run; holds no logic but the shrug at poisoned locks, and the
//! numbers of threads.

#[cfg(not(tokengate_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

#[cfg(tokengate_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};

/// Locks. Nothing that can panic runs under these locks, so poison is no reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A number of this thread, counted from 0.
#[cfg(not(tokengate_loom))]
#[inline]
pub(crate) fn thread_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Relaxed: any number will do. No destructor, so that it can be asked while a thread ends.
        static OWN: usize = THREADS.fetch_add(1, Relaxed);
    }
    OWN.with(|own| *own)
}

/// The same for the threads of one run of the model; counting is no step of it.
#[cfg(tokengate_loom)]
pub(crate) fn thread_number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    loom::lazy_static! {
        static ref THREADS: AtomicUsize = AtomicUsize::new(0);
    }
    loom::thread_local! {
        static OWN: usize = THREADS.fetch_add(1, Relaxed);
    }
    OWN.with(|own| *own)
}
