//! rayon: leads by `spawn` with a oneshot channel each, children by `spawn` into a scope.

use rayon::ThreadPool;

use super::{CHILDREN, Chains, child, children};
use crate::contender::{Outcome, Unable};
use crate::contenders::{rayon_pool, results_of};

/// The pool; the caller is none of its threads.
pub(crate) struct RayonScope(ThreadPool);

impl RayonScope {
    pub(crate) fn start() -> Result<Self, Unable> {
        rayon_pool().map(Self)
    }
}

fn lead(number: u64) -> u64 {
    let mut results = [0; CHILDREN];
    rayon::scope(|scope| {
        for (result, number) in results.iter_mut().zip(children(number)) {
            scope.spawn(move |_| *result = child(number));
        }
    });
    results.into_iter().sum()
}

impl Chains for RayonScope {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        results_of(0..leads, take, |number, done| {
            // The receiver is kept until its result is taken.
            self.0.spawn(move || drop(done.send(lead(number))));
        });
    }
}
