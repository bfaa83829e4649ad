//! tokengate: leads that anchor their chains, and children that run in the lead's domain.
//!
//! Three forms of the same gate: leads call by call, leads in a batch, and async leads, which await their
//! children instead of blocking on them.

use tokengate::{TokenError, task_token_guard};

use super::{Chains, child, children};
use crate::contender::{Outcome, Unable};
use crate::contenders::tokengate::{Form, Tokengate};

#[task_token_guard(
    operation_type = "bench.lead",
    tags(external_calls = ["bench.chain_child"])
)]
fn lead(number: u64) -> Result<u64, TokenError> {
    let children = children(number).map(chain_child);
    let mut sum = 0;
    for child in children {
        sum += child.get()?;
    }
    Ok(sum)
}

#[task_token_guard(
    operation_type = "bench.async_lead",
    tags(external_calls = ["bench.chain_child"])
)]
async fn async_lead(number: u64) -> Result<u64, TokenError> {
    let children = children(number).map(chain_child);
    let mut sum = 0;
    for child in children {
        sum += child.await?;
    }
    Ok(sum)
}

#[task_token_guard(operation_type = "bench.chain_child")]
fn chain_child(number: u64) -> u64 {
    child(number)
}

/// What kind of lead is called.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lead {
    /// It blocks on its children.
    Blocking,
    /// It awaits them.
    Async,
}

/// A gate in one form of use.
pub(crate) struct TokengateChains {
    gate: Tokengate,
    lead: Lead,
}

impl TokengateChains {
    pub(crate) fn start(form: Form, lead: Lead) -> Result<Self, Unable> {
        let gate = Tokengate::start(form)?;
        Ok(Self { gate, lead })
    }
}

impl Chains for TokengateChains {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        match self.lead {
            Lead::Blocking => self.gate.take_all((0..leads).map(lead), take),
            Lead::Async => self.gate.take_all((0..leads).map(async_lead), take),
        }
    }
}
