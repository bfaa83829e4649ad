//! Says where a call would go, and why; submits nothing.

use std::fmt;

use tokengate_token::Weight;

use crate::handle::{Call, Handle};
use crate::thread::{self, ThreadState};

/// Where a call would go, and why; prints as one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The label of the operation.
    pub operation: &'static str,
    /// The weight that counts.
    pub weight: Weight,
    /// The numbers, from 1, of the domains that it may go to.
    pub domains: Vec<usize>,
    /// The numbers of the domains that it may go to while they are idle.
    pub lent: Vec<usize>,
    /// Whether it needs room: calls from bodies do not.
    pub needs_room: bool,
}

impl Handle {
    /// Where this call would go from here and now, and why.
    pub fn explain(&self, call: impl Into<Call>) -> Explanation {
        let call = call.into();
        let plan = self.plan();
        let numbers = |domains: &[usize]| domains.iter().map(|domain| domain + 1).collect();
        Explanation {
            operation: call.operation.label(),
            weight: call.weight,
            domains: numbers(plan.ranges().own(call.weight)),
            lent: numbers(plan.ranges().borrowable(call.weight)),
            needs_room: !thread::with(ThreadState::calls_children),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |domains: &[usize]| crate::topology::cpulist::format(domains);
        write!(
            f,
            "a {} token of `{}` goes in turn to domains {}, the range of its weight",
            self.weight,
            self.operation,
            list(&self.domains)
        )?;
        if !self.lent.is_empty() {
            write!(f, ", and to {} while idle", list(&self.lent))?;
        }
        f.write_str(if self.needs_room {
            "; it needs room"
        } else {
            "; it is called in a body and needs no room"
        })
    }
}
