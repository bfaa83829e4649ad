//! The count of a chain under the model checker: released once, when its last one leaves, and after
//! all that was done in it.
//!
//! Run by `cargo xtask loom`. The conductor is the real one. What hands out the slots of chains is in
//! the model but for `boxcar`, which only appends.

#![cfg(tokengate_loom)]

use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread::{self, JoinHandle};
use tokengate_anchor::{ChainId, Conductor, Seed};

/// A conductor, and for each slot what the members of its chain share.
#[derive(Default)]
struct Chains {
    conductor: Conductor,
    content: [UnsafeCell<()>; 5],
}

impl Chains {
    fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Opens a chain; what it writes comes after all that was done in the one before in this slot.
    fn open(&self, token_id: u64, parent: Option<ChainId>) -> ChainId {
        let slot = token_id as u32;
        let chain = self.conductor.open(token_id, &["child_op"], slot, parent);
        self.content(chain).with_mut(|_| ());
        chain
    }

    fn content(&self, chain: ChainId) -> &UnsafeCell<()> {
        &self.content[chain.number().get() as usize - 1]
    }

    /// What a member does in the chain, then its exit.
    fn leave(&self, chain: ChainId) {
        self.content(chain).with(|_| ());
        self.conductor.leave(chain);
    }

    /// The leads of the chains that live, and how many are counted in each.
    fn live(&self) -> Vec<(u64, usize)> {
        let live = self.conductor.snapshot();
        let mut live: Vec<_> = live.iter().map(|view| (view.lead, view.count)).collect();
        live.sort_unstable();
        live
    }

    /// All is released, each chain once: so many slots are there to be used again.
    fn assert_released(&self, slots: u64) {
        assert_eq!(self.live(), []);
        let again = (0..slots).map(|lead| self.open(100 + lead, None).number().get());
        let mut again: Vec<_> = again.map(u64::from).collect();
        again.sort_unstable();
        assert!(again.into_iter().eq(1..=slots));
    }
}

fn spawn(chains: &Arc<Chains>, run: impl FnOnce(&Chains) + 'static) -> JoinHandle<()> {
    let chains = chains.clone();
    thread::spawn(move || run(&chains))
}

#[test]
fn the_last_child_leaves_against_a_lead_that_still_creates_one() {
    loom::model(|| {
        let chains = Chains::shared();
        let chain = chains.open(1, None);
        chains.conductor.join(chain);
        let first = spawn(&chains, move |chains| chains.leave(chain));
        chains.conductor.join(chain);
        let second = spawn(&chains, move |chains| {
            assert_eq!(chains.conductor.slot(chain), 1);
            chains.leave(chain);
        });
        assert!(matches!(chains.live()[..], [(1, 1..=3)]));
        // The lead exits.
        chains.leave(chain);
        first.join().unwrap();
        second.join().unwrap();
        chains.assert_released(1);
    });
}

#[test]
fn a_child_that_creates_one_keeps_the_chain_when_its_lead_leaves() {
    loom::model(|| {
        let chains = Chains::shared();
        let chain = chains.open(1, None);
        chains.conductor.join(chain);
        let child = spawn(&chains, move |chains| {
            chains.conductor.join(chain);
            chains.leave(chain);
            assert_eq!(chains.conductor.slot(chain), 1);
            chains.leave(chain);
        });
        chains.leave(chain);
        // Takes the slot over if it is free by now, or another one.
        let other = chains.open(2, None);
        chains.leave(other);
        child.join().unwrap();
        assert_eq!(chains.live(), []);
    });
}

#[test]
fn a_nested_chain_keeps_those_around_it() {
    loom::model(|| {
        let chains = Chains::shared();
        let outer = chains.open(1, None);
        let middle = chains.open(2, Some(outer));
        let inner = chains.open(3, Some(middle));
        let leads = [inner, outer].map(|chain| spawn(&chains, move |chains| chains.leave(chain)));
        // Counted in the middle one, so that one and the outer one live.
        let live = chains.live();
        assert!(matches!(live[..2], [(1, 1 | 2), (2, 1 | 2)]));
        chains.leave(middle);
        for lead in leads {
            lead.join().unwrap();
        }
        chains.assert_released(3);
    });
}

#[test]
fn the_release_of_a_nested_chain_comes_before_the_next_use_of_both_slots() {
    loom::model(|| {
        let chains = Chains::shared();
        let outer = chains.open(1, None);
        let inner = chains.open(2, Some(outer));
        let nested = spawn(&chains, move |chains| {
            // The nested lead is a member of the outer chain as well.
            chains.content(outer).with(|_| ());
            chains.leave(inner);
            let again = chains.open(5, None);
            chains.leave(again);
        });
        chains.leave(outer);
        // Each takes a slot that is free by now, or another; this one has a chain below it again.
        let again = chains.open(3, None);
        let below = chains.open(4, Some(again));
        chains.leave(again);
        assert_eq!(chains.conductor.slot(again), 3);
        chains.leave(below);
        nested.join().unwrap();
        assert_eq!(chains.live(), []);
    });
}

/// A snapshot of a slot that goes from chain 1 to chain 2; `late`: it looks when chain 2 was opened,
/// without an order between the two.
fn assert_seen_whole(late: bool) {
    loom::model(move || {
        let chains = Chains::shared();
        let chain = chains.open(1, None);
        chains.conductor.join(chain);
        let seeds = [1, 2].map(|lead| Seed::of(lead, &["child_op"]));
        let opened = Arc::new(AtomicBool::new(!late));
        let opens = opened.clone();
        let reuse = spawn(&chains, move |chains| {
            chains.leave(chain);
            chains.leave(chain);
            assert_eq!(chains.open(2, None), chain);
            opens.store(true, Relaxed);
        });
        while !opened.load(Relaxed) {
            thread::yield_now();
        }
        for view in chains.conductor.snapshot() {
            assert!(matches!((view.lead, view.count), (1, 1 | 2) | (2, 1)));
            assert_eq!(view.seed, seeds[view.lead as usize - 1]);
            assert_eq!(u64::from(view.slot), view.lead);
        }
        reuse.join().unwrap();
        assert_eq!(chains.live(), [(2, 1)]);
    });
}

#[test]
fn a_snapshot_sees_a_chain_whole_or_not_at_all() {
    assert_seen_whole(false);
}

#[test]
fn a_snapshot_that_looks_late_sees_a_chain_whole_or_not_at_all() {
    assert_seen_whole(true);
}

#[test]
fn a_snapshot_shows_no_chain_that_was_released_before_it() {
    loom::model(|| {
        let chains = Chains::shared();
        let chain = chains.open(1, None);
        chains.leave(chain);
        let reuse = spawn(&chains, move |chains| {
            assert_eq!(chains.open(2, None), chain)
        });
        assert!(matches!(chains.live()[..], [] | [(2, 1)]));
        reuse.join().unwrap();
    });
}
