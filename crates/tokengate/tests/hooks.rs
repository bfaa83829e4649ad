//! What a gate tells its user: thread names, thread starts, failures that nobody reads.
//!
//! Also that a hook that panics harms nothing.

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, mpsc};

use common::{HANG, Held, Latch, lone_workers, outcome, value, wait_until};
use tokengate::{Failure, FailureKind, Gate, Token, TokenError, TokenId, WorkerInfo};

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn threads_have_the_names_that_they_are_given() {
    let gate = Gate::builder()
        .domains(lone_workers(3))
        .thread_name(|info| format!("d{} w{} of \0test", info.domain, info.worker))
        .start()
        .unwrap();
    for _ in 0..20 {
        let token = gate.spawn("name", thread_name);
        let domain = token.status().domain.unwrap();
        // A NUL cannot be in a name.
        assert_eq!(value(token), format!("d{domain} w0 of test"));
    }
    let gate = Gate::builder().domains(lone_workers(3)).start().unwrap();
    let token = gate.spawn("name", thread_name);
    let domain = token.status().domain.unwrap();
    assert_eq!(value(token), format!("tokengate-{}-1", domain + 1));
}

#[test]
fn the_start_hook_runs_once_on_each_worker_before_its_first_token() {
    thread_local! {
        static STARTED: std::cell::Cell<Option<WorkerInfo>> = const { std::cell::Cell::new(None) };
    }
    let starts = Arc::new(Mutex::new(Vec::new()));
    let gate = {
        let starts = starts.clone();
        Gate::builder()
            .domains(lone_workers(3))
            .on_thread_start(move |info| {
                assert!(STARTED.replace(Some(info)).is_none(), "twice on a thread");
                starts.lock().unwrap().push(info);
            })
            .start()
            .unwrap()
    };
    let plan = gate.plan();
    let starts = starts.lock().unwrap().clone();
    assert_eq!(
        starts.len(),
        plan.worker_count(),
        "all have run when the gate is there"
    );
    for info in &starts {
        let planned = plan.domains()[info.domain].workers().nth(info.worker);
        let planned = planned.unwrap().cpu;
        assert!(planned.is_none() || planned == info.cpu, "{info:?}");
    }
    let domains: BTreeSet<_> = starts.iter().map(|info| info.domain).collect();
    assert_eq!(domains.len(), 3);
    for _ in 0..20 {
        let token = gate.spawn("started", || STARTED.get().map(|info| info.domain));
        let domain = token.status().domain;
        assert_eq!(value(token), domain);
    }
}

/// A gate with one worker that hands its reports on.
fn reporting() -> (Gate, mpsc::Receiver<Failure>) {
    let (sender, reports) = mpsc::channel();
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .on_unobserved_failure(move |failure| sender.send(failure.clone()).unwrap())
        .start()
        .unwrap();
    (gate, reports)
}

/// A token that fails, or panics, when its gate's worker is released; and what should be told.
fn failing(gate: &Gate, how: usize) -> (Token<(), &'static str>, FailureKind) {
    let error = || Err("no page");
    let panic = || panic!("as asked");
    match how {
        0 => (gate.try_spawn("failing", error), FailureKind::Error),
        1 => (
            gate.try_spawn_async("failing", async move { error() }),
            FailureKind::Error,
        ),
        2 => (
            gate.try_spawn("failing", panic),
            FailureKind::Panic("as asked".into()),
        ),
        _ => (
            gate.try_spawn_async("failing", async move {
                tokio::task::yield_now().await;
                panic()
            }),
            FailureKind::Panic("as asked".into()),
        ),
    }
}

/// The next report must be of this token.
fn told(reports: &mpsc::Receiver<Failure>, id: TokenId, kind: &FailureKind) {
    let failure = reports.recv_timeout(HANG).expect("a failure is reported");
    assert_eq!(failure.id(), id);
    assert_eq!(failure.kind(), kind);
    assert_eq!(failure.operation().label(), "failing");
    let text = failure.to_string();
    assert!(text.contains("`failing`"), "{text}");
}

#[test]
fn failures_of_detached_tokens_are_told_once() {
    let (gate, reports) = reporting();
    for how in 0..4 {
        // Dropped before it resolves.
        let held = Held::new(&gate.handle(), "hold");
        let (token, kind) = failing(&gate, how);
        let id = token.id();
        token.detach();
        held.release();
        told(&reports, id, &kind);
        // Dropped unread after that.
        let (token, kind) = failing(&gate, how);
        let id = token.id();
        wait_until("it ran", || token.is_finished());
        drop(token);
        told(&reports, id, &kind);
    }
    gate.shutdown(HANG);
    assert!(reports.try_recv().is_err(), "told more than once");
}

#[test]
fn failures_that_are_read_are_not_told() {
    let (gate, reports) = reporting();
    for how in 0..4 {
        assert!(outcome(failing(&gate, how).0).is_err());
    }
    // Nor is what is no failure.
    gate.spawn("detached", || 7).detach();
    let killed = gate.spawn_async("killed", std::future::pending::<()>());
    killed.kill("not needed");
    drop(killed);
    gate.spawn_async("purged", std::future::pending::<()>())
        .detach();
    gate.shutdown(std::time::Duration::ZERO);
    assert!(reports.try_recv().is_err(), "{:?}", reports.try_recv());
}

#[test]
fn late_failures_of_killed_tokens_are_not_told() {
    let (gate, reports) = reporting();
    let (entered, release) = (Latch::new(), Latch::new());
    let token: Token<()> = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn("late", move || {
            entered.open();
            release.wait();
            panic!("nobody wants to know");
        })
    };
    entered.wait();
    assert!(token.kill("too late"));
    release.open();
    assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    gate.shutdown(HANG);
    assert!(reports.try_recv().is_err());
}

#[test]
fn hooks_that_panic_harm_nothing() {
    let reports = Arc::new(AtomicUsize::new(0));
    let gate = {
        let reports = reports.clone();
        Gate::builder()
            .domains(lone_workers(2))
            .thread_name(|_| panic!("no name"))
            .on_thread_start(|_| panic!("no start"))
            .on_unobserved_failure(move |_| {
                reports.fetch_add(1, SeqCst);
                panic!("no report");
            })
            .start()
            .unwrap()
    };
    for round in 1..=3 {
        gate.spawn("faulty", || panic!("as asked")).detach();
        wait_until("it is told", || reports.load(SeqCst) == round * 2 - 1);
        let unread: Token<()> = gate.spawn("faulty", || panic!("as asked"));
        wait_until("it ran", || unread.is_finished());
        drop(unread);
        assert_eq!(reports.load(SeqCst), round * 2);
        assert_eq!(value(gate.spawn("after", || 7)), 7);
    }
}

#[test]
fn hooks_may_call() {
    let gate: Arc<Mutex<Option<tokengate::Handle>>> = Arc::default();
    let (sender, calls) = mpsc::channel();
    let started = {
        let (gate, sender) = (gate.clone(), Mutex::new(sender));
        Gate::builder()
            .domains(lone_workers(1))
            .on_unobserved_failure(move |_| {
                let handle = gate.lock().unwrap().clone().unwrap();
                let token = handle.spawn("from a hook", || 7);
                sender.lock().unwrap().send(token).unwrap();
            })
            .start()
            .unwrap()
    };
    *gate.lock().unwrap() = Some(started.handle());
    started.spawn("faulty", || panic!("as asked")).detach();
    assert_eq!(value(calls.recv_timeout(HANG).unwrap()), 7);
    gate.lock().unwrap().take();
}
