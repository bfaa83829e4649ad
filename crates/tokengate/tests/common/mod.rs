//! What the behaviour tests share: latches, held workers, a census of values, wakers that count.
//!
//! Used by the test files beside it. Keeps: nothing here depends on how fast a machine is; each wait
//! ends with a panic after [`HANG`], which is far beyond what any of them needs.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod random;
pub(crate) mod stop;
#[cfg(target_os = "linux")]
pub(crate) mod threads;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use tokengate::{Call, Domains, Gate, Handle, Token, TokenError};
use tokengate_scheduler::topology::Machine;

/// A wait of this length is a hang.
pub(crate) const HANG: Duration = Duration::from_secs(60);

/// So many domains with one worker each, on any machine.
pub(crate) fn lone_workers(count: usize) -> Domains {
    let machine = Machine::detect();
    let cpus = machine.cpus();
    let enough = machine.quota_cpus().unwrap_or(usize::MAX).min(cpus.len());
    if count > enough {
        // Then each has one worker, and they share CPUs.
        Domains::Count(count)
    } else {
        Domains::Custom(cpus[..count].iter().map(|cpu| vec![cpu.id]).collect())
    }
}

/// A gate with a single worker.
pub(crate) fn small_gate() -> Gate {
    gate_of(lone_workers(1))
}

/// A gate with three domains of one worker each; every weight uses all of them.
pub(crate) fn wide_gate() -> Gate {
    gate_of(lone_workers(3))
}

fn gate_of(domains: Domains) -> Gate {
    Gate::builder().domains(domains).start().unwrap()
}

/// The outcome of a token, which must come.
pub(crate) fn outcome<T, E>(mut token: Token<T, E>) -> Result<T, TokenError<E>> {
    token.get_timeout(HANG).expect("every token resolves")
}

/// The value of a token, which must come.
pub(crate) fn value<T, E: std::fmt::Debug>(token: Token<T, E>) -> T {
    outcome(token).expect("the body returns a value")
}

/// Waits until the condition holds, which must be.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < HANG, "never came to be: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Runs `f` on a thread of its own, and gives what it returns, which must come.
pub(crate) fn elsewhere<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || sender.send(f()));
    match receiver.recv_timeout(HANG) {
        Ok(returned) => {
            let _ = thread.join();
            returned
        }
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("a thread hangs"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().unwrap_err())
        }
    }
}

/// Counts all panics of the process from now on, apart from those that are thrown with
/// `resume_unwind`: in the tests that throw theirs so, each is a fault, on whatever thread it is.
pub(crate) fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, SeqCst);
            usual(info);
        }));
    });
    &PANICS
}

/// Closed at first; opened once, for all who wait.
#[derive(Clone, Default)]
pub(crate) struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self
            .0
            .1
            .wait_timeout_while(open, HANG, |open| !*open)
            .unwrap();
        assert!(*open, "a latch was never opened");
    }
}

/// A worker inside a body that ends when this is released or dropped.
pub(crate) struct Held {
    release: Latch,
    token: Option<Token<()>>,
    /// The index of the domain.
    pub(crate) domain: usize,
}

impl Held {
    /// Calls a body that holds its worker, and waits until it runs.
    pub(crate) fn new(gate: &Handle, call: impl Into<Call>) -> Self {
        let (entered, release) = (Latch::new(), Latch::new());
        let token = {
            let (entered, release) = (entered.clone(), release.clone());
            gate.spawn(call, move || {
                entered.open();
                release.wait();
            })
        };
        entered.wait();
        let domain = token.status().domain.expect("a started token was routed");
        Self {
            release,
            token: Some(token),
            domain,
        }
    }

    /// Ends the body, and waits for it.
    pub(crate) fn release(mut self) {
        self.release.open();
        value(self.token.take().expect("released once"));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release.open();
    }
}

/// Counts values that were made and not dropped.
#[derive(Clone, Default)]
pub(crate) struct Census {
    made: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

/// A value that its census counts.
#[derive(Debug)]
pub(crate) struct Member(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn member(&self) -> Member {
        self.made.fetch_add(1, SeqCst);
        Member(self.gone.clone())
    }

    pub(crate) fn made(&self) -> usize {
        self.made.load(SeqCst)
    }

    pub(crate) fn alive(&self) -> usize {
        let gone = self.gone.load(SeqCst);
        self.made().checked_sub(gone).expect("dropped once each")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Counts the wake-ups of a waker and its clones.
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

/// Panics when it is dropped.
pub(crate) struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        // A second panic would abort the process.
        if !std::thread::panicking() {
            panic!("in a destructor");
        }
    }
}
