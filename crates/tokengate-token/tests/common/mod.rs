//! What the behaviour tests share: an executor of one queue, wakers and values that count.
//!
//! Used by the test files beside it. Nothing here starts a thread or waits.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use tokengate_token::{Body, Failure, Home, Operation, Ran, Runnable, TaskRef, Token, create};

pub(crate) static OP: Operation = Operation::new("test.operation");

/// An executor of one queue, run by hand; notes seats and failures.
#[derive(Default)]
pub(crate) struct Queue {
    ready: Mutex<VecDeque<Runnable>>,
    seats: Mutex<Vec<Option<TaskRef>>>,
    left: Mutex<Vec<usize>>,
    failures: Mutex<Vec<Failure>>,
}

impl Queue {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Makes a token and queues its runnable.
    pub(crate) fn spawn<B: Body>(&self, body: B) -> Token<B::Output, B::Error> {
        let (token, runnable) = create(&OP, body);
        self.post(runnable);
        token
    }

    pub(crate) fn pop(&self) -> Option<Runnable> {
        self.ready.lock().unwrap().pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.lock().unwrap().len()
    }

    /// Runs one runnable; what came of it.
    pub(crate) fn run_one(self: &Arc<Self>) -> Option<Ran> {
        let home: Arc<dyn Home> = self.clone();
        Some(self.pop()?.run(&home))
    }

    /// Runs until nothing is ready.
    pub(crate) fn run_all(self: &Arc<Self>) {
        while let Some(ran) = self.run_one() {
            if let Ran::Again(runnable) = ran {
                self.post(runnable);
            }
        }
    }

    /// The references to suspended bodies that were not left yet.
    pub(crate) fn seated(&self) -> Vec<TaskRef> {
        self.seats
            .lock()
            .unwrap()
            .iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Ends what is suspended: a body and whatever wakes it may hold each other.
    pub(crate) fn end(self: &Arc<Self>) {
        for task in self.seated() {
            task.kill("the test is over");
        }
        self.run_all();
    }

    /// How many seats were ever taken.
    pub(crate) fn seats_taken(&self) -> usize {
        self.seats.lock().unwrap().len()
    }

    /// The seats that were left, in order.
    pub(crate) fn left(&self) -> Vec<usize> {
        self.left.lock().unwrap().clone()
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap().clone()
    }
}

impl Home for Queue {
    fn post(&self, runnable: Runnable) {
        self.ready.lock().unwrap().push_back(runnable);
    }

    fn seat(&self, task: TaskRef) -> usize {
        let mut seats = self.seats.lock().unwrap();
        seats.push(Some(task));
        seats.len() - 1
    }

    fn leave(&self, seat: usize) {
        let task = self.seats.lock().unwrap()[seat].take();
        assert!(task.is_some(), "a seat is left once");
        self.left.lock().unwrap().push(seat);
    }

    fn unobserved(&self, failure: &Failure) {
        self.failures.lock().unwrap().push(failure.clone());
    }
}

/// Counts the wake-ups of one waker and its clones.
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
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Counts how many [`Counted`] of it were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted(self.0.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// A value that counts its drop.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Counts its drop, then panics in it.
#[derive(Debug)]
pub(crate) struct PanicsInDrop(pub(crate) Counted);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

/// Polls once with this waker.
pub(crate) fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Pending once, and wakes nobody: its waker is put where the test finds it.
#[derive(Default)]
pub(crate) struct Gate {
    open: Mutex<bool>,
    waker: Mutex<Option<Waker>>,
}

impl Gate {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// Lets the waiting future go on, without a wake-up.
    pub(crate) fn open(&self) {
        *self.open.lock().unwrap() = true;
    }

    /// The waker of the last poll.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.lock().unwrap().clone().expect("polled before")
    }

    /// Forgets the waker.
    pub(crate) fn forget(&self) {
        let waker = self.waker.lock().unwrap().take();
        drop(waker);
    }

    pub(crate) fn wait(self: &Arc<Self>) -> Waiting {
        Waiting(self.clone())
    }
}

/// The future of [`Gate::wait`].
pub(crate) struct Waiting(Arc<Gate>);

impl Future for Waiting {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if *self.0.open.lock().unwrap() {
            return Poll::Ready(());
        }
        let old = self
            .0
            .waker
            .lock()
            .unwrap()
            .replace(context.waker().clone());
        drop(old);
        Poll::Pending
    }
}
