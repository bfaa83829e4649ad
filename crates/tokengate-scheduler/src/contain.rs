//! Calls what users hang in, such as hooks and reactors, and lets no panic of it out.
//!
//! The panic hook has printed it by then. Bodies are contained by the token crate.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `call` gave; none if it panicked.
pub(crate) fn contain<R>(call: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Some(result),
        Err(payload) => {
            // Its destructor may panic too; what that gives is leaked, there is an end to it.
            if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(second);
            }
            None
        }
    }
}
