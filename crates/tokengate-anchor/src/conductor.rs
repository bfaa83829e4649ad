//! The chains that live: where each runs, its seed, and how many are counted in it.
//!
//! A scheduler opens a chain at a lead's call, joins it for each token created under it, and leaves
//! it at each exit. Keeps: a chain is released when its last one leaves, not before and not later.
//! It has no threads and decides no domain: the slot is the caller's.
#![doc = include_str!("CHAINS.md")]

use std::collections::BTreeMap;
use std::fmt;

use crate::Seed;
use crate::slots::{Number, Slots};
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, fence};
use crate::sync::{Mutex, lock};

/// The chains of one scheduler.
///
/// ```
/// use tokengate_anchor::Conductor;
/// let conductor = Conductor::new();
/// let chain = conductor.open(1, &["child_op"], 3, None);
/// conductor.join(chain); // a child
/// conductor.leave(chain); // the lead has exited
/// let live = conductor.snapshot();
/// assert_eq!((live[0].slot, live[0].count), (3, 1));
/// conductor.leave(chain);
/// assert!(conductor.snapshot().is_empty());
/// ```
pub struct Conductor {
    chains: Slots<Chain>,
    undeclared: Mutex<BTreeMap<&'static str, u64>>,
}

/// The number of a chain; counts in one conductor, while somebody is counted in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainId(Number);

impl ChainId {
    /// The chain with this number.
    pub const fn from_number(number: Number) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> Number {
        self.0
    }
}

/// A chain, as [`Conductor::snapshot`] saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChainView {
    /// Its public name.
    pub seed: Seed,
    /// Where it runs.
    pub slot: u32,
    /// How many are counted in it.
    pub count: usize,
    /// The id of its lead.
    pub lead: u64,
}

#[derive(Default)]
struct Chain {
    /// Who is counted; zero when the slot is free, or was never taken.
    count: AtomicUsize,
    /// Odd while it is filled; tells a snapshot that it looked at two chains.
    version: AtomicUsize,
    /// What follows is written when it opens, by its one owner then, and read by those who are
    /// counted. A snapshot reads it between two looks at the version.
    slot: AtomicU32,
    /// The number of the parent, or 0.
    parent: AtomicU32,
    token_id: AtomicU64,
    seed: [AtomicU64; 4],
}

impl Chain {
    /// Fills a chain that is this thread's alone, and counts its lead.
    fn open(&self, seed: &Seed, token_id: u64, slot: u32, parent: Option<ChainId>) {
        // Relaxed: nobody else writes it.
        let version = self.version.load(Relaxed) + 1;
        self.version.store(version, Relaxed);
        // Release fence: a snapshot that sees any of what follows sees the odd version too.
        fence(Release);
        self.slot.store(slot, Relaxed);
        let parent = parent.map_or(0, |parent| parent.0.get());
        self.parent.store(parent, Relaxed);
        self.token_id.store(token_id, Relaxed);
        for (word, value) in self.seed.iter().zip(seed.words()) {
            word.store(value, Relaxed);
        }
        self.count.store(1, Relaxed);
        // Release: a snapshot that sees this version sees all of it. Who joins or leaves was made
        // known of the chain after this.
        self.version.store(version + 1, Release);
    }

    fn seed(&self) -> Seed {
        Seed::from_words([0, 1, 2, 3].map(|index: usize| self.seed[index].load(Relaxed)))
    }

    /// The chain as it is, if it lives; none as well if it changes meanwhile: then it has just
    /// been opened, or ended.
    fn view(&self) -> Option<ChainView> {
        // Acquire: pairs with the Release at the end of `open`.
        let version = self.version.load(Acquire);
        let view = ChainView {
            seed: self.seed(),
            slot: self.slot.load(Relaxed),
            count: self.count.load(Relaxed),
            lead: self.token_id.load(Relaxed),
        };
        // Acquire fence: pairs with the fence in `open`.
        fence(Acquire);
        let unchanged = version.is_multiple_of(2) && self.version.load(Relaxed) == version;
        (unchanged && view.count > 0).then_some(view)
    }
}

impl Conductor {
    /// Without a chain.
    pub fn new() -> Self {
        Self {
            chains: Slots::new(),
            undeclared: Mutex::new(BTreeMap::new()),
        }
    }

    /// Opens a chain with its lead counted; joins the parent, which the caller is counted in.
    pub fn open(
        &self,
        token_id: u64,
        external_calls: &[&str],
        slot: u32,
        parent: Option<ChainId>,
    ) -> ChainId {
        let seed = Seed::of(token_id, external_calls);
        if let Some(parent) = parent {
            self.join(parent);
        }
        let id = ChainId(self.chains.take());
        self.chain(id).open(&seed, token_id, slot, parent);
        id
    }

    /// Counts one more in a chain; the caller is counted in it.
    #[inline]
    pub fn join(&self, id: ChainId) {
        // Relaxed: only one that is counted adds another, and what it has seen of the chain is
        // handed on with the token.
        let before = self.chain(id).count.fetch_add(1, Relaxed);
        debug_assert_ne!(before, 0, "a chain is joined by one that is counted");
    }

    /// Takes one off; the last one releases the chain, which leaves its parent.
    #[inline]
    pub fn leave(&self, id: ChainId) {
        // AcqRel: the last one comes after all that the others did in the chain.
        let before = self.chain(id).count.fetch_sub(1, AcqRel);
        debug_assert_ne!(before, 0, "who leaves a chain is counted in it");
        if before == 1
            && let Some(parent) = self.release(id)
        {
            self.leave_all(parent);
        }
    }

    /// Gives the slot of a chain back that nobody is counted in; the parent is to be left.
    fn release(&self, id: ChainId) -> Option<ChainId> {
        let parent = self.chain(id).parent.load(Relaxed);
        self.chains.give(id.0);
        Number::new(parent).map(ChainId)
    }

    /// Leaves a chain, and its parents as far as that releases them. Not by recursion: leads may be
    /// nested as deep as memory allows.
    #[cold]
    fn leave_all(&self, mut id: ChainId) {
        while self.chain(id).count.fetch_sub(1, AcqRel) == 1 {
            match self.release(id) {
                Some(parent) => id = parent,
                None => break,
            }
        }
    }

    /// Where a chain runs.
    #[inline]
    pub fn slot(&self, id: ChainId) -> u32 {
        self.chain(id).slot.load(Relaxed)
    }

    /// The chain that a chain is nested in.
    pub fn parent(&self, id: ChainId) -> Option<ChainId> {
        Number::new(self.chain(id).parent.load(Relaxed)).map(ChainId)
    }

    /// The seed of a chain.
    pub fn seed(&self, id: ChainId) -> Seed {
        self.chain(id).seed()
    }

    /// All chains that live, in no order.
    pub fn snapshot(&self) -> Vec<ChainView> {
        let chains = self.chains.iter();
        chains.filter_map(Chain::view).collect()
    }

    /// Notes a call from a lead's body that the lead does not declare.
    #[cold]
    pub fn note_undeclared(&self, label: &'static str) {
        *lock(&self.undeclared).entry(label).or_default() += 1;
    }

    /// How often each operation was called by leads that do not declare it.
    pub fn undeclared(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.undeclared).clone()
    }

    fn chain(&self, id: ChainId) -> &Chain {
        self.chains.get(id.0)
    }
}

impl Default for Conductor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Conductor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conductor")
            .field("live", &self.snapshot().len())
            .finish_non_exhaustive()
    }
}
