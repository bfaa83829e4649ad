//! rayon's `spawn` with a oneshot channel a token, its usual form of a handle.

use rayon::ThreadPool;

use crate::contender::{Contender, Job, Outcome, Unable};

/// The pool; the caller is none of its threads.
pub(crate) struct RayonSpawn(ThreadPool);

impl RayonSpawn {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::rayon_pool().map(Self)
    }
}

impl Contender for RayonSpawn {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        super::through_oneshots(jobs, take, |work| self.0.spawn(|| work.run()));
    }
}
