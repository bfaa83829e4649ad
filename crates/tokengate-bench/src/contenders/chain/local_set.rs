//! tokio's `LocalSet` on pinned threads: leads and children by `spawn_local`, which need not be `Send`.

use std::ops::Range;

use crossbeam_channel::Receiver;
use tokio::runtime::Builder;
use tokio::task::{JoinError, LocalSet, spawn_local};

use super::{Chains, LocalThreads, Part, child, children};
use crate::contender::{Outcome, Unable};

/// The threads; each makes its leads itself.
pub(crate) struct LocalSets(LocalThreads);

impl LocalSets {
    pub(crate) fn start() -> Result<Self, Unable> {
        LocalThreads::start("local-set", serve).map(Self)
    }
}

fn serve(parts: &Receiver<Part>) {
    let runtime = Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime without drivers needs nothing that could be refused");
    let local = LocalSet::new();
    for Part { leads, done } in parts {
        // If a lead has panicked, nothing is sent, and the receiver tells.
        if let Ok(sums) = local.block_on(&runtime, run(leads)) {
            let _ = done.send(sums);
        }
    }
}

async fn run(leads: Range<u64>) -> Result<Vec<u64>, JoinError> {
    let leads: Vec<_> = leads.map(|number| spawn_local(lead(number))).collect();
    let mut sums = Vec::with_capacity(leads.len());
    for lead in leads {
        sums.push(lead.await??);
    }
    Ok(sums)
}

async fn lead(number: u64) -> Result<u64, JoinError> {
    let children = children(number).map(|number| spawn_local(async move { child(number) }));
    let mut sum = 0;
    for child in children {
        sum += child.await?;
    }
    Ok(sum)
}

impl Chains for LocalSets {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        self.0.run_chains(leads, take);
    }
}
