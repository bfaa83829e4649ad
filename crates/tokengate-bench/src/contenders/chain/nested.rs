//! No tasks at all: the caller's loop calls each lead, and a lead its children.

use super::{Chains, child, children};
use crate::contender::Outcome;

/// What the work costs without any executor.
pub(crate) struct Nested;

impl Chains for Nested {
    fn run_chains(&mut self, leads: u64, take: &mut dyn FnMut(Outcome<u64>)) {
        for lead in 0..leads {
            take(Ok(children(lead).into_iter().map(child).sum()));
        }
    }
}
