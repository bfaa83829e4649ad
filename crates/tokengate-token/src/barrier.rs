//! Two fences, one of which costs nothing: for a store and a load that are often, against a store and
//! a load that are rare.
//!
//! Used by [`Present`](crate::Present). A thread that stores `a`, passes [`light`](Barriers::light)
//! and loads `b`, and one that stores `b`, passes [`heavy`](Barriers::heavy) and loads `a`: at least
//! one of them sees what the other has stored. On Linux the heavy one is the system call `membarrier`,
//! which makes each running thread of the process pass a fence, so the light one has to hold only
//! the compiler back. Elsewhere, and where the system refuses, both are ordinary fences.

use crate::sync::atomic::Ordering::SeqCst;
use crate::sync::atomic::fence;

/// Which kind of fences this process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Barriers {
    /// The heavy one reaches all threads.
    asymmetric: bool,
}

impl Barriers {
    /// What the system offers; the first call asks it.
    pub(crate) fn of_this_process() -> Self {
        Self {
            asymmetric: process_wide::is_offered(),
        }
    }

    /// The fence of the thread that passes it often.
    #[inline(always)]
    pub(crate) fn light(self) {
        if self.asymmetric {
            std::sync::atomic::compiler_fence(SeqCst);
        } else {
            fence(SeqCst);
        }
    }

    /// The fence of the thread that passes it seldom.
    #[cold]
    pub(crate) fn heavy(self) {
        // Of this thread too, whatever else it does.
        fence(SeqCst);
        if self.asymmetric {
            process_wide::pass();
        }
    }
}

#[cfg(all(target_os = "linux", not(tokengate_loom)))]
mod process_wide {
    use std::sync::LazyLock;

    use rustix::thread::{MembarrierCommand, membarrier};

    /// Whether the process is registered for it; once registered, the call does not fail.
    static OFFERED: LazyLock<bool> =
        LazyLock::new(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok());

    pub(super) fn is_offered() -> bool {
        *OFFERED
    }

    pub(super) fn pass() {
        let passed = membarrier(MembarrierCommand::PrivateExpedited);
        assert!(passed.is_ok(), "membarrier fails only if not registered");
    }
}

#[cfg(not(all(target_os = "linux", not(tokengate_loom))))]
mod process_wide {
    pub(super) fn is_offered() -> bool {
        false
    }

    pub(super) fn pass() {}
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    use super::*;

    /// Stores in both threads, then loads: with the fences never two that miss the other.
    fn never_both_miss(barriers: Barriers) {
        for _ in 0..2_000 {
            let (a, b) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let seen = thread::scope(|scope| {
                let often = scope.spawn(|| {
                    a.store(1, Relaxed);
                    barriers.light();
                    b.load(Relaxed)
                });
                b.store(1, Relaxed);
                barriers.heavy();
                [a.load(Relaxed), often.join().unwrap()]
            });
            assert_ne!(seen, [0, 0]);
        }
    }

    #[test]
    fn of_two_threads_one_sees_the_other() {
        never_both_miss(Barriers::of_this_process());
        never_both_miss(Barriers { asymmetric: false });
    }
}
