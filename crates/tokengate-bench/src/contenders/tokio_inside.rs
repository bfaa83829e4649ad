//! tokio with the producer inside: one spawned task spawns the others and awaits their handles.

use tokio::runtime::Runtime;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// The runtime; the producer is a task on one of its workers.
pub(crate) struct TokioInside(Runtime);

impl TokioInside {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl Contender for TokioInside {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let producer = self.0.spawn(async move {
            let handles: Vec<_> = jobs
                .map(|job| tokio::spawn(async move { job.run() }))
                .collect();
            let mut outcomes = Vec::with_capacity(handles.len());
            for handle in handles {
                outcomes.push(handle.await.map_err(Failed::because));
            }
            outcomes
        });
        match self.0.block_on(producer) {
            Ok(outcomes) => outcomes.into_iter().for_each(take),
            Err(error) => take(Err(Failed::because(error))),
        }
    }
}
