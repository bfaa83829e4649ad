//! Bodies that may block run on spares: they hold up neither their mailbox nor their worker.

mod common;

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use common::{HANG, Latch, elsewhere, lone_workers, outcome, small_gate, value, wait_until};
use smol::future::yield_now;
use tokengate::{
    Builder, Call, Gate, Handle, Key, Operation, Token, TokenError, TokenState, get_all,
    task_token_guard,
};

static BLOCKING: Operation = Operation::new("test.blocking").blocking();
static LIMITED: Operation = Operation::new("test.limited").blocking().with_limit(3);
static SERIAL: Operation = Operation::new("test.serial").blocking().serial();
static MIXED: Operation = Operation::new("test.mixed")
    .with_sticky_anchor("test.serial")
    .serial();
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.blocking"]);
static PLAIN: Operation = Operation::new("test.plain");

fn current() -> Handle {
    Handle::current().expect("in a body")
}

fn this_thread() -> ThreadId {
    std::thread::current().id()
}

fn one_worker() -> Builder {
    Gate::builder().domains(lone_workers(1))
}

fn keyed(operation: &'static Operation, key: u64) -> Call {
    Call::new(operation).with_key(Key::of("test", &key))
}

/// Bodies that sit in a latch.
fn sit(gate: &Gate, release: &Latch, inside: &Arc<AtomicUsize>, count: usize) -> Vec<Token<()>> {
    (0..count)
        .map(|_| {
            let (release, inside) = (release.clone(), inside.clone());
            gate.spawn(&BLOCKING, move || {
                inside.fetch_add(1, SeqCst);
                release.wait();
                inside.fetch_sub(1, SeqCst);
            })
        })
        .collect()
}

#[test]
fn light_tokens_go_on_beside_two_hundred_bodies_that_block() {
    let gate = small_gate();
    let (release, inside) = (Latch::new(), Arc::default());
    let blocked = sit(&gate, &release, &inside, 200);
    // Three quarters of the 64 spares.
    wait_until("48 are inside", || inside.load(SeqCst) == 48);
    for n in 0..1000 {
        assert_eq!(value(gate.spawn(&PLAIN, move || n)), n);
    }
    assert_eq!(inside.load(SeqCst), 48);
    // A body may wait for others though: a quarter of the spares is left for that.
    let nested = gate.spawn(&PLAIN, || {
        current().spawn_async(&PLAIN, async { 7 }).get().unwrap()
    });
    assert_eq!(value(nested), 7);
    release.open();
    blocked.into_iter().for_each(value);
}

#[test]
fn they_run_in_order_with_one_spare() {
    let gate = one_worker().max_spares(1).start().unwrap();
    let order: Arc<Mutex<Vec<usize>>> = Arc::default();
    let tokens: Vec<_> = (0..100)
        .map(|n| {
            let order = order.clone();
            gate.spawn(&BLOCKING, move || order.lock().unwrap().push(n))
        })
        .collect();
    tokens.into_iter().for_each(value);
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn without_spares_they_run_on_the_worker() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let worker = value(gate.spawn(&PLAIN, this_thread));
    let threads = (0..20).map(|_| gate.spawn(&BLOCKING, this_thread));
    let threads: HashSet<_> = get_all(threads.collect::<Vec<_>>())
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(threads, HashSet::from([worker]));
}

#[test]
fn with_spares_they_never_run_on_the_worker() {
    let gate = small_gate();
    let worker = value(gate.spawn(&PLAIN, this_thread));
    for _ in 0..50 {
        assert_ne!(value(gate.spawn(&BLOCKING, this_thread)), worker);
    }
}

#[test]
fn a_waiter_does_not_run_them_in_place() {
    let gate = small_gate();
    let body = gate.spawn(&PLAIN, || {
        current().spawn(&BLOCKING, this_thread).get().unwrap() != this_thread()
    });
    assert!(value(body));
}

#[test]
fn one_that_waits_for_another_lets_it_run_though_it_has_the_only_spare() {
    elsewhere(|| {
        for max_spares in 1..5 {
            let gate = one_worker().max_spares(max_spares).start().unwrap();
            fn nested(levels: u64) -> u64 {
                if levels == 0 {
                    return 0;
                }
                let below = current().spawn(&BLOCKING, move || nested(levels - 1));
                below.get().expect("it can run") + 1
            }
            // One on each spare that may serve, and one in place of the worker.
            let levels = (max_spares as u64 * 3 / 4).max(1);
            let token = gate.spawn(&BLOCKING, move || nested(levels));
            assert_eq!(value(token), levels);
            assert_eq!(value(gate.spawn(&PLAIN, || 7)), 7);
        }
    });
}

#[test]
fn waits_that_have_taken_all_spares_do_not_keep_them_from_running() {
    elsewhere(|| {
        let gate = one_worker().max_spares(2).start().unwrap();
        let body = gate.spawn(&PLAIN, || {
            // The first spare takes the place of the worker, the second that of the first.
            let inner = current().spawn_async(&PLAIN, async {
                current().spawn(&BLOCKING, || 7).get().unwrap()
            });
            inner.get().unwrap()
        });
        assert_eq!(value(body), 7);
        for n in 0..10 {
            assert_eq!(value(gate.spawn(&BLOCKING, move || n)), n);
        }
    });
}

#[test]
fn a_lane_of_them_keeps_its_order() {
    let gate = small_gate();
    let order: Arc<Mutex<Vec<(u64, usize)>>> = Arc::default();
    let tokens: Vec<_> = (0..200)
        .map(|n| {
            let (order, key) = (order.clone(), n as u64 % 3);
            // Some of each lane do not block.
            let operation = if n % 5 == 0 { &MIXED } else { &SERIAL };
            gate.spawn(keyed(operation, key), move || {
                order.lock().unwrap().push((key, n));
            })
        })
        .collect();
    tokens.into_iter().for_each(value);
    let order = order.lock().unwrap();
    for key in 0..3 {
        let of_key = order.iter().filter(|(other, _)| *other == key);
        let of_key: Vec<_> = of_key.map(|&(_, n)| n).collect();
        assert!(of_key.is_sorted() && !of_key.is_empty());
    }
}

#[test]
fn they_stay_in_the_domain_of_their_chain() {
    let gate = common::wide_gate();
    let lead = gate.spawn(&LEAD, || {
        let children = (0..20).map(|_| current().spawn(&BLOCKING, || ()));
        children.collect::<Vec<_>>()
    });
    let domain = lead.status().domain;
    let children = value(lead);
    assert!(children.iter().all(|child| child.status().domain == domain));
    children.into_iter().for_each(value);
    wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
}

#[test]
fn an_async_body_is_polled_on_spares() {
    let gate = small_gate();
    let worker = value(gate.spawn(&PLAIN, this_thread));
    let token = gate.spawn_async(&BLOCKING, async {
        let mut threads = HashSet::new();
        for _ in 0..10 {
            threads.insert(this_thread());
            yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        threads.insert(this_thread());
        threads
    });
    assert!(!value(token).contains(&worker));
}

#[test]
fn a_limit_holds_for_them() {
    let gate = small_gate();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tokens: Vec<_> = (0..100)
        .map(|_| {
            let (inside, most) = (inside.clone(), most.clone());
            gate.spawn(&LIMITED, move || {
                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::yield_now();
                inside.fetch_sub(1, SeqCst);
            })
        })
        .collect();
    tokens.into_iter().for_each(value);
    assert!(most.load(SeqCst) <= 3);
}

#[test]
fn a_panic_in_one_leaves_its_spare_whole() {
    let gate = one_worker().max_spares(1).start().unwrap();
    for n in 0..20 {
        let result = outcome(gate.spawn(&BLOCKING, move || assert!(n % 2 != 0, "on purpose")));
        assert_eq!(result.is_ok(), n % 2 != 0);
    }
}

#[test]
fn one_that_is_queued_can_be_killed_and_paused() {
    let gate = one_worker().max_spares(1).start().unwrap();
    let (release, inside) = (Latch::new(), Arc::default());
    let blocked = sit(&gate, &release, &inside, 1);
    wait_until("it is inside", || inside.load(SeqCst) == 1);
    let queued: Vec<_> = (0..10).map(|n| gate.spawn(&BLOCKING, move || n)).collect();
    assert!(queued[3].kill("not needed"));
    gate.purge_operation("test.blocking", "not needed");
    let paused = gate.spawn(&BLOCKING, || 7);
    gate.pause_operation("test.blocking");
    release.open();
    blocked.into_iter().for_each(value);
    for token in queued {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
    wait_until("it is set aside", || paused.state() == TokenState::Waiting);
    gate.resume();
    gate.resume_operation("test.blocking");
    assert_eq!(value(paused), 7);
}

#[test]
fn a_purge_reaches_those_that_are_queued() {
    let gate = one_worker().max_spares(1).start().unwrap();
    let (release, inside) = (Latch::new(), Arc::default());
    let blocked = sit(&gate, &release, &inside, 1);
    wait_until("it is inside", || inside.load(SeqCst) == 1);
    let queued: Vec<_> = (0..10).map(|n| gate.spawn(&BLOCKING, move || n)).collect();
    // The worker has handed all of them over.
    value(gate.spawn(&PLAIN, || ()));
    assert_eq!(gate.purge("not needed"), 10);
    assert!(queued.iter().all(Token::is_finished));
    release.open();
    blocked.into_iter().for_each(value);
}

#[test]
fn a_drain_waits_for_them() {
    let gate = one_worker().max_spares(2).start().unwrap();
    let (release, inside) = (Latch::new(), Arc::default());
    let blocked = sit(&gate, &release, &inside, 5);
    wait_until("one is inside", || inside.load(SeqCst) == 1);
    assert!(!gate.drain(Duration::ZERO).finished);
    release.open();
    assert!(gate.drain(HANG).finished);
    assert!(blocked.iter().all(Token::is_finished));
}

#[test]
fn a_shutdown_ends_those_that_are_queued() {
    let gate = one_worker().max_spares(1).start().unwrap();
    let (release, inside) = (Latch::new(), Arc::default());
    let mut blocked = sit(&gate, &release, &inside, 20);
    wait_until("one is inside", || inside.load(SeqCst) == 1);
    let queued = blocked.split_off(1);
    let shutdown = std::thread::spawn(move || gate.shutdown(Duration::ZERO));
    for token in queued {
        assert!(outcome(token).is_err());
    }
    release.open();
    assert!(shutdown.join().unwrap().stuck.is_empty());
}

#[test]
fn a_drop_ends_those_that_are_queued() {
    let gate = one_worker().max_spares(2).start().unwrap();
    let (release, inside) = (Latch::new(), Arc::default());
    let blocked = sit(&gate, &release, &inside, 20);
    wait_until("one is inside", || inside.load(SeqCst) == 1);
    let dropped = std::thread::spawn(move || drop(gate));
    wait_until("the queue is empty", || {
        blocked.iter().filter(|token| token.is_finished()).count() == 19
    });
    release.open();
    dropped.join().unwrap();
    assert!(blocked.iter().all(Token::is_finished));
}

#[task_token_guard(operation_type = "test.storage", tags(storage_speed = "slow"))]
fn storage(path: String) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[test]
fn the_tag_makes_storage_work_of_a_guarded_function() {
    let gate = small_gate();
    let _entered = gate.enter();
    assert!(outcome(storage("no such file".into())).is_err());
    let limits = gate.limits();
    assert_eq!((&*limits[0].name, limits[0].size), ("storage.slow", 10));
}
