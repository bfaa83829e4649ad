//! Benches an executor of your own beside tokengate and its peers.
//!
//! Run it with `cargo run --release -p tokengate-bench --example own_executor -- waves --quick`.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use tokengate_bench::{Bench, Contender, Failed, Handles, Job, Outcome, Unable};

type Work = Box<dyn FnOnce() + Send>;

/// A few threads behind one locked queue; they end when the queue's sender is dropped.
struct SharedQueue {
    queue: Sender<Work>,
}

impl SharedQueue {
    fn start() -> Result<Self, Unable> {
        let threads = thread::available_parallelism().map_err(|e| Unable(e.to_string()))?;
        let (queue, work) = channel();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads.get() {
            let work = Arc::clone(&work);
            thread::spawn(move || {
                while let Some(next) = take(&work) {
                    next();
                }
            });
        }
        Ok(Self { queue })
    }
}

/// The next piece of work; the lock is free again when it runs.
fn take(work: &Mutex<Receiver<Work>>) -> Option<Work> {
    work.lock().ok()?.recv().ok()
}

impl Contender for SharedQueue {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let handles: Vec<_> = jobs
            .map(|job| {
                let (done, handle) = channel();
                let work = move || {
                    // The handle is kept until its result is taken.
                    let _ = done.send(job.run());
                };
                // Without a thread left the work is dropped, and `handle` tells.
                let _ = self.queue.send(Box::new(work));
                handle
            })
            .collect();
        for handle in handles {
            take(handle.recv().map_err(Failed::because));
        }
    }
}

fn main() -> ExitCode {
    Bench::new()
        .contender("shared-queue", Handles::Each, SharedQueue::start)
        .main()
}
