//! What the behaviour tests share: schedulers of a known shape, doors to hold bodies at, traces.
//!
//! Nothing waits for time to pass: a wait ends with what it waits for, or the test has failed.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokengate_scheduler::topology::{Domains, Machine};
use tokengate_scheduler::{Config, Operation, Scheduler, Token};

pub(crate) static OP: Operation = Operation::new("test.operation");

/// Far beyond what anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn start(config: Config) -> Scheduler {
    Scheduler::start(config).expect("the scheduler starts")
}

/// The defaults with one domain of one worker.
pub(crate) fn one_worker() -> Config {
    lone_workers(1)
}

/// The defaults with so many domains of one worker each; they share CPUs where there are fewer.
pub(crate) fn lone_workers(count: usize) -> Config {
    let machine = Machine::detect();
    let cpus = machine.cpus();
    let usable = machine.quota_cpus().unwrap_or(cpus.len()).min(cpus.len());
    let domains = if count <= usable {
        Domains::Custom(cpus[..count].iter().map(|cpu| vec![cpu.id]).collect())
    } else {
        Domains::Count(count)
    };
    Config {
        domains,
        ..Config::default()
    }
}

/// The result of a token that must resolve; a failure, not a hang, if it does not.
pub(crate) fn get<T, E>(mut token: Token<T, E>) -> Result<T, tokengate_scheduler::TokenError<E>> {
    token.get_timeout(LONG).expect("the token resolves")
}

/// Holds bodies until it is opened; tells when one has come.
pub(crate) struct Door {
    open: Sender<()>,
    came: Receiver<()>,
}

/// The body's side of a [`Door`].
pub(crate) struct Held {
    opened: Receiver<()>,
    comes: Sender<()>,
}

pub(crate) fn door() -> (Door, Held) {
    let ((open, opened), (comes, came)) = (channel(), channel());
    (Door { open, came }, Held { opened, comes })
}

impl Door {
    pub(crate) fn wait_for_body(&self) {
        self.came.recv_timeout(LONG).expect("the body starts");
    }

    pub(crate) fn open(self) {
        // The body may be gone.
        let _ = self.open.send(());
    }
}

impl Held {
    /// Tells that it came, and waits for the door to open.
    pub(crate) fn wait(self) {
        let _ = self.comes.send(());
        let _ = self.opened.recv_timeout(LONG);
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn noted(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Calls a function when it is dropped.
pub(crate) struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    pub(crate) fn new(f: F) -> Self {
        Self(Some(f))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls on this thread until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park_timeout(LONG);
    }
}
