//! The crate `async-executor`: a `LocalExecutor` on each of some pinned threads.

use std::ops::Range;
use std::rc::Rc;

use async_executor::LocalExecutor;
use crossbeam_channel::Receiver;
use futures_lite::future::block_on;

use super::{Chains, LocalThreads, Part, child, children};
use crate::contender::{Outcome, Unable};

/// The threads; each makes its leads itself.
pub(crate) struct LocalExecutors(LocalThreads);

impl LocalExecutors {
    pub(crate) fn start() -> Result<Self, Unable> {
        LocalThreads::start("local-executor", serve).map(Self)
    }
}

fn serve(parts: &Receiver<Part>) {
    let executor = Rc::new(LocalExecutor::new());
    for Part { leads, done } in parts {
        let sums = block_on(executor.run(run(executor.clone(), leads)));
        // The receiver is kept until its results are taken.
        let _ = done.send(sums);
    }
}

async fn run(executor: Rc<LocalExecutor<'static>>, leads: Range<u64>) -> Vec<u64> {
    let leads: Vec<_> = leads
        .map(|number| executor.spawn(lead(executor.clone(), number)))
        .collect();
    let mut sums = Vec::with_capacity(leads.len());
    for lead in leads {
        sums.push(lead.await);
    }
    sums
}

async fn lead(executor: Rc<LocalExecutor<'static>>, number: u64) -> u64 {
    let children = children(number).map(|number| executor.spawn(async move { child(number) }));
    let mut sum = 0;
    for child in children {
        sum += child.await;
    }
    sum
}

impl Chains for LocalExecutors {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        self.0.run_chains(leads, take);
    }
}
