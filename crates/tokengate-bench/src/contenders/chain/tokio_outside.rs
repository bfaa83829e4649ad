//! tokio: the caller spawns the leads, each lead spawns its children and awaits them.

use tokio::runtime::Runtime;
use tokio::task::JoinError;

use super::{Chains, child, children};
use crate::contender::{Failed, Outcome, Unable};
use crate::contenders::tokio_runtime;

/// The runtime; the caller is none of its workers.
pub(crate) struct TokioOutsideChains(Runtime);

impl TokioOutsideChains {
    pub(crate) fn start() -> Result<Self, Unable> {
        tokio_runtime().map(Self)
    }
}

/// A lead, on whatever runtime polls it.
pub(super) async fn lead(number: u64) -> Result<u64, JoinError> {
    let children = children(number).map(|number| tokio::spawn(async move { child(number) }));
    let mut sum = 0;
    for child in children {
        sum += child.await?;
    }
    Ok(sum)
}

impl Chains for TokioOutsideChains {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        let leads: Vec<_> = (0..leads)
            .map(|number| self.0.spawn(lead(number)))
            .collect();
        self.0.block_on(async {
            for lead in leads {
                let sum = lead.await.and_then(|sum| sum);
                take(sum.map_err(Failed::because));
            }
        });
    }
}
