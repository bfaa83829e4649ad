//! Parks one thread until a permit comes: the `parking` crate, or loom's notification.
//!
//! Used by `Sleepers` only. One permit at most is kept.

#[cfg(not(tokengate_loom))]
pub(super) use parking::{Parker, Unparker, pair};

#[cfg(tokengate_loom)]
pub(super) use modelled::{Parker, Unparker, pair};

#[cfg(tokengate_loom)]
mod modelled {
    use loom::sync::{Arc, Notify};

    pub(crate) struct Parker(Arc<Notify>);
    pub(crate) struct Unparker(Arc<Notify>);

    pub(crate) fn pair() -> (Parker, Unparker) {
        let notify = Arc::new(Notify::new());
        (Parker(notify.clone()), Unparker(notify))
    }

    impl Parker {
        pub(crate) fn park(&self) {
            self.0.wait();
        }
    }

    impl Unparker {
        pub(crate) fn unpark(&self) {
            self.0.notify();
        }
    }
}
