//! tokio with the producer inside: one spawned task spawns the leads and awaits them.

use tokio::runtime::Runtime;

use super::Chains;
use super::tokio_outside::lead;
use crate::contender::{Failed, Outcome, Unable};
use crate::contenders::tokio_runtime;

/// The runtime; the producer is a task on one of its workers.
pub(crate) struct TokioInsideChains(Runtime);

impl TokioInsideChains {
    pub(crate) fn start() -> Result<Self, Unable> {
        tokio_runtime().map(Self)
    }
}

impl Chains for TokioInsideChains {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        let producer = self.0.spawn(async move {
            let leads: Vec<_> = (0..leads)
                .map(|number| tokio::spawn(lead(number)))
                .collect();
            let mut sums = Vec::with_capacity(leads.len());
            for lead in leads {
                let sum = lead.await.and_then(|sum| sum);
                sums.push(sum.map_err(Failed::because));
            }
            sums
        });
        match self.0.block_on(producer) {
            Ok(sums) => sums.into_iter().for_each(take),
            Err(error) => take(Err(Failed::because(error))),
        }
    }
}
