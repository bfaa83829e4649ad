//! Calls of one scope, published many at a time.
//!
//! Inside `Handle::batch` a call is routed and admitted as ever; only its publication waits, until
//! 64 are there for a core, the scope ends, or this thread is about to wait for something. Keeps:
//! no call is left unpublished by a scope that ends, by unwinding too.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Relaxed, Release};

use tokengate_token::{Place, Runnable, RunnableList, set_before_wait};

use crate::router::Position;
use crate::shared::Shared;
use crate::thread;

/// How many calls for one core are published at once.
const PUBLISH_AT: usize = 64;

/// The open batches of a thread.
#[derive(Default)]
pub(crate) struct Batches {
    /// How many there are: calls outside of any batch look no further.
    open: Cell<usize>,
    stack: RefCell<Vec<Batch>>,
}

struct Batch {
    gate: Arc<Shared>,
    /// One for each core, newest at the front.
    lists: Vec<RunnableList>,
    /// How many calls were deferred and are not published, for a drain to wait for and a shutdown to
    /// report. Written by this thread.
    deferred: Arc<AtomicUsize>,
}

/// Calls that are due for publication.
#[must_use]
pub(crate) struct Due {
    list: RunnableList,
    deferred: Arc<AtomicUsize>,
}

impl Due {
    /// Publishes them to this core of their gate.
    pub(crate) fn publish(self, gate: &Shared, core: usize) {
        let count = self.list.len();
        gate.publish_list(core, self.list);
        // After the publication. Release: a drain that finds none deferred finds them posted.
        let deferred = self.deferred.load(Relaxed);
        self.deferred.store(deferred - count, Release);
        // They may all be done by now, and their workers parked.
        gate.note_progress();
    }
}

impl Batch {
    fn open(gate: &Arc<Shared>) -> Self {
        let lists = (0..gate.core_count()).map(|_| RunnableList::new());
        Self {
            gate: gate.clone(),
            lists: lists.collect(),
            deferred: gate.batch_opened(),
        }
    }

    /// Adds a call for a core; how many the core has now.
    #[inline]
    fn push(&mut self, core: usize, runnable: Runnable) -> usize {
        // Relaxed: no other thread writes it, and a drain that misses it was first.
        let deferred = self.deferred.load(Relaxed);
        self.deferred.store(deferred + 1, Relaxed);
        let list = &mut self.lists[core];
        list.push_front(runnable);
        list.len()
    }

    fn take(&mut self, core: usize) -> Due {
        Due {
            list: mem::take(&mut self.lists[core]),
            deferred: self.deferred.clone(),
        }
    }
}

impl Batches {
    /// Defers the publication of a call, if this thread has an open batch of its gate.
    ///
    /// Gives the runnable back if there is no such batch, and the calls that are due for publication.
    #[inline]
    pub(crate) fn defer(
        &self,
        gate: &Shared,
        position: Position,
        runnable: Runnable,
    ) -> Result<Option<Due>, Runnable> {
        if self.open.get() == 0 {
            return Err(runnable);
        }
        let mut stack = self.stack.borrow_mut();
        let Some(batch) = stack
            .iter_mut()
            .rev()
            .find(|batch| batch.gate.id == gate.id)
        else {
            return Err(runnable);
        };
        runnable.set_place(Place {
            published: false,
            ..runnable.place()
        });
        let core = position.flat_index();
        let due = batch.push(core, runnable) >= PUBLISH_AT;
        Ok(due.then(|| batch.take(core)))
    }

    /// How many calls for a core this thread has deferred.
    pub(crate) fn deferred(&self, gate: &Shared, core: Position) -> usize {
        if self.open.get() == 0 {
            return 0;
        }
        let stack = self.stack.borrow();
        let of_gate = stack.iter().filter(|batch| batch.gate.id == gate.id);
        of_gate
            .map(|batch| batch.lists[core.flat_index()].len())
            .sum()
    }

    /// The next list that holds anything, and where it goes.
    fn next_unpublished(&self) -> Option<(Arc<Shared>, usize, Due)> {
        let mut stack = self.stack.borrow_mut();
        stack.iter_mut().find_map(|batch| {
            let core = batch.lists.iter().position(|list| !list.is_empty())?;
            Some((batch.gate.clone(), core, batch.take(core)))
        })
    }
}

/// Publishes the calls of this thread's open batches.
///
/// Waiting for a token does it too. Outside of a batch it does nothing.
pub fn flush() {
    // One list at a time, published outside of the borrow: a rejected call drops its body, which
    // may make calls in turn.
    while let Some((gate, core, due)) = thread::with(|thread| thread.batches.next_unpublished()) {
        due.publish(&gate, core);
    }
}

/// Calls `f` with a batch of this gate open on this thread.
pub(crate) fn run_in_batch<R>(gate: &Arc<Shared>, f: impl FnOnce() -> R) -> R {
    /// Holds the hook that was there before: another batch's, or another executor's.
    struct Scope(Option<fn()>);
    impl Drop for Scope {
        fn drop(&mut self) {
            flush();
            thread::with(|thread| {
                let batches = &thread.batches;
                let ended = batches.stack.borrow_mut().pop();
                batches.open.set(batches.open.get().saturating_sub(1));
                drop(ended);
            });
            set_before_wait(self.0);
        }
    }
    thread::with(|thread| {
        let batch = Batch::open(gate);
        thread.batches.stack.borrow_mut().push(batch);
        thread.batches.open.set(thread.batches.open.get() + 1);
    });
    let _scope = Scope(set_before_wait(Some(flush)));
    f()
}
