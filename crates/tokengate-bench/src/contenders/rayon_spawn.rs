//! rayon's `spawn` with a oneshot channel a token, its usual form of a handle.

use rayon::ThreadPool;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

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
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let results: Vec<_> = jobs
            .map(|job| {
                let (done, result) = oneshot::channel();
                self.0.spawn(move || {
                    // The receiver is kept until its result is taken.
                    let _ = done.send(job.run());
                });
                result
            })
            .collect();
        for result in results {
            take(result.recv().map_err(Failed::because));
        }
    }
}
