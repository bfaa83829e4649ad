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
    /// What decides.
    pub reason: Reason,
    /// The numbers, from 1, of the domains that it may go to.
    pub domains: Vec<usize>,
    /// The numbers of the domains that it may go to while they are idle.
    pub lent: Vec<usize>,
    /// Whether it needs room: calls from bodies do not.
    pub needs_room: bool,
}

/// What decides where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The range of its weight.
    Weight,
    /// Its key, which is pinned.
    PinnedKey,
    /// Its key, which will be pinned to a domain in the range of its weight.
    NewKey,
    /// The chain that it is called in.
    Chain,
}

impl Handle {
    /// Where this call would go from here and now, and why.
    pub fn explain(&self, call: impl Into<Call>) -> Explanation {
        let call = call.into();
        let plan = self.plan();
        let numbers = |domains: &[usize]| domains.iter().map(|domain| domain + 1).collect();
        let (reason, fixed) = self.reason(call);
        let ranges = plan.ranges();
        let own = || numbers(ranges.own(call.weight));
        Explanation {
            operation: call.operation.label(),
            weight: call.weight,
            reason,
            domains: fixed.map_or_else(own, |domain| vec![domain + 1]),
            lent: match reason {
                Reason::Weight => numbers(ranges.borrowable(call.weight)),
                _ => Vec::new(),
            },
            needs_room: !thread::with(ThreadState::calls_children),
        }
    }
}

impl Handle {
    /// What decides, and the one domain that it may go to if it is only one.
    fn reason(&self, call: Call) -> (Reason, Option<usize>) {
        if let Some(key) = call.key() {
            return match self.sticky().domain_of(key) {
                Some(domain) => (Reason::PinnedKey, Some(domain)),
                None => (Reason::NewKey, None),
            };
        }
        let chain = thread::with(|thread| thread.chain(&self.shared));
        match chain.filter(|_| call.anchored) {
            Some(chain) => {
                let domain = self.shared.anchors.chains.slot(chain);
                (Reason::Chain, Some(domain as usize))
            }
            None => (Reason::Weight, None),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |domains: &[usize]| crate::topology::cpulist::format(domains);
        let (weight, operation, domains) = (self.weight, self.operation, list(&self.domains));
        write!(f, "a {weight} token of `{operation}` goes ")?;
        match self.reason {
            Reason::Weight => write!(f, "in turn to domains {domains}, the range of its weight"),
            Reason::PinnedKey => write!(f, "to domain {domains}, where its key is pinned"),
            Reason::NewKey => write!(
                f,
                "to one of the domains {domains}, the range of its weight, and its key is pinned \
                 there"
            ),
            Reason::Chain => write!(f, "to domain {domains}, that of its chain"),
        }?;
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
