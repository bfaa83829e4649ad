//! tokio with a task and a channel for each key: jobs are messages, results come back with the tasks.
//!
//! No handle a token. The caller opens a key's channel at its first job; the channels are unbounded, which
//! is the faster form from outside of the runtime.

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::contender::{Failed, Outcome, Unable};
use crate::keyed::{KeyedContender, KeyedJob};

/// Messages that a task takes at once.
const AT_ONCE: usize = 64;

/// The runtime; each run has tasks of its own.
pub(crate) struct TokioActors(Runtime);

impl TokioActors {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

/// Runs the jobs of one key until its channel is closed.
async fn actor<J: KeyedJob>(mut jobs: UnboundedReceiver<J>) -> Vec<J::Output> {
    let mut outputs = Vec::new();
    let mut some = Vec::with_capacity(AT_ONCE);
    while jobs.recv_many(&mut some, AT_ONCE).await > 0 {
        outputs.extend(some.drain(..).map(J::run));
    }
    outputs
}

impl KeyedContender for TokioActors {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let mut senders = Vec::new();
        let mut actors = Vec::new();
        for job in jobs {
            let key = job.key();
            if senders.len() <= key {
                senders.resize_with(key + 1, || None);
            }
            let sender = senders[key].get_or_insert_with(|| {
                let (sender, jobs) = unbounded_channel();
                actors.push(self.0.spawn(actor(jobs)));
                sender
            });
            // If the task has panicked, it tells when it is joined.
            let _ = sender.send(job);
        }
        drop(senders);
        self.0.block_on(async {
            for actor in actors {
                match actor.await {
                    Ok(outputs) => outputs.into_iter().for_each(|output| take(Ok(output))),
                    Err(error) => take(Err(Failed::because(error))),
                }
            }
        });
    }
}
