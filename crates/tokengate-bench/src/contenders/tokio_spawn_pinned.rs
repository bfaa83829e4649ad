//! tokio-util's `LocalPoolHandle`: a pinned future a token, on single-threaded runtimes.

use tokio_util::task::LocalPoolHandle;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};
use crate::machine;

/// The pool; its threads are tokio's, "pinned" is what it calls a future that never moves.
pub(crate) struct TokioSpawnPinned(LocalPoolHandle);

impl TokioSpawnPinned {
    pub(crate) fn start() -> Result<Self, Unable> {
        Ok(Self(LocalPoolHandle::new(machine::workers())))
    }
}

impl Contender for TokioSpawnPinned {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let handles: Vec<_> = jobs
            .map(|job| self.0.spawn_pinned(move || async move { job.run() }))
            .collect();
        futures_lite::future::block_on(async {
            for handle in handles {
                take(handle.await.map_err(Failed::because));
            }
        });
    }
}
