//! The atomics and locks of the modelled files, or loom's stand-ins under `--cfg tokengate_loom`.
//!
//! Imported by what the loom suite runs; holds no logic but the shrug at poisoned locks.

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
