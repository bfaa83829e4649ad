//! Tokens of one serial key run one at a time, in the order of their calls.

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Held, Latch, lone_workers, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Call, Domains, Gate, Handle, Key, Operation, Token, TokenError, TokenState, get_all,
};

static SERIAL: Operation = Operation::new("test.serial").serial();
static OTHER: Operation = Operation::new("test.other")
    .serial()
    .with_sticky_anchor("test.serial");
static PIN_ONLY: Operation = Operation::new("test.pin").with_sticky_anchor("test.serial");
static FREE: Operation = Operation::new("test.free");

fn call(operation: &'static Operation, key: u64) -> Call {
    Call::new(operation).with_key(Key::of(operation.key_scope(), &key))
}

/// Sequence numbers of each key, and whether two bodies of it ran at one time.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<HashMap<u64, Arc<Entry>>>>);

#[derive(Default)]
struct Entry {
    inside: AtomicBool,
    seen: Mutex<Vec<(usize, usize)>>,
}

impl Order {
    fn of(&self, key: u64) -> Arc<Entry> {
        self.0.lock().unwrap().entry(key).or_default().clone()
    }

    /// For each key the numbers of each caller never step back; how many there were.
    fn check(&self) -> usize {
        let keys = self.0.lock().unwrap();
        let mut count = 0;
        for entry in keys.values() {
            let mut last = HashMap::new();
            for &(caller, number) in &*entry.seen.lock().unwrap() {
                let before = last.insert(caller, number);
                assert!(before.is_none_or(|before| before < number));
                count += 1;
            }
        }
        count
    }
}

impl Entry {
    fn enter(&self) {
        assert!(!self.inside.swap(true, SeqCst), "two at a time");
    }

    fn leave(&self, caller: usize, number: usize) {
        self.seen.lock().unwrap().push((caller, number));
        self.inside.store(false, SeqCst);
    }
}

/// One call of the order's key: sync or async, by number.
fn submit(gate: &Handle, order: &Order, key: u64, caller: usize, number: usize) -> Token<()> {
    let entry = order.of(key);
    if number.is_multiple_of(3) {
        gate.spawn_async(call(&SERIAL, key), async move {
            entry.enter();
            yield_now().await;
            entry.leave(caller, number);
        })
    } else {
        gate.spawn(call(&SERIAL, key), move || {
            entry.enter();
            entry.leave(caller, number);
        })
    }
}

fn keep_order(gate: &Gate, keys: u64, callers: usize, calls: usize) {
    let order = Order::default();
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let (gate, order) = (gate.handle(), order.clone());
            std::thread::spawn(move || {
                let one = |number: usize| {
                    // Spread over the keys; the same key comes again soon.
                    let key = (number as u64 * 7_919 / 3) % keys;
                    submit(&gate, &order, key, caller, number)
                };
                let mut tokens = Vec::new();
                let mut number = 0;
                while number < calls {
                    let batch = (number / 100) % 2 == 0;
                    let end = (number + 100).min(calls);
                    if batch {
                        tokens.extend(gate.batch(|| (number..end).map(&one).collect::<Vec<_>>()));
                    } else {
                        tokens.extend((number..end).map(&one));
                    }
                    number = end;
                }
                get_all(tokens)
                    .into_iter()
                    .for_each(|result| result.unwrap());
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(order.check(), callers * calls);
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn sequence_numbers_of_a_key_never_step_back() {
    let gate = wide_gate();
    for keys in [1, 3, 16, 3_576, 10_000] {
        keep_order(&gate, keys, 1, 10_000);
        keep_order(&gate, keys, 8, 1_500);
    }
}

#[test]
fn several_workers_of_a_domain_keep_the_order_too() {
    let cpus = tokengate_scheduler::topology::Machine::detect()
        .cpus()
        .len();
    let gate = Gate::builder()
        .domains(if cpus > 1 {
            Domains::Count(1)
        } else {
            lone_workers(1)
        })
        .start()
        .unwrap();
    for keys in [1, 3, 100] {
        keep_order(&gate, keys, 4, 3_000);
    }
}

#[test]
fn a_token_behind_others_is_waiting_and_holds_no_worker() {
    let gate = small_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let first = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn_async(call(&SERIAL, 1), async move {
            entered.open();
            while !release.is_open() {
                yield_now().await;
            }
        })
    };
    entered.wait();
    let second = gate.spawn(call(&SERIAL, 1), || 2);
    assert_eq!(second.state(), TokenState::Waiting);
    // The only worker is free for others: the first one is suspended.
    assert_eq!(value(gate.spawn(&FREE, || 3)), 3);
    assert_eq!(value(gate.spawn(call(&SERIAL, 2), || 4)), 4);
    assert_eq!(second.state(), TokenState::Waiting);
    release.open();
    value(first);
    assert_eq!(value(second), 2);
}

#[test]
fn a_body_that_fails_panics_or_is_killed_passes_the_lane_on() {
    let gate = small_gate();
    let handle = gate.handle();
    let held = Held::new(&handle, call(&SERIAL, 1));
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |number: usize| {
        let order = order.clone();
        move || order.lock().unwrap().push(number)
    };
    let fails = handle.try_spawn(call(&SERIAL, 1), {
        let note = note(1);
        move || {
            note();
            Err::<(), _>("no")
        }
    });
    let panics = handle.spawn(call(&SERIAL, 1), {
        let note = note(2);
        move || {
            note();
            panic!("expected")
        }
    });
    let killed = handle.spawn(call(&SERIAL, 1), note(3));
    let forever = handle.spawn_async(call(&SERIAL, 1), std::future::pending::<()>());
    let last = handle.spawn(call(&SERIAL, 1), note(5));
    assert!(killed.kill("test"));
    held.release();
    assert!(matches!(outcome(fails), Err(TokenError::Failed("no"))));
    let _: TokenError = outcome::<(), _>(panics).unwrap_err();
    wait_until("the future is polled", || {
        forever.state() == TokenState::Executing
    });
    assert_eq!(last.state(), TokenState::Waiting);
    assert!(forever.kill("test"));
    value(last);
    assert_eq!(*order.lock().unwrap(), [1, 2, 5]);
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn operations_of_one_anchor_share_a_lane_only_if_both_are_serial() {
    let gate = small_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let first = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn_async(call(&SERIAL, 1), async move {
            entered.open();
            while !release.is_open() {
                yield_now().await;
            }
        })
    };
    entered.wait();
    let behind = gate.spawn(call(&OTHER, 1), || ());
    value(gate.spawn(call(&PIN_ONLY, 1), || ()));
    assert_eq!(behind.state(), TokenState::Waiting);
    release.open();
    value(first);
    value(behind);
}

#[test]
fn a_serial_operation_without_a_key_has_one_lane() {
    let gate = wide_gate();
    let inside = Arc::new(AtomicUsize::new(0));
    let tokens = (0..500).map(|_| {
        let inside = inside.clone();
        gate.spawn(&SERIAL, move || {
            assert_eq!(inside.fetch_add(1, SeqCst), 0);
            inside.fetch_sub(1, SeqCst);
        })
    });
    get_all(tokens)
        .into_iter()
        .for_each(|result| result.unwrap());
}

#[test]
fn others_of_the_domain_go_on_beside_a_long_lane() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &FREE);
    let done = Arc::new(AtomicUsize::new(0));
    let tokens: Vec<_> = (0..1_000)
        .map(|_| {
            let done = done.clone();
            gate.spawn(call(&SERIAL, 1), move || done.fetch_add(1, SeqCst))
        })
        .collect();
    let before = gate.spawn(&FREE, move || done.load(SeqCst));
    held.release();
    assert!(value(before) <= 16, "it did not wait for the whole lane");
    get_all(tokens)
        .into_iter()
        .for_each(|result| assert!(result.is_ok()));
}

#[test]
fn the_waiting_of_a_lane_are_purged_with_their_gate() {
    let gate = wide_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let stuck = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(call(&SERIAL, 1), move || {
            entered.open();
            release.wait();
        })
    };
    entered.wait();
    let waiting: Vec<_> = (0..10_000)
        .map(|_| gate.spawn(call(&SERIAL, 1), || ()))
        .collect();
    let handle = gate.handle();
    let report = gate.shutdown(Duration::ZERO);
    assert_eq!(report.stuck.len(), 1);
    for token in waiting {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
    assert!(matches!(outcome(stuck), Err(TokenError::Killed { .. })));
    release.open();
    wait_until("no key is pinned", || handle.sticky().snapshot().is_empty());
}

#[test]
fn a_drop_of_the_gate_ends_lanes_whose_holders_are_suspended() {
    let gate = wide_gate();
    let holder = gate.spawn_async(call(&SERIAL, 1), std::future::pending::<()>());
    let waiting: Vec<_> = (0..10_000)
        .map(|_| gate.spawn(call(&SERIAL, 1), || ()))
        .collect();
    wait_until("the future is polled", || {
        holder.state() == TokenState::Executing
    });
    let handle = gate.handle();
    drop(gate);
    for token in waiting {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
    assert!(handle.sticky().snapshot().is_empty());
}

/// Holds whoever drops it.
struct HoldsInDrop {
    entered: Latch,
    release: Latch,
}

impl Drop for HoldsInDrop {
    fn drop(&mut self) {
        self.entered.open();
        self.release.wait();
    }
}

#[test]
fn a_destructor_that_never_returns_keeps_no_token_of_the_lane_at_a_shutdown() {
    let gate = small_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let held = Held::new(&gate.handle(), &FREE);
    let result = HoldsInDrop {
        entered: entered.clone(),
        release: release.clone(),
    };
    gate.spawn(call(&SERIAL, 1), move || result).detach();
    let behind: Vec<_> = (0..3)
        .map(|_| gate.spawn(call(&SERIAL, 1), || ()))
        .collect();
    held.release();
    entered.wait();
    let handle = gate.handle();
    let report = gate.shutdown(Duration::ZERO);
    assert_eq!(report.stuck.len(), 1);
    let resolved = behind.iter().all(Token::is_finished);
    release.open();
    assert!(resolved, "every handle resolves");
    wait_until("no key is pinned", || handle.sticky().snapshot().is_empty());
}
