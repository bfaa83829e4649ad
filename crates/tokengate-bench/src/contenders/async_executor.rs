//! The crate `async-executor`, the one under smol, driven by a thread a CPU.

use std::sync::Arc;
use std::thread;

use async_executor::Executor;
use futures_lite::future::block_on;

use crate::contender::{Contender, Job, Outcome, Unable};
use crate::machine;

/// The executor and what ends its threads: they stop when the senders are dropped.
pub(crate) struct AsyncExecutor {
    executor: Arc<Executor<'static>>,
    _stops: Vec<oneshot::Sender<()>>,
}

impl AsyncExecutor {
    pub(crate) fn start() -> Result<Self, Unable> {
        let executor = Arc::new(Executor::new());
        let stops = (0..machine::workers())
            .map(|_| {
                let (stop, stopped) = oneshot::channel::<()>();
                let executor = executor.clone();
                thread::Builder::new()
                    .name("async-executor".into())
                    .spawn(move || block_on(executor.run(stopped)))
                    .map_err(|error| Unable(format!("no thread: {error}")))?;
                Ok(stop)
            })
            .collect::<Result<_, Unable>>()?;
        Ok(Self {
            executor,
            _stops: stops,
        })
    }
}

impl Contender for AsyncExecutor {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let tasks: Vec<_> = jobs
            .map(|job| self.executor.spawn(async move { job.run() }))
            .collect();
        block_on(async {
            for task in tasks {
                take(Ok(task.await));
            }
        });
    }
}
