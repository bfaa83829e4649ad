//! What the loom suites share: a home that blocks in the model, wakers and values that count.
//!
//! Counters are plain atomics of std: they are read when all threads have ended, and add no steps
//! to the model.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::sync::{Mutex, Notify};
use loom::thread::{self, JoinHandle};
use tokengate_token::{
    Failure, Home, NoHome, Operation, Plain, Ran, Runnable, TaskRef, Token, create,
};

pub(crate) static OP: Operation = Operation::new("loom.operation");

pub(crate) fn nowhere() -> Arc<dyn Home> {
    NoHome::shared()
}

/// Runs it on a thread of its own.
pub(crate) fn spawn(runnable: Runnable) -> JoinHandle<Ran> {
    thread::spawn(move || runnable.run(&nowhere()))
}

/// Counts drops.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn counted(&self) -> Counted {
        Counted {
            drops: self.0.clone(),
            content: UnsafeCell::new(0),
        }
    }

    /// A body that gives one counted value.
    pub(crate) fn maker(&self) -> impl FnOnce() -> Counted + Send + use<> {
        let drops = self.clone();
        move || drops.counted()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// A value that counts its drop; the model checks that all uses of it are ordered.
pub(crate) struct Counted {
    drops: Arc<AtomicUsize>,
    content: UnsafeCell<u8>,
}

impl Counted {
    pub(crate) fn touch(&mut self) {
        self.content.with_mut(|_| ());
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.touch();
        self.drops.fetch_add(1, SeqCst);
    }
}

/// One sync call whose body and result are counted.
pub(crate) struct Call {
    bodies: Drops,
    results: Drops,
    runs: Arc<AtomicUsize>,
}

impl Call {
    pub(crate) fn sync() -> (Self, Token<Counted>, Runnable) {
        let call = Self {
            bodies: Drops::default(),
            results: Drops::default(),
            runs: Arc::default(),
        };
        let (mut argument, make) = (call.bodies.counted(), call.results.maker());
        let runs = call.runs.clone();
        let body = move || {
            runs.fetch_add(1, SeqCst);
            argument.touch();
            make()
        };
        let (token, runnable) = create(&OP, Plain::new(body));
        (call, token, runnable)
    }

    fn counts(&self) -> (usize, usize, usize) {
        (
            self.runs.load(SeqCst),
            self.bodies.count(),
            self.results.count(),
        )
    }

    /// It ran once, and nothing of it is left.
    pub(crate) fn assert_ran(&self) {
        assert_eq!(self.counts(), (1, 1, 1));
    }

    /// Nothing of it is left, whether it ran or not.
    pub(crate) fn assert_gone(&self) {
        let (runs, bodies, results) = self.counts();
        assert!(runs <= 1);
        assert_eq!((bodies, results), (1, runs));
    }

    /// It did not run, and nothing of it is left.
    pub(crate) fn assert_never_ran(&self) {
        assert_eq!(self.counts(), (0, 1, 0));
    }
}

/// Counts the wake-ups of a waker.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let wakes = Arc::<Self>::default();
        (wakes.clone(), wakes.into())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// No clone of the waker is left.
    pub(crate) fn is_last(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A flag outside of the model.
#[derive(Default)]
pub(crate) struct Flag(AtomicUsize);

impl Flag {
    pub(crate) fn set(&self) {
        self.0.store(1, SeqCst);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(SeqCst) == 1
    }
}

pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

struct Parked(Notify);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits in the model: a waiter that nobody wakes is reported as a deadlock.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let parked = Arc::new(Parked(Notify::new()));
    let waker = Waker::from(parked.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        parked.0.wait();
    }
}

/// A home of one queue.
pub(crate) struct Queue {
    ready: Mutex<VecDeque<Runnable>>,
    posted: Notify,
    seat: std::sync::Mutex<Option<TaskRef>>,
    seats: AtomicUsize,
    left: AtomicUsize,
    failures: AtomicUsize,
}

impl Queue {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self {
            ready: Mutex::default(),
            posted: Notify::new(),
            seat: std::sync::Mutex::default(),
            seats: AtomicUsize::new(0),
            left: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        })
    }

    pub(crate) fn home(self: &Arc<Self>) -> Arc<dyn Home> {
        self.clone()
    }

    pub(crate) fn put(&self, runnable: Runnable) {
        self.ready.lock().unwrap().push_back(runnable);
        // After the runnable is visible: its poster is still inside while it may run elsewhere.
        self.posted.notify();
    }

    /// Waits for a runnable and takes it.
    pub(crate) fn take(&self) -> Runnable {
        loop {
            let next = self.ready.lock().unwrap().pop_front();
            match next {
                Some(runnable) => return runnable,
                None => self.posted.wait(),
            }
        }
    }

    /// Waits for a runnable and runs it; puts it back if it was woken meanwhile.
    pub(crate) fn run_next(self: &Arc<Self>) -> Ran {
        match self.take().run(&self.home()) {
            Ran::Again(runnable) => {
                self.put(runnable);
                Ran::Suspended
            }
            other => other,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.lock().unwrap().len()
    }

    /// The reference to the suspended body.
    pub(crate) fn seated(&self) -> TaskRef {
        self.seat.lock().unwrap().clone().expect("suspended")
    }

    /// Each seat that was taken was left, once.
    pub(crate) fn assert_left(&self) {
        assert_eq!(self.seats.load(SeqCst), self.left.load(SeqCst));
        assert!(self.seats.load(SeqCst) <= 1);
    }

    pub(crate) fn failures(&self) -> usize {
        self.failures.load(SeqCst)
    }
}

impl Home for Queue {
    fn post(&self, runnable: Runnable) {
        self.put(runnable);
    }

    fn seat(&self, task: TaskRef) -> usize {
        *self.seat.lock().unwrap() = Some(task);
        self.seats.fetch_add(1, SeqCst)
    }

    fn leave(&self, seat: usize) {
        assert_eq!(seat, 0);
        self.left.fetch_add(1, SeqCst);
        let task = self.seat.lock().unwrap().take();
        drop(task.expect("seated"));
    }

    fn unobserved(&self, _: &Failure) {
        self.failures.fetch_add(1, SeqCst);
    }
}

/// Something to wait for.
pub(crate) struct Door(Mutex<(bool, Option<Waker>)>);

impl Door {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        Waiting(self.clone())
    }

    /// Lets the waiting body go on, and wakes it.
    pub(crate) fn open(&self) {
        let waker = {
            let mut inside = self.0.lock().unwrap();
            inside.0 = true;
            inside.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// As `open`, but gives the waker instead of waking.
    pub(crate) fn open_silently(&self) -> Waker {
        let mut inside = self.0.lock().unwrap();
        inside.0 = true;
        inside.1.take().expect("waited for")
    }

    /// Wakes whoever waits, and leaves the door shut.
    pub(crate) fn knock(&self) {
        let waker = self.0.lock().unwrap().1.take();
        waker.expect("waited for").wake();
    }

    /// Drops the waker.
    pub(crate) fn forget(&self) {
        let waker = self.0.lock().unwrap().1.take();
        drop(waker);
    }
}

pub(crate) struct Waiting(Arc<Door>);

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inside = self.0.0.lock().unwrap();
        if inside.0 {
            return Poll::Ready(());
        }
        let old = inside.1.replace(context.waker().clone());
        drop(inside);
        drop(old);
        Poll::Pending
    }
}
