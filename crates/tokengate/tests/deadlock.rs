//! A blocking wait that can never end is refused at once, and the gate goes on.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Latch, elsewhere, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Call, DeadlockCause, Gate, Handle, Key, Operation, Token, TokenError, get_all, join_all,
};

static SERIAL: Operation = Operation::new("test.serial").serial();
static LEAD: Operation = Operation::new("test.lead")
    .with_external_calls(&["test.serial"])
    .serial();
static PLAIN: Operation = Operation::new("test.plain");
static LEFT: Operation = Operation::new("test.left").serial();
static RIGHT: Operation = Operation::new("test.right").serial();

fn call(operation: &'static Operation, key: u64) -> Call {
    Call::new(operation).with_key(Key::of("test", &key))
}

fn current() -> Handle {
    Handle::current().expect("in a body")
}

/// The cause of a refused wait, and the operations that take part.
fn refused<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, TokenError<E>>,
) -> (DeadlockCause, Vec<&'static str>) {
    match result {
        Err(TokenError::WouldDeadlock { cause, through, .. }) => (cause, through.into_vec()),
        other => panic!("not refused: {other:?}"),
    }
}

fn assert_goes_on(gate: &Gate) {
    for key in 0..3 {
        value(gate.spawn(call(&SERIAL, key), || ()));
    }
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn the_own_key() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(call(&SERIAL, 1), || {
            let behind = current().spawn(call(&SERIAL, 1), || 7);
            refused(behind.get())
        });
        assert_eq!(value(body).0, DeadlockCause::OwnLane);
        assert_goes_on(&gate);
    });
}

#[test]
fn the_own_key_with_a_limit_leaves_the_handle_usable() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(call(&SERIAL, 1), || {
            let mut behind = current().spawn(call(&SERIAL, 1), || 7);
            let result = behind.get_timeout(Duration::from_secs(3600));
            (refused(result.expect("at once")).0, behind)
        });
        let (cause, behind) = value(body);
        assert_eq!(cause, DeadlockCause::OwnLane);
        assert_eq!(value(behind), 7);
        assert_goes_on(&gate);
    });
}

#[test]
fn the_own_key_awaited() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn_async(call(&SERIAL, 1), async {
            let mut behind = current().spawn(call(&SERIAL, 1), || 7);
            let one = refused((&mut behind).await);
            let many = join_all([behind, current().spawn(&PLAIN, || 8)]).await;
            let many: Vec<_> = many.into_iter().map(|result| result.is_err()).collect();
            (one.0, many[0])
        });
        assert_eq!(value(body), (DeadlockCause::OwnLane, true));
        assert_goes_on(&gate);
    });
}

#[test]
fn the_own_key_below_a_body_that_was_run_in_place() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(call(&SERIAL, 1), || {
            let behind = current().spawn(call(&SERIAL, 1), || 7);
            let between = current().spawn(&PLAIN, move || refused(behind.get()).0);
            between.get().unwrap()
        });
        assert_eq!(value(body), DeadlockCause::OwnLane);
        assert_goes_on(&gate);
    });
}

#[test]
fn many_of_which_one_is_behind_the_own_key() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(call(&SERIAL, 1), || {
            let free = current().spawn(&PLAIN, || 1);
            let behind = current().spawn(call(&SERIAL, 1), || 2);
            let mut results = get_all([free, behind]);
            let cause = refused(results.pop().unwrap()).0;
            (cause, results.pop().unwrap().is_ok())
        });
        assert_eq!(value(body), (DeadlockCause::OwnLane, true));
        assert_goes_on(&gate);
    });
}

#[test]
fn a_lead_that_waits_for_a_child_behind_its_own_lane() {
    elsewhere(|| {
        let gate = wide_gate();
        let lead = gate.spawn(call(&LEAD, 1), || {
            let child = current().spawn(call(&SERIAL, 1), || 7);
            refused(child.get()).0
        });
        assert_eq!(value(lead), DeadlockCause::OwnLane);
        wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
        assert_goes_on(&gate);
    });
}

#[test]
fn a_body_that_waits_for_itself() {
    elsewhere(|| {
        let gate = small_gate();
        let own: Arc<Mutex<Option<Token<bool>>>> = Arc::default();
        let given = Latch::new();
        let body = {
            let (own, given) = (own.clone(), given.clone());
            gate.spawn(&PLAIN, move || {
                given.wait();
                let own = own.lock().unwrap().take().expect("it was given");
                matches!(own.get(), Err(TokenError::WouldDeadlock { .. }))
            })
        };
        *own.lock().unwrap() = Some(body);
        given.open();
        wait_until("it took its handle", || own.lock().unwrap().is_none());
        assert_goes_on(&gate);
    });
}

/// Two bodies, each of which holds its key and waits for a token of the other's.
fn crosswise(left: &Handle, right: &Handle, keys: [u64; 2]) -> Vec<Result<u32, TokenError>> {
    let (left_in, right_in) = (Latch::new(), Latch::new());
    let side =
        |operation, own: &Handle, other: &Handle, keys: [u64; 2], enter: &Latch, await_: &Latch| {
            let (other, enter, await_) = (other.clone(), enter.clone(), await_.clone());
            own.spawn(call(operation, keys[0]), move || {
                enter.open();
                await_.wait();
                other.spawn(call(&SERIAL, keys[1]), || 7_u32).get()
            })
        };
    let one = side(&LEFT, left, right, keys, &left_in, &right_in);
    let other = side(&RIGHT, right, left, [keys[1], keys[0]], &right_in, &left_in);
    [one, other].map(value).into_iter().collect()
}

/// One of the two was refused, by name, and the other one went on.
fn assert_one_refused(mut results: Vec<Result<u32, TokenError>>) {
    results.sort_by_key(Result::is_err);
    assert_eq!(results.len(), 2);
    let (cause, mut through) = refused(results.pop().unwrap());
    assert_eq!(cause, DeadlockCause::Cycle);
    through.sort_unstable();
    assert_eq!(through, ["test.left", "test.right"]);
    assert_eq!(results.pop().unwrap().unwrap(), 7);
}

#[test]
fn two_keys_crosswise_in_one_domain() {
    elsewhere(|| {
        // A spare runs the second one while the first waits.
        let gate = small_gate();
        let handle = gate.handle();
        let (first_in, second_in) = (Latch::new(), Latch::new());
        let first = {
            let (first_in, second_in) = (first_in.clone(), second_in.clone());
            handle.spawn_async(call(&LEFT, 1), async move {
                first_in.open();
                while !second_in.is_open() {
                    yield_now().await;
                }
                current().spawn(call(&SERIAL, 2), || 7_u32).get()
            })
        };
        first_in.wait();
        let second = {
            let second_in = second_in.clone();
            handle.spawn(call(&RIGHT, 2), move || {
                second_in.open();
                current().spawn(call(&SERIAL, 1), || 7_u32).get()
            })
        };
        assert_one_refused([first, second].map(value).into_iter().collect());
        assert_goes_on(&gate);
    });
}

#[test]
fn two_keys_crosswise_between_two_domains() {
    elsewhere(|| {
        let gate = wide_gate();
        let handle = gate.handle();
        // Two keys of two domains.
        let hold = Latch::new();
        let (tokens, domains): (Vec<_>, Vec<_>) = (0..64_u64)
            .map(|key| {
                let hold = hold.clone();
                let token = handle.spawn_async(call(&SERIAL, key), async move {
                    while !hold.is_open() {
                        yield_now().await;
                    }
                });
                let domain = token.status().domain;
                (token, domain)
            })
            .unzip();
        let other = domains.iter().position(|domain| *domain != domains[0]);
        let keys = [0, other.expect("keys are spread") as u64];
        // Still pinned where they are, the two come behind these.
        let results = {
            let (left, right) = (handle.clone(), handle.clone());
            let thread = std::thread::spawn(move || crosswise(&left, &right, keys));
            wait_until("both wait in their lanes", || {
                let pins = gate.sticky().snapshot();
                pins.iter().filter(|pin| pin.tokens > 1).count() == 2
            });
            hold.open();
            tokens.into_iter().for_each(value);
            thread.join().unwrap()
        };
        assert_one_refused(results);
        assert_goes_on(&gate);
    });
}

#[test]
fn two_keys_crosswise_between_two_gates() {
    elsewhere(|| {
        let (one, other) = (small_gate(), small_gate());
        assert_one_refused(crosswise(&one.handle(), &other.handle(), [1, 2]));
        assert_goes_on(&one);
        assert_goes_on(&other);
    });
}

#[test]
fn three_bodies_in_a_ring_of_keys() {
    elsewhere(|| {
        let gates = [small_gate(), small_gate(), small_gate()];
        let handles = [0, 1, 2].map(|index: usize| gates[index].handle());
        let entered = [Latch::new(), Latch::new(), Latch::new()];
        let tokens = [0, 1, 2].map(|index: usize| {
            let (next, entered) = (handles[(index + 1) % 3].clone(), entered.clone());
            handles[index].spawn(call(&SERIAL, index as u64), move || {
                entered[index].open();
                entered.iter().for_each(Latch::wait);
                next.spawn(call(&SERIAL, (index as u64 + 1) % 3), || 7)
                    .get()
            })
        });
        let results = tokens.map(value);
        let refusals = results.iter().filter(|result| result.is_err());
        assert_eq!(refusals.count(), 1, "the last one breaks the ring");
        gates.iter().for_each(assert_goes_on);
    });
}

#[test]
fn a_ring_of_plain_bodies_and_one_key() {
    elsewhere(|| {
        let gate = small_gate();
        // A holds the key and waits for B, which waits for a token behind A.
        let body = gate.spawn(call(&SERIAL, 1), || {
            let between = current().spawn_async(&PLAIN, async {
                let behind = current().spawn(call(&SERIAL, 1), || 7);
                behind.get().map_err(|error| error.to_string())
            });
            between.get().unwrap()
        });
        let message = value(body).unwrap_err();
        assert!(
            message.contains("`test.plain` for `test.serial`"),
            "{message}"
        );
        assert_goes_on(&gate);
    });
}

#[test]
fn a_wait_that_is_no_cycle_is_left_alone() {
    elsewhere(|| {
        let (one, other) = (small_gate(), small_gate());
        // Each waits for a token of the other gate that is free to run.
        for key in 0..200_u64 {
            let [here, there] = [one.handle(), other.handle()];
            let left = {
                let there = there.clone();
                here.spawn(call(&LEFT, key % 5), move || {
                    there.spawn(call(&SERIAL, 10 + key % 5), || 7).get()
                })
            };
            let right = {
                let here = here.clone();
                there.spawn(call(&RIGHT, key % 5), move || {
                    here.spawn(call(&SERIAL, 20 + key % 5), || 7).get()
                })
            };
            if key % 10 == 0 {
                assert_eq!(value(left).unwrap(), 7);
                assert_eq!(value(right).unwrap(), 7);
            }
        }
        assert_goes_on(&one);
        assert_goes_on(&other);
    });
}

#[test]
fn a_kill_breaks_what_would_have_been_a_cycle() {
    elsewhere(|| {
        let (one, other) = (small_gate(), small_gate());
        let (behind_is, killed) = (Arc::new(Mutex::new(None)), Latch::new());
        let (here, there) = (one.handle(), other.handle());
        let entered = Latch::new();
        let left = {
            let (there, behind_is, entered) = (there.clone(), behind_is.clone(), entered.clone());
            here.spawn(call(&LEFT, 1), move || {
                entered.wait();
                let behind = there.spawn(call(&SERIAL, 2), || 7);
                *behind_is.lock().unwrap() = Some(behind.killer());
                behind.get()
            })
        };
        let right = {
            let (here, killed, entered) = (here.clone(), killed.clone(), entered.clone());
            there.spawn(call(&RIGHT, 2), move || {
                entered.open();
                killed.wait();
                here.spawn(call(&SERIAL, 1), || 8).get()
            })
        };
        wait_until("the left one waits", || behind_is.lock().unwrap().is_some());
        assert!(behind_is.lock().unwrap().take().unwrap().kill("test"));
        killed.open();
        assert!(matches!(
            outcome(left).unwrap(),
            Err(TokenError::Killed { .. })
        ));
        assert_eq!(value(right).unwrap(), 8);
        assert_goes_on(&one);
        assert_goes_on(&other);
    });
}

/// Waits for a token when it is dropped.
struct WaitsInDrop {
    token: Arc<Mutex<Option<Token<u32>>>>,
    done: Latch,
}

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        let token = self.token.lock().unwrap().take();
        if token.is_some_and(|token| token.get().is_ok_and(|value| value == 7)) {
            self.done.open();
        }
    }
}

#[test]
fn a_destructor_of_a_result_that_waits_for_the_lane_which_its_body_has_left() {
    elsewhere(|| {
        let gate = small_gate();
        let held = common::Held::new(&gate.handle(), &PLAIN);
        let (awaited, done) = (Arc::<Mutex<Option<Token<u32>>>>::default(), Latch::new());
        let result = WaitsInDrop {
            token: awaited.clone(),
            done: done.clone(),
        };
        gate.spawn(call(&SERIAL, 1), move || result).detach();
        gate.spawn(call(&SERIAL, 1), || ()).detach();
        *awaited.lock().unwrap() = Some(gate.spawn(call(&SERIAL, 1), || 7));
        held.release();
        done.wait();
        assert_goes_on(&gate);
    });
}
