//! tokio with the producer outside: the calling thread spawns a task a token and awaits each handle.

use tokio::runtime::Runtime;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// The runtime; the caller is none of its workers.
pub(crate) struct TokioOutside(Runtime);

impl TokioOutside {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl Contender for TokioOutside {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let handles: Vec<_> = jobs
            .map(|job| self.0.spawn(async move { job.run() }))
            .collect();
        self.0.block_on(async {
            for handle in handles {
                take(handle.await.map_err(Failed::because));
            }
        });
    }
}
