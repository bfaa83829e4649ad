//! Parks one thread until a permit comes: the `parking` crate, or a stand-in for the model checker.
//!
//! Used by `Sleepers` only. Keeps one permit at most, and returns for nothing but a permit.

#[cfg(not(tokengate_loom))]
pub(super) use parking::{Parker, Unparker, pair};

#[cfg(tokengate_loom)]
pub(super) use modelled::{Parker, Unparker, pair};

#[cfg(tokengate_loom)]
mod modelled {
    use std::sync::Arc;

    use loom::sync::{Condvar, Mutex};

    use crate::sync::lock;

    /// Whether a permit is there, and who waits for it.
    type Permit = Arc<(Mutex<bool>, Condvar)>;

    pub(crate) struct Parker(Permit);
    pub(crate) struct Unparker(Permit);

    pub(crate) fn pair() -> (Parker, Unparker) {
        let permit = Permit::new((Mutex::new(false), Condvar::new()));
        (Parker(permit.clone()), Unparker(permit))
    }

    impl Parker {
        pub(crate) fn park(&self) {
            let (permit, given) = &*self.0;
            let mut permit = lock(permit);
            while !*permit {
                permit = given.wait(permit).expect("no thread of the model panics");
            }
            *permit = false;
        }
    }

    impl Unparker {
        pub(crate) fn unpark(&self) {
            let (permit, given) = &*self.0;
            let before = std::mem::replace(&mut *lock(permit), true);
            assert!(!before, "called again before the permit was used up");
            given.notify_one();
        }
    }
}
