//! tokio's `spawn_blocking`: a closure a token on the pool that is meant for blocking calls.

use tokio::runtime::Runtime;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// The runtime; its pool grows to 512 threads under load, that is its default.
pub(crate) struct TokioSpawnBlocking(Runtime);

impl TokioSpawnBlocking {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl Contender for TokioSpawnBlocking {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let handles: Vec<_> = jobs
            .map(|job| self.0.spawn_blocking(|| job.run()))
            .collect();
        self.0.block_on(async {
            for handle in handles {
                take(handle.await.map_err(Failed::because));
            }
        });
    }
}
