//! What the bodies of a storm check: where they run, after whom, and beside whom.
//!
//! A check that fails is noted, not thrown: in a body it would be one panic among many. Bodies ask
//! which worker they are on; the gates' start hooks have noted that on each thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use tokengate::{Chain, Handle, Killer, chain};

use crate::common::{Census, Member};

/// So many keys, each of which has tokens in every gate.
pub(crate) const KEYS: u64 = 5;

thread_local! {
    /// The index of the gate, and of the domain, that this thread is a worker of.
    static HERE: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    /// The serial keys whose bodies are on this stack, with their gates.
    static HELD: RefCell<Vec<(usize, u64)>> = const { RefCell::new(Vec::new()) };
}

/// What all threads and bodies of one storm share.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) gates: Vec<Handle>,
    pub(crate) census: Census,
    /// Ways to end tokens, for any thread to use.
    pub(crate) killers: Mutex<Vec<Killer>>,
    /// Chains for the callers to carry on, with their gates.
    pub(crate) carried: Mutex<Vec<(usize, Chain)>>,
    keys: Vec<Vec<Mutex<KeyState>>>,
    faults: Mutex<Vec<String>>,
    callers: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) refused: AtomicU64,
}

/// The bodies of one key in one gate.
#[derive(Default)]
struct KeyState {
    /// The domains of those that execute.
    domains: Vec<usize>,
    serial_inside: bool,
    /// The number of the last serial body of each caller.
    last: HashMap<u64, u64>,
}

/// A token, as its body checks it.
pub(crate) struct Subject {
    pub(crate) gate: usize,
    pub(crate) key: Option<u64>,
    pub(crate) serial: bool,
    pub(crate) leads: bool,
    /// The domain of the chain that it was called in.
    pub(crate) chain_domain: Option<usize>,
    /// Who called, and how many calls it had made.
    pub(crate) caller: u64,
    pub(crate) number: u64,
    /// Counted until it is dropped, with the body.
    pub(crate) argument: Member,
}

impl World {
    pub(crate) fn new(gates: Vec<Handle>) -> Self {
        let keys = || (0..KEYS).map(|_| Mutex::default()).collect();
        Self {
            keys: gates.iter().map(|_| keys()).collect(),
            gates,
            ..Self::default()
        }
    }

    /// A number for a thread or body that makes calls one after the other.
    pub(crate) fn new_caller(&self) -> u64 {
        self.callers.fetch_add(1, SeqCst)
    }

    pub(crate) fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.faults.lock().unwrap().push(what.to_owned());
        }
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// Checks what a body has to find when it starts; what it holds ends with the guard.
    pub(crate) fn enter<'a>(&'a self, subject: &'a Subject, on_stack: bool) -> Inside<'a> {
        let (gate, domain) = here().unwrap_or((usize::MAX, usize::MAX));
        self.check(gate == subject.gate, "a body on a thread of another gate");
        let chain = chain();
        let chained = subject.leads || subject.chain_domain.is_some();
        self.check(chain.is_some() == chained, "in a chain, or not, wrongly");
        if subject.key.is_none() {
            let stays = subject.chain_domain.is_none_or(|chain| chain == domain);
            self.check(stays, "a body outside of its chain's domain");
        }
        if let Some(chain) = chain
            && (subject.key.is_none() || subject.leads)
        {
            self.check(chain.domain() == domain, "a chain elsewhere than its body");
        }
        if let Some(key) = subject.key {
            self.enter_key(subject, key, domain);
        }
        let holds = subject.key.filter(|_| subject.serial && on_stack);
        let held = holds.map(|key| (subject.gate, key));
        HELD.with_borrow_mut(|all| all.extend(held));
        Inside {
            world: self,
            subject,
            domain,
            held: held.is_some(),
        }
    }

    fn enter_key(&self, subject: &Subject, key: u64, domain: usize) {
        let mut state = self.keys[subject.gate][key as usize].lock().unwrap();
        let together = state.domains.iter().all(|&other| other == domain);
        self.check(together, "two bodies of a key in two domains");
        state.domains.push(domain);
        if subject.serial {
            self.check(!state.serial_inside, "two bodies of a serial key at a time");
            state.serial_inside = true;
            let before = state.last.insert(subject.caller, subject.number);
            let follows = before.is_none_or(|before| before < subject.number);
            self.check(follows, "a serial body before an earlier one");
        }
    }
}

/// Where this thread works: the indices of gate and domain.
pub(crate) fn here() -> Option<(usize, usize)> {
    HERE.get()
}

/// Notes where this thread works.
pub(crate) fn set_here(gate: usize, domain: usize) {
    HERE.set(Some((gate, domain)));
}

/// Whether a body of this serial key is on this stack.
pub(crate) fn is_held(gate: usize, key: u64) -> bool {
    HELD.with_borrow(|all| all.contains(&(gate, key)))
}

/// A body between its start and its end.
pub(crate) struct Inside<'a> {
    world: &'a World,
    subject: &'a Subject,
    domain: usize,
    held: bool,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let subject = self.subject;
        if let Some(key) = subject.key {
            let mut state = self.world.keys[subject.gate][key as usize].lock().unwrap();
            let place = state.domains.iter().position(|&other| other == self.domain);
            state.domains.swap_remove(place.expect("it was put in"));
            if subject.serial {
                state.serial_inside = false;
            }
        }
        if self.held {
            HELD.with_borrow_mut(Vec::pop);
        }
    }
}
