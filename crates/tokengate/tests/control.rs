//! Kills and purges by operation and by chain reach all tokens that exist, and no later ones.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use common::{
    Census, Held, Latch, lone_workers, outcome, small_gate, value, wait_until, wide_gate,
};
use smol::future::yield_now;
use tokengate::{
    Call, Chain, Gate, Handle, Key, Operation, Token, TokenError, TokenState, cancelled, chain,
    get_all,
};

static OP: Operation = Operation::new("test.operation");
static SERIAL: Operation = Operation::new("test.serial").serial();
static OTHER: Operation = Operation::new("test.other");
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.operation"]);
static NESTED: Operation = Operation::new("test.nested").with_external_calls(&[]);

fn serial(key: u64) -> Call {
    Call::new(&SERIAL).with_key(Key::of("test", &key))
}

fn current() -> Handle {
    Handle::current().expect("in a body")
}

fn assert_killed<T: std::fmt::Debug>(token: Token<T>, reason: &str) {
    match outcome(token) {
        Err(TokenError::Killed { reason: found }) => assert_eq!(found.as_str(), reason),
        other => panic!("not killed: {other:?}"),
    }
}

fn assert_nothing_held(gate: &Gate) {
    wait_until("pins and chains are given back", || {
        gate.sticky().snapshot().is_empty() && gate.conductor().snapshot().is_empty()
    });
}

#[test]
fn queued_tokens_of_the_operation_never_start_and_others_do() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &OTHER);
    let census = Census::new();
    let ran = Arc::new(AtomicUsize::new(0));
    let spawn = |operation: &'static Operation| {
        let (member, ran) = (census.member(), ran.clone());
        gate.spawn(operation, move || {
            drop(member);
            ran.fetch_add(1, SeqCst);
        })
    };
    let doomed: Vec<_> = (0..100).map(|_| spawn(&OP)).collect();
    let others: Vec<_> = (0..10).map(|_| spawn(&OTHER)).collect();
    assert_eq!(gate.kill_operation("test.operation", "test"), 0);
    let later: Vec<_> = (0..10).map(|_| spawn(&OP)).collect();
    held.release();
    for token in doomed {
        assert_killed(token, "test");
    }
    others.into_iter().chain(later).for_each(value);
    assert_eq!(ran.load(SeqCst), 20);
    assert_eq!(census.alive(), 0);
}

#[test]
fn executing_bodies_see_it_and_suspended_ones_are_dropped() {
    let gate = wide_gate();
    let census = Census::new();
    let member = census.member();
    let suspended = gate.spawn_async(&OP, async move {
        let _member = member;
        std::future::pending::<()>().await;
    });
    wait_until("the future is polled", || {
        suspended.state() == TokenState::Executing
    });
    let (entered, done) = (Latch::new(), Latch::new());
    let sync = {
        let (entered, done) = (entered.clone(), done.clone());
        gate.spawn(&OP, move || {
            entered.open();
            while !cancelled() {
                std::thread::yield_now();
            }
            done.open();
        })
    };
    entered.wait();
    assert_eq!(gate.kill_operation("test.operation", "test"), 2);
    assert_killed(sync, "test");
    assert_killed(suspended, "test");
    done.wait();
    wait_until("the future is dropped", || census.alive() == 0);
}

#[test]
fn a_lane_goes_on_beyond_those_that_were_killed_in_it() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), serial(1));
    let doomed: Vec<_> = (0..100).map(|_| gate.spawn(serial(1), || ())).collect();
    // The holder executes: its body goes on, its token does not.
    assert_eq!(gate.kill_operation("test.serial", "test"), 1);
    let later = gate.spawn(serial(1), || 7);
    assert_eq!(later.state(), TokenState::Waiting);
    drop(held);
    for token in doomed {
        assert_killed(token, "test");
    }
    assert_eq!(value(later), 7);
    assert_nothing_held(&gate);
}

#[test]
fn calls_of_an_open_batch_are_reached() {
    let gate = wide_gate();
    let tokens = gate.batch(|| {
        let tokens: Vec<_> = (0..10).map(|_| gate.spawn(&OP, || ())).collect();
        gate.handle().kill_operation("test.operation", "test");
        tokens
    });
    for token in tokens {
        assert_killed(token, "test");
    }
}

#[test]
fn a_token_that_its_waiter_would_run_in_place_is_killed_too() {
    let gate = small_gate();
    let body = gate.spawn(&OTHER, || {
        let key = Key::of("test", &1);
        let child = current().spawn(Call::new(&OP).with_key(key), || 7);
        current().kill_operation("test.operation", "test");
        matches!(child.get(), Err(TokenError::Killed { .. }))
    });
    assert!(value(body));
    assert_nothing_held(&gate);
}

#[test]
fn a_purge_leaves_what_executes_alone() {
    let gate = small_gate();
    let release = Latch::new();
    let (first, entered) = {
        let (release, entered) = (release.clone(), Latch::new());
        let opened = entered.clone();
        let body = move || {
            opened.open();
            release.wait();
            1
        };
        (gate.spawn(&OP, body), entered)
    };
    entered.wait();
    let queued = gate.spawn(&OP, || 2);
    gate.purge_operation("test.operation", "test");
    let later = gate.spawn(&OP, || 3);
    release.open();
    assert_eq!(value(first), 1);
    assert_killed(queued, "test");
    assert_eq!(value(later), 3);
}

#[test]
fn a_suspended_body_goes_on_after_a_purge() {
    let gate = small_gate();
    let release = Latch::new();
    let body = {
        let release = release.clone();
        gate.spawn_async(&OP, async move {
            while !release.is_open() {
                yield_now().await;
            }
            7
        })
    };
    wait_until("the future is polled", || {
        body.state() == TokenState::Executing
    });
    gate.purge_operation("test.operation", "test");
    release.open();
    assert_eq!(value(body), 7);
}

#[test]
fn a_chain_is_killed_with_what_is_nested_in_it_and_no_other() {
    let gate = Gate::builder().domains(lone_workers(2)).start().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let release = Latch::new();
    let lead = {
        let release = release.clone();
        gate.spawn(&LEAD, move || {
            let children: Vec<_> = (0..10).map(|_| current().spawn(&OP, || ())).collect();
            let nested = current().spawn(&NESTED, || current().spawn(&OP, || ()).get());
            sender
                .send((chain().expect("a lead has one"), children, nested))
                .unwrap();
            release.wait();
        })
    };
    let (killed, children, nested): (Chain, Vec<Token<()>>, _) = receiver.recv().unwrap();
    assert_eq!(killed.kill("test"), 1, "the lead executes");
    let later = killed.run(|| current().spawn(&OP, || 7));
    let other = gate.spawn(&LEAD, || current().spawn(&OP, || 8).get().unwrap());
    release.open();
    assert_killed(lead, "test");
    for child in children {
        assert_killed(child, "test");
    }
    assert!(matches!(outcome(nested), Err(TokenError::Killed { .. })));
    assert_eq!(value(later), 7);
    assert_eq!(value(other), 8);
    drop(killed);
    assert_nothing_held(&gate);
}

#[test]
fn an_order_beside_a_flood_ends_all_that_existed_and_nothing_after() {
    let gate = wide_gate();
    for round in 0..50 {
        let handle = gate.handle();
        let stop = Arc::new(AtomicBool::new(false));
        let flood = {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut tokens = Vec::new();
                while !stop.load(SeqCst) {
                    let call = serial(tokens.len() as u64 % 3);
                    tokens.push(handle.spawn_async(call, async { 1 }));
                    tokens.push(handle.spawn(&OTHER, || 1));
                }
                tokens
            })
        };
        let doomed = gate.spawn(serial(round), || 1);
        gate.kill_operation("test.serial", "test");
        let later = gate.spawn(serial(round), || 2);
        stop.store(true, SeqCst);
        // Done before, or killed; and nothing else.
        assert!(matches!(
            outcome(doomed),
            Ok(1) | Err(TokenError::Killed { .. })
        ));
        assert_eq!(value(later), 2);
        for (place, result) in get_all(flood.join().unwrap()).into_iter().enumerate() {
            let is_other = place % 2 == 1;
            assert!(result.is_ok() || !is_other);
        }
    }
    assert_nothing_held(&gate);
}

#[test]
fn an_operation_without_calls_is_no_error() {
    let gate = small_gate();
    assert_eq!(gate.kill_operation("nobody", "test"), 0);
    gate.purge_operation("nobody", "test");
    value(gate.spawn(&OP, || ()));
}
