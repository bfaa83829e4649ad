//! A chain in the hands of a user: to call under it from elsewhere.
//!
//! `chain()` gives the one that the present body belongs to. A handle is counted in its chain, as a
//! token is. Calls under it go to its gate; a body knows its chain without this file.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokengate_anchor::{ChainId, Seed};
use tokengate_token::{TokenId, current};

use crate::entered::Entered;
use crate::handle::Handle;
use crate::shared::Shared;
use crate::thread;

/// A chain of calls, to be carried to another thread or task; lives as long as any handle to it.
///
/// Calls under it are anchored to the chain's domain as those of its bodies are. Outside of bodies
/// they take room like any other.
///
/// ```
/// use tokengate_scheduler::{Chain, Config, Operation, Plain, Scheduler};
/// static LEAD: Operation = Operation::new("lead").with_external_calls(&["child"]);
/// static CHILD: Operation = Operation::new("child");
/// let scheduler = Scheduler::start(Config::default())?;
/// let handle = scheduler.handle();
/// let lead = handle.submit(&LEAD, Plain::new(|| Chain::current().expect("a lead has one")));
/// let chain = lead.get()?; // the lead is done, and the chain lives on
/// let child = chain.run(|| handle.submit(&CHILD, Plain::new(|| 1)));
/// assert_eq!(child.status().domain, Some(chain.domain()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Chain {
    pub(crate) gate: Arc<Shared>,
    pub(crate) id: ChainId,
}

impl Chain {
    /// The chain that calls from here belong to: that of the present body, or one entered here.
    ///
    /// None outside of chains, and in a body that left them by an unanchored call.
    pub fn current() -> Option<Self> {
        thread::with(|thread| {
            let gate = match thread.chains.innermost_gate() {
                Some(gate) => gate,
                None => thread.worker_gate()?,
            };
            let id = thread.chain(&gate)?;
            gate.anchors.chains.join(id);
            Some(Self { gate, id })
        })
    }

    /// Its public name, of 64 hex characters in display.
    pub fn seed(&self) -> Seed {
        self.gate.anchors.chains.seed(self.id)
    }

    /// The index of its domain, counted from 0.
    pub fn domain(&self) -> usize {
        self.gate.anchors.chains.slot(self.id) as usize
    }

    /// Calls `f`; calls in it belong to the chain, and go to its gate.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        f()
    }

    /// Makes calls on this thread belong to the chain, and go to its gate, until the guard is
    /// dropped.
    ///
    /// In a body that is run meanwhile, calls belong where the body does.
    pub fn enter(&self) -> EnteredChain {
        let handle = Handle {
            shared: self.gate.clone(),
        };
        let key = thread::with(|thread| thread.chains.push(self.clone()));
        EnteredChain {
            key,
            _entered: handle.enter(),
            not_send: PhantomData,
        }
    }

    /// A future inside which calls belong to the chain, whatever thread polls it.
    pub fn scope<F: Future>(&self, future: F) -> InChain<F> {
        InChain {
            chain: self.clone(),
            future,
        }
    }
}

impl Clone for Chain {
    fn clone(&self) -> Self {
        self.gate.anchors.chains.join(self.id);
        Self {
            gate: self.gate.clone(),
            id: self.id,
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.gate.anchors.chains.leave(self.id);
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("seed", &self.seed())
            .field("domain", &self.domain())
            .finish_non_exhaustive()
    }
}

/// The chains entered on a thread, innermost last.
#[derive(Default)]
pub(crate) struct EnteredChains {
    /// How many there are: calls outside of any look no further.
    count: Cell<usize>,
    stack: RefCell<Vec<EnteredHere>>,
    next_key: Cell<u64>,
}

struct EnteredHere {
    key: u64,
    chain: Chain,
    /// The body that entered it: in others it does not count.
    by: Option<TokenId>,
}

impl EnteredChains {
    /// The chain of this gate that was entered last in the present body, or outside of any.
    #[inline]
    pub(crate) fn innermost(&self, gate: &Shared) -> Option<ChainId> {
        if self.count.get() == 0 {
            return None;
        }
        self.find(|chain| (chain.gate.id == gate.id).then_some(chain.id))
    }

    fn innermost_gate(&self) -> Option<Arc<Shared>> {
        self.find(|chain| Some(chain.gate.clone()))
    }

    #[cold]
    fn find<R>(&self, f: impl Fn(&Chain) -> Option<R>) -> Option<R> {
        let by = current().map(|(id, _)| id);
        let stack = self.stack.borrow();
        let mut here = stack.iter().rev().filter(|entered| entered.by == by);
        here.find_map(|entered| f(&entered.chain))
    }

    fn push(&self, chain: Chain) -> u64 {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        let by = current().map(|(id, _)| id);
        self.stack.borrow_mut().push(EnteredHere { key, chain, by });
        self.count.set(self.count.get() + 1);
        key
    }

    fn remove(&self, key: u64) {
        let left = {
            let mut stack = self.stack.borrow_mut();
            let place = stack.iter().rposition(|entered| entered.key == key);
            place.map(|place| stack.remove(place))
        };
        self.count.set(self.stack.borrow().len());
        // Outside of the borrow.
        drop(left);
    }
}

/// Calls on this thread belong to a chain until this is dropped.
///
/// Not `Send`. Guards may be dropped in any order.
#[must_use = "calls belong to the chain until this is dropped"]
pub struct EnteredChain {
    key: u64,
    _entered: Entered,
    // Belongs to this thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for EnteredChain {
    fn drop(&mut self) {
        thread::with(|thread| thread.chains.remove(self.key));
    }
}

impl fmt::Debug for EnteredChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnteredChain").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future whose calls belong to a chain; made by [`Chain::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct InChain<F> {
        chain: Chain,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InChain<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.chain.enter();
        this.future.poll(context)
    }
}

impl<F> fmt::Debug for InChain<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InChain").finish_non_exhaustive()
    }
}
