//! Which workers of a domain are parked, and who unparks them.
//!
//! Called by workers that found nothing, and by whoever made work visible. Keeps: no post is missed
//! and no permit is left over. It knows neither mailboxes nor deques: the worker brings its second
//! look as a function.
#![doc = include_str!("README.md")]

mod parker;

use parker::{Parker, Unparker};

use crate::sync::atomic::Ordering::{Relaxed, SeqCst};
use crate::sync::atomic::{AtomicUsize, fence};
use crate::sync::{Mutex, lock};

/// The parked workers of one domain.
pub(crate) struct Sleepers {
    /// As many as the list has; read by posters without the lock. Written under the lock.
    count: AtomicUsize,
    /// Indices of workers, the one that parked last at the end: its caches are the warmest.
    parked: Mutex<Vec<usize>>,
    unparkers: Box<[Unparker]>,
}

/// A worker's right to sleep: one for each worker of the domain.
pub(crate) struct Sleeper {
    index: usize,
    parker: Parker,
}

impl Sleeper {
    /// The index of the worker in its domain.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Parks until it is given a permit, without being in the list.
    pub(crate) fn park(&self) {
        self.parker.park();
    }
}

impl Sleepers {
    /// For a domain of this many workers; gives each its sleeper.
    pub(crate) fn new(workers: usize) -> (Self, Vec<Sleeper>) {
        let (parkers, unparkers): (Vec<_>, Vec<_>) = (0..workers).map(|_| parker::pair()).unzip();
        let sleepers = Self {
            count: AtomicUsize::new(0),
            parked: Mutex::new(Vec::with_capacity(workers)),
            unparkers: unparkers.into(),
        };
        let each = parkers.into_iter().enumerate();
        let each = each.map(|(index, parker)| Sleeper { index, parker });
        (sleepers, each.collect())
    }

    /// How many workers are parked or about to park.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Whether so many workers are parked or about to park. Under the lock, so that the caller sees
    /// all that they did before; costs more than [`count`](Self::count).
    pub(crate) fn are_all(&self, workers: usize) -> bool {
        lock(&self.parked).len() == workers
    }

    /// Parks the worker, unless `has_work` finds something when it looks again; whether it parked.
    pub(crate) fn sleep(&self, sleeper: &Sleeper, has_work: impl FnOnce() -> bool) -> bool {
        {
            let mut parked = lock(&self.parked);
            parked.push(sleeper.index);
            // Relaxed: the fence below orders it before the second look.
            self.count.store(parked.len(), Relaxed);
        }
        // W3: pairs with the fence in `unpark_one`.
        fence(SeqCst);
        let stays_awake = has_work();
        if stays_awake && self.withdraw(sleeper.index) {
            return false;
        }
        // Parked, or called in the meantime: then this returns at once and uses the permit up.
        sleeper.parker.park();
        !stays_awake
    }

    /// Takes the worker off the list; `false` if somebody has called it already.
    pub(crate) fn withdraw(&self, index: usize) -> bool {
        let mut parked = lock(&self.parked);
        let Some(place) = parked.iter().rposition(|&parked| parked == index) else {
            return false;
        };
        parked.remove(place);
        self.count.store(parked.len(), Relaxed);
        true
    }

    /// Unparks one worker, if one is parked. Call it after making work visible; whether it did.
    #[inline]
    pub(crate) fn unpark_one(&self) -> bool {
        // P2: pairs with the fence in `sleep`.
        fence(SeqCst);
        self.count.load(Relaxed) != 0 && self.call_one()
    }

    #[cold]
    fn call_one(&self) -> bool {
        let called = {
            let mut parked = lock(&self.parked);
            let called = parked.pop();
            self.count.store(parked.len(), Relaxed);
            called
        };
        if let Some(index) = called {
            self.unparkers[index].unpark();
        }
        called.is_some()
    }

    /// Gives this worker a permit to go on; for one that is not in the list and parks.
    pub(crate) fn unpark(&self, index: usize) {
        self.unparkers[index].unpark();
    }

    /// Unparks all of them.
    pub(crate) fn unpark_all(&self) {
        while self.unpark_one() {}
    }
}
