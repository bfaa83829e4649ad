//! tokio with a `JoinSet`, filled and joined inside one spawned task: results come as they finish.

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// The runtime; each run has a set of its own.
pub(crate) struct TokioJoinSet(Runtime);

impl TokioJoinSet {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl Contender for TokioJoinSet {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let producer = self.0.spawn(async move {
            let mut outcomes = Vec::with_capacity(jobs.len());
            let mut set: JoinSet<_> = jobs.map(|job| async move { job.run() }).collect();
            while let Some(joined) = set.join_next().await {
                outcomes.push(joined.map_err(Failed::because));
            }
            outcomes
        });
        match self.0.block_on(producer) {
            Ok(outcomes) => outcomes.into_iter().for_each(take),
            Err(error) => take(Err(Failed::because(error))),
        }
    }
}
