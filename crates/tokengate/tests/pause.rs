//! Pauses hold tokens back before they start, and let them go on in order.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{HANG, Held, Latch, lone_workers, outcome, small_gate, value, wait_until, wide_gate};
use tokengate::{Call, Full, Gate, Handle, Key, Operation, Token, TokenError, TokenState, Weight};

static OP: Operation = Operation::new("test.operation");
static OTHER: Operation = Operation::new("test.other");
static SERIAL: Operation = Operation::new("test.serial").serial();
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.operation"]);
static HEAVY: Operation = Operation::new("test.heavy").with_weight(Weight::Heavy);

fn serial(key: u64) -> Call {
    Call::new(&SERIAL).with_key(Key::of("test", &key))
}

fn current() -> Handle {
    Handle::current().expect("in a body")
}

/// Waits until a worker has set the token aside.
fn wait_until_aside<T>(token: &Token<T>) {
    wait_until("a worker sets the token aside", || {
        token.state() == TokenState::Waiting
    });
}

fn reason_of<T: std::fmt::Debug>(token: Token<T>) -> String {
    match outcome(token) {
        Err(TokenError::Killed { reason }) => reason.as_str().to_owned(),
        other => panic!("not killed: {other:?}"),
    }
}

/// Bodies that write down their numbers, and what they wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<usize>>>);

impl Log {
    fn spawn(&self, gate: &Gate, call: impl Into<Call>, number: usize) -> Token<()> {
        let log = self.clone();
        gate.spawn(call, move || log.0.lock().unwrap().push(number))
    }

    fn content(&self) -> Vec<usize> {
        self.0.lock().unwrap().clone()
    }
}

#[test]
fn a_paused_operation_waits_and_others_go_on() {
    let gate = small_gate();
    let log = Log::default();
    gate.pause_operation("test.operation");
    let paused: Vec<_> = (0..100).map(|n| log.spawn(&gate, &OP, n)).collect();
    for n in 0..100 {
        value(gate.spawn(&OTHER, move || n));
    }
    paused.iter().for_each(wait_until_aside);
    assert!(log.content().is_empty());
    gate.resume_operation("test.operation");
    paused.into_iter().for_each(value);
    assert_eq!(log.content(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_paused_gate_starts_nothing_and_goes_on_in_order() {
    let gate = small_gate();
    let log = Log::default();
    gate.pause();
    let calls: [Call; 3] = [(&OP).into(), (&OTHER).into(), (&HEAVY).into()];
    let tokens: Vec<_> = (0..300)
        .map(|n| log.spawn(&gate, calls[n % 3], n))
        .collect();
    tokens.iter().for_each(wait_until_aside);
    assert!(log.content().is_empty());
    gate.resume();
    tokens.into_iter().for_each(value);
    assert_eq!(log.content(), (0..300).collect::<Vec<_>>());
}

#[test]
fn gate_and_operation_are_paused_apart() {
    let gate = small_gate();
    gate.pause();
    gate.pause_operation("test.operation");
    let (paused, other) = (gate.spawn(&OP, || 1), gate.spawn(&OTHER, || 2));
    wait_until_aside(&paused);
    wait_until_aside(&other);
    gate.resume();
    assert_eq!(value(other), 2);
    wait_until_aside(&paused);
    gate.resume_operation("test.operation");
    assert_eq!(value(paused), 1);
}

#[test]
fn pauses_are_no_counts_and_resuming_what_is_not_paused_is_nothing() {
    let gate = wide_gate();
    gate.resume();
    gate.resume_operation("test.operation");
    gate.pause();
    gate.pause();
    gate.resume();
    assert_eq!(value(gate.spawn(&OP, || 1)), 1);
}

#[test]
fn bodies_that_have_started_go_on() {
    let gate = small_gate();
    let polled = Latch::new();
    let (go_on, told) = smol::channel::bounded(1);
    let suspended = {
        let polled = polled.clone();
        gate.spawn_async(&OP, async move {
            polled.open();
            let () = told.recv().await.expect("it is told to go on");
            7
        })
    };
    polled.wait();
    gate.pause();
    go_on.send_blocking(()).expect("it listens");
    assert_eq!(value(suspended), 7);
}

#[test]
fn a_paused_head_blocks_its_lane_only() {
    let gate = small_gate();
    let log = Log::default();
    gate.pause_operation("test.serial");
    let lane: Vec<_> = (0..10).map(|n| log.spawn(&gate, serial(1), n)).collect();
    wait_until_aside(&lane[0]);
    value(gate.spawn(&OTHER, || ()));
    assert!(log.content().is_empty());
    gate.resume_operation("test.serial");
    lane.into_iter().for_each(value);
    assert_eq!(log.content(), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_lane_that_is_paused_midway_goes_on_where_it_was() {
    let gate = small_gate();
    let log = Log::default();
    let held = Held::new(&gate.handle(), serial(1));
    let lane: Vec<_> = (0..50).map(|n| log.spawn(&gate, serial(1), n)).collect();
    gate.pause_operation("test.serial");
    held.release();
    value(gate.spawn(&OTHER, || ()));
    assert!(log.content().is_empty());
    gate.resume_operation("test.serial");
    lane.into_iter().for_each(value);
    assert_eq!(log.content(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_paused_token_is_killed_by_its_handle_its_operation_and_its_time() {
    let gate = wide_gate();
    gate.pause();
    let by_handle = gate.spawn(&OP, || ());
    let by_operation: Vec<_> = (0..50).map(|_| gate.spawn(&OP, || ())).collect();
    let in_time = gate.spawn(Call::new(&OTHER).with_ttl(Duration::from_millis(1)), || ());
    wait_until_aside(&by_handle);
    by_operation.iter().for_each(wait_until_aside);
    assert!(by_handle.kill("by hand"));
    assert_eq!(reason_of(by_handle), "by hand");
    assert_eq!(gate.kill_operation("test.operation", "all of them"), 0);
    for token in by_operation {
        assert_eq!(reason_of(token), "all of them");
    }
    assert!(matches!(outcome(in_time), Err(TokenError::TimedOut { .. })));
}

#[test]
fn tokens_that_end_while_they_are_paused_give_their_room_back_at_the_next_order() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(4)
        .on_full(Full::Reject)
        .start()
        .expect("a gate starts");
    gate.pause_operation("test.operation");
    let paused: Vec<_> = (0..4).map(|_| gate.spawn(&OP, || ())).collect();
    paused.iter().for_each(wait_until_aside);
    assert!(matches!(
        outcome(gate.spawn(&OTHER, || ())),
        Err(TokenError::Rejected(_))
    ));
    paused.iter().for_each(|token| assert!(token.kill("test")));
    gate.resume_operation("test.other");
    wait_until("there is room", || {
        outcome(gate.spawn(&OTHER, || ())).is_ok()
    });
}

#[test]
fn a_paused_token_is_not_run_by_its_waiter() {
    let gate = small_gate();
    let (asked, resumed) = (Latch::new(), Latch::new());
    gate.pause_operation("test.operation");
    let waiter = {
        let (asked, resumed) = (asked.clone(), resumed.clone());
        gate.spawn(&OTHER, move || {
            let child = current().spawn(&OP, move || resumed.is_open());
            asked.open();
            child.get()
        })
    };
    asked.wait();
    value(gate.spawn(&OTHER, || ()));
    resumed.open();
    gate.resume_operation("test.operation");
    assert!(
        value(waiter).expect("a value"),
        "it ran while it was paused"
    );
}

#[test]
fn a_paused_child_keeps_its_chain() {
    let gate = wide_gate();
    gate.pause_operation("test.operation");
    let lead = gate.spawn(&LEAD, || current().spawn(&OP, || ()));
    let child = value(lead);
    wait_until_aside(&child);
    let chains = gate.conductor().snapshot();
    assert_eq!((chains.len(), chains[0].count), (1, 1));
    gate.resume_operation("test.operation");
    value(child);
    wait_until("the chain is released", || {
        gate.conductor().snapshot().is_empty()
    });
}

#[test]
fn a_shutdown_ends_what_is_paused() {
    let gate = wide_gate();
    gate.pause();
    let tokens: Vec<_> = (0..100).map(|_| gate.spawn(&OP, || ())).collect();
    let report = gate.shutdown(HANG);
    assert!(!report.drained);
    assert_eq!(report.purged, 100);
    for token in tokens {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
}

#[test]
fn a_dropped_gate_ends_what_is_paused() {
    let gate = wide_gate();
    gate.pause_operation("test.operation");
    let tokens: Vec<_> = (0..100).map(|_| gate.spawn(&OP, || ())).collect();
    drop(gate);
    for token in tokens {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
}

#[test]
fn pauses_and_calls_from_many_threads_lose_nothing() {
    let gate = wide_gate();
    let done = Latch::new();
    let outcomes = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|thread| {
                let gate = &gate;
                scope.spawn(move || {
                    let tokens = (0..2_000).map(|n| match n % 3 {
                        0 => gate.spawn(&OP, move || n),
                        1 => gate.spawn(serial(n % 7 + thread), move || n),
                        _ => gate.spawn_async(&OTHER, async move { n }),
                    });
                    tokens.collect::<Vec<_>>()
                })
            })
            .collect();
        let pauser = scope.spawn(|| {
            while !done.is_open() {
                gate.pause_operation("test.operation");
                gate.pause();
                std::thread::yield_now();
                gate.resume();
                gate.pause_operation("test.serial");
                gate.resume_operation("test.operation");
                gate.resume_operation("test.serial");
            }
        });
        let tokens = callers.into_iter().flat_map(|each| each.join().unwrap());
        let outcomes: Vec<_> = tokens.map(outcome).collect();
        done.open();
        pauser.join().unwrap();
        outcomes
    });
    assert_eq!(outcomes.len(), 6_000);
    assert!(outcomes.into_iter().all(|outcome| outcome.is_ok()));
}
