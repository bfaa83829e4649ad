//! The executor itself, on a thread of its own that takes each run through a channel.

use std::future::Future;
use std::pin::Pin;

use async_channel::{Sender, unbounded};
use glommio::{LocalExecutorBuilder, Placement};

use crate::contender::{Contender, Failed, Job, Outcome, Unable};
use crate::machine;

/// Makes, on the executor's thread, the future that runs all jobs of one run.
type Run = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The way to the executor, which ends with it.
pub(crate) struct GlommioLocal(Sender<Run>);

impl GlommioLocal {
    pub(crate) fn start() -> Result<Self, Unable> {
        let cpu = machine::worker_cpus().into_iter().flatten().next();
        let placement = cpu.map_or(Placement::Unbound, |cpu| Placement::Fixed(cpu.id));
        let (sender, runs) = unbounded::<Run>();
        let thread = LocalExecutorBuilder::new(placement)
            .name("glommio-local")
            .spawn(move || async move {
                while let Ok(run) = runs.recv().await {
                    run().await;
                }
            });
        match thread {
            Ok(_detached) => Ok(Self(sender)),
            Err(error) => Err(Unable(format!("glommio does not start: {error}"))),
        }
    }
}

impl Contender for GlommioLocal {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let (done, results) = oneshot::channel();
        // The future is made on the executor's thread, which its tasks cannot leave.
        let run: Run = Box::new(|| {
            Box::pin(async move {
                let tasks: Vec<_> = jobs
                    .map(|job| glommio::spawn_local(async move { job.run() }))
                    .collect();
                let mut outputs = Vec::with_capacity(tasks.len());
                for task in tasks {
                    outputs.push(task.await);
                }
                // The receiver is kept until its results are taken.
                let _ = done.send(outputs);
            })
        });
        // If the thread has ended, the run is dropped and `results` tells.
        let _ = self.0.send_blocking(run);
        match results.recv() {
            Ok(outputs) => outputs.into_iter().for_each(|output| take(Ok(output))),
            Err(error) => take(Err(Failed::because(error))),
        }
    }
}
