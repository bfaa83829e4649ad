//! What a thread keeps between calls: gates entered, credits, place in the rotation, open batches.
//!
//! Read once for each call. A worker's thread also has its own queue here, so that children which
//! stay in the domain reach it without a mailbox. Nothing here is shared; while a thread ends, calls
//! from it use a state made for the moment.

use std::cell::{Cell, RefCell};
use std::ptr;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use tokengate_anchor::ChainId;
use tokengate_token::{Runnable, WaitHook, current_bond, in_body, set_wait_hook};

use crate::batch::Batches;
use crate::block;
use crate::chain::EnteredChains;
use crate::domain::Domain;
use crate::entered::EnteredGates;
use crate::on_worker::OnWorker;
use crate::router::Rotation;
use crate::sampling::Sampling;
use crate::shared::Shared;
use crate::stats::CallCounts;

thread_local! {
    static THREAD: ThreadState = ThreadState::new();
}

/// The state of one thread.
pub(crate) struct ThreadState {
    pub(crate) entered: EnteredGates,
    pub(crate) rotation: Rotation,
    pub(crate) batches: Batches,
    pub(crate) sampling: Sampling,
    pub(crate) chains: EnteredChains,
    pub(crate) counts: CallCounts,
    credits: Credits,
    worker: RefCell<Option<Rc<OnWorker>>>,
    /// This thread ends tokens that have not started: a timer's, or one that purges.
    makes_room: Cell<bool>,
}

impl ThreadState {
    fn new() -> Self {
        Self {
            entered: EnteredGates::default(),
            rotation: Rotation::new(),
            batches: Batches::default(),
            sampling: Sampling::new(),
            chains: EnteredChains::default(),
            counts: CallCounts::new(),
            credits: Credits::default(),
            worker: RefCell::new(None),
            makes_room: Cell::new(false),
        }
    }

    /// Whether calls from here are children: in a body of any gate, and in what else a worker, a
    /// timer's thread or a purge runs, such as destructors and wakers. It must not wait for room that
    /// only it can make.
    pub(crate) fn calls_children(&self) -> bool {
        in_body() || self.worker.borrow().is_some() || self.makes_room.get()
    }

    /// Uses a credit that this thread has drawn; `false` if it has none of this gate.
    #[inline]
    pub(crate) fn use_credit(&self, gate: &Shared) -> bool {
        let credits = &self.credits;
        let left = credits.left.get();
        if left == 0 || credits.of_gate.get() != gate.id {
            return false;
        }
        credits.left.set(left - 1);
        true
    }

    /// Keeps drawn credits for later calls; those of another gate go back.
    pub(crate) fn keep_credits(&self, gate: &Arc<Shared>, drawn: usize) {
        let credits = &self.credits;
        if credits.of_gate.get() != gate.id {
            credits.give_back();
            credits.of_gate.set(gate.id);
            credits.gate.replace(Arc::downgrade(gate));
        }
        credits.left.set(credits.left.get() + drawn);
    }

    /// The chain that calls from here to this gate belong to: one of it that was entered in the
    /// present body, or outside of any, else that of the body.
    #[inline]
    pub(crate) fn chain(&self, gate: &Shared) -> Option<ChainId> {
        let entered = self.chains.innermost(gate);
        entered.or_else(|| {
            let (place, bond) = current_bond()?;
            let chain = bond.chain.filter(|_| place.gate == gate.number.get())?;
            Some(ChainId::from_number(chain))
        })
    }

    /// The gate that this thread is a worker of.
    pub(crate) fn worker_gate(&self) -> Option<Arc<Shared>> {
        Some(self.worker.borrow().as_ref()?.shared.clone())
    }

    /// Puts the runnable into this thread's own queue, if it is a worker of the domain.
    #[inline]
    pub(crate) fn push_local(&self, domain: &Domain, runnable: Runnable) -> Result<(), Runnable> {
        match &*self.worker.borrow() {
            Some(worker) if ptr::eq(&*worker.domain, domain) => worker.push(runnable),
            _ => Err(runnable),
        }
    }
}

/// Credits that a thread has drawn and not used.
#[derive(Default)]
struct Credits {
    left: Cell<usize>,
    of_gate: Cell<u64>,
    gate: RefCell<Weak<Shared>>,
}

impl Credits {
    fn give_back(&self) {
        let left = self.left.take();
        if let Some(gate) = self.gate.take().upgrade() {
            gate.admission.give(left);
        }
    }
}

impl Drop for Credits {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Calls `f` with this thread's state, or with one for the moment while the thread ends.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&ThreadState) -> R) -> R {
    let mut f = Some(f);
    let mut call = |thread: &ThreadState| f.take().map(|f| f(thread));
    match THREAD.try_with(&mut call) {
        Ok(result) => result,
        Err(_) => call(&ThreadState::new()),
    }
    .expect("called once")
}

/// Makes this thread a worker, until `None` is set.
pub(crate) fn set_worker(worker: Option<Rc<OnWorker>>) {
    set_wait_hook(worker.as_ref().map(|_| block::wait_on_worker as WaitHook));
    with(|thread| drop(thread.worker.replace(worker)));
}

/// Calls `f`, which ends tokens that have not started, so that others find room.
pub(crate) fn make_room<R>(f: impl FnOnce() -> R) -> R {
    let before = with(|thread| thread.makes_room.replace(true));
    let returned = f();
    with(|thread| thread.makes_room.set(before));
    returned
}

/// The worker that this thread is.
pub(crate) fn on_worker() -> Option<Rc<OnWorker>> {
    with(|thread| thread.worker.borrow().clone())
}

/// As [`ThreadState::push_local`].
pub(crate) fn push_local(domain: &Domain, runnable: Runnable) -> Result<(), Runnable> {
    with(|thread| thread.push_local(domain, runnable))
}

/// Keeps the next one of a lane for when the present body has resolved; gives it back if this thread
/// is no worker of the domain.
pub(crate) fn hand_on(domain: &Domain, next: Runnable) -> Result<(), Runnable> {
    with(|thread| match &*thread.worker.borrow() {
        Some(worker) if ptr::eq(&*worker.domain, domain) => worker.hand_on(next),
        _ => Err(next),
    })
}
