//! rayon: leads by `spawn` with a oneshot channel each, children by nested `join`.

use rayon::ThreadPool;

use super::{Chains, child, children};
use crate::contender::{Outcome, Unable};
use crate::contenders::{rayon_pool, results_of};

/// The pool; the caller is none of its threads.
pub(crate) struct RayonJoin(ThreadPool);

impl RayonJoin {
    pub(crate) fn start() -> Result<Self, Unable> {
        rayon_pool().map(Self)
    }
}

fn lead(number: u64) -> u64 {
    let [a, b, c, d] = children(number);
    let pair = |a, b| rayon::join(move || child(a), move || child(b));
    let ((a, b), (c, d)) = rayon::join(|| pair(a, b), || pair(c, d));
    a + b + c + d
}

impl Chains for RayonJoin {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        results_of(0..leads, take, |number, done| {
            // The receiver is kept until its result is taken.
            self.0.spawn(move || drop(done.send(lead(number))));
        });
    }
}
