//! What is pinned and which chains live, for users to look at.
//!
//! Copies, made by `Handle::sticky` and `Handle::conductor`; no worker is stopped for them.

use std::collections::BTreeMap;
use std::fmt;

use tokengate_anchor::{Key, Seed};

use crate::handle::Handle;

/// The keys of a gate that are pinned.
pub struct Sticky<'a> {
    gate: &'a Handle,
}

/// A key that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinnedKey {
    /// The key.
    pub key: Key,
    /// The index of its domain, counted from 0.
    pub domain: usize,
    /// How many of its tokens have not exited.
    pub tokens: usize,
}

/// The chains of a gate that live.
pub struct Conductor<'a> {
    gate: &'a Handle,
}

/// A chain that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveChain {
    /// Its public name.
    pub seed: Seed,
    /// The index of its domain, counted from 0.
    pub domain: usize,
    /// Who is counted in it: tokens that have not exited, handles, and chains opened under it.
    pub count: usize,
    /// The id of its lead, as a number.
    pub lead: u64,
}

impl Handle {
    /// The keys that are pinned.
    pub fn sticky(&self) -> Sticky<'_> {
        Sticky { gate: self }
    }

    /// The chains that live.
    pub fn conductor(&self) -> Conductor<'_> {
        Conductor { gate: self }
    }
}

impl Sticky<'_> {
    /// All keys with a token in flight, in no order. Costs a look at each; not one moment's picture.
    pub fn snapshot(&self) -> Vec<PinnedKey> {
        let shared = &self.gate.shared;
        let pins = shared.anchors.keys.snapshot().into_iter();
        pins.map(|pin| PinnedKey {
            key: pin.key,
            domain: usize::from(shared.position(pin.slot as usize).domain),
            tokens: pin.count,
        })
        .collect()
    }

    /// The index of the domain that a key is pinned to, if it is.
    pub fn domain_of(&self, key: Key) -> Option<usize> {
        let shared = &self.gate.shared;
        let slot = shared.anchors.keys.find(key)?;
        Some(usize::from(shared.position(slot as usize).domain))
    }
}

impl Conductor<'_> {
    /// All chains with anybody counted, in no order. Costs a look at each; not one moment's picture.
    pub fn snapshot(&self) -> Vec<LiveChain> {
        let chains = self.gate.shared.anchors.chains.snapshot().into_iter();
        chains
            .map(|chain| LiveChain {
                seed: chain.seed,
                domain: chain.slot as usize,
                count: chain.count,
                lead: chain.lead,
            })
            .collect()
    }

    /// How often each operation was called from the body of a lead that does not declare it.
    pub fn undeclared(&self) -> BTreeMap<&'static str, u64> {
        self.gate.shared.anchors.chains.undeclared()
    }
}

impl fmt::Debug for Sticky<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}

impl fmt::Debug for Conductor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.snapshot()).finish()
    }
}
