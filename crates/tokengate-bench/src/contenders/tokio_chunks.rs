//! tokio with 64 tokens in a task: chunks made by hand, a handle for each chunk only.

use tokio::runtime::Runtime;

use crate::contender::{Contender, Failed, Job, Outcome, Unable};

/// Tokens in one task.
const CHUNK: usize = 64;

/// The runtime; the caller makes the chunks.
pub(crate) struct TokioChunks(Runtime);

impl TokioChunks {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl Contender for TokioChunks {
    fn run<J: Job>(
        &mut self,
        mut jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let mut handles = Vec::with_capacity(jobs.len().div_ceil(CHUNK));
        while jobs.len() > 0 {
            let chunk: Vec<J> = jobs.by_ref().take(CHUNK).collect();
            let run = async move { chunk.into_iter().map(Job::run).collect::<Vec<_>>() };
            handles.push(self.0.spawn(run));
        }
        self.0.block_on(async {
            for handle in handles {
                match handle.await {
                    Ok(outputs) => outputs.into_iter().for_each(|output| take(Ok(output))),
                    Err(error) => take(Err(Failed::because(error))),
                }
            }
        });
    }
}
