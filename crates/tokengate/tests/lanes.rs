//! Tokens of a lane that a worker comes upon before their turn: they wait there, or are ended there.

mod common;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Held, elsewhere, outcome, small_gate, value, wait_until};
use smol::future::{block_on, poll_once};
use tokengate::{Call, Gate, Key, Operation, Token, TokenError, TokenState};

static PLAIN: Operation = Operation::new("test.plain");
static SERIAL: Operation = Operation::new("test.serial").serial();
/// In the same lane, to be named by orders.
static ORDERED: Operation = Operation::new("test.ordered").serial();

fn serial(operation: &'static Operation) -> Call {
    Call::new(operation).with_key(Key::of("test", &1))
}

/// An async body that has its turn, and is suspended until the other end is dropped.
fn suspended(gate: &Gate) -> (smol::channel::Sender<()>, Token<()>) {
    let (release, released) = smol::channel::bounded(1);
    let holder = gate.spawn_async(serial(&SERIAL), async move {
        let _ = released.recv().await;
    });
    wait_until("it is polled", || holder.state() == TokenState::Executing);
    (release, holder)
}

/// How many tokens are counted for the key.
fn pinned(gate: &Gate) -> usize {
    let pins = gate.sticky().snapshot();
    pins.iter().map(|pin| pin.tokens).sum()
}

#[test]
fn one_that_is_killed_where_it_waits_gives_back_its_key_at_once_and_its_runnable_before_its_turn() {
    let gate = small_gate();
    let (release, holder) = suspended(&gate);
    let killed = gate.spawn(serial(&SERIAL), || ());
    let last = gate.spawn(serial(&SERIAL), || 7);
    wait_until("both wait", || gate.stats().waiting_in_lanes() == 2);
    assert!(killed.kill("test"));
    assert_eq!((pinned(&gate), gate.stats().waiting_in_lanes()), (2, 1));
    wait_until("a worker has found what is left of it", || {
        gate.stats().total().in_flight() == 2
    });
    assert_eq!(holder.state(), TokenState::Executing);
    drop(release);
    value(holder);
    assert_eq!(value(last), 7);
}

#[test]
fn a_token_behind_a_call_that_is_not_published_waits_for_it() {
    let gate = small_gate();
    let order = Arc::<Mutex<Vec<u32>>>::default();
    let note = |number| {
        let order = order.clone();
        move || order.lock().unwrap().push(number)
    };
    let (first, second) = gate.batch(|| {
        let first = gate.spawn(serial(&SERIAL), note(1));
        let (handle, second) = (gate.handle(), note(2));
        let second = elsewhere(move || handle.spawn(serial(&SERIAL), second));
        wait_until("a worker has come to it", || {
            gate.stats().waiting_in_lanes() == 1
        });
        assert_eq!(first.state(), TokenState::Created);
        assert_eq!(second.state(), TokenState::Waiting);
        (first, second)
    });
    value(first);
    value(second);
    assert_eq!(*order.lock().unwrap(), [1, 2]);
}

#[test]
fn an_order_ends_a_token_before_its_turn_and_the_lane_goes_on_without_it() {
    let gate = small_gate();
    let (release, holder) = suspended(&gate);
    let held = Held::new(&gate.handle(), &PLAIN);
    let ordered = gate.spawn(serial(&ORDERED), || ());
    let last = gate.spawn(serial(&SERIAL), || 7);
    gate.kill_operation("test.ordered", "test");
    held.release();
    assert!(matches!(outcome(ordered), Err(TokenError::Killed { .. })));
    wait_until("it has exited", || pinned(&gate) == 2);
    assert_eq!(holder.state(), TokenState::Executing);
    drop(release);
    value(holder);
    assert_eq!(value(last), 7);
}

/// Says, when it is dropped, what waits for its token give, and gives the token back.
struct WaitsInDrop(Option<Token<()>>, Sender<(bool, bool, Token<()>)>);

impl Drop for WaitsInDrop {
    fn drop(&mut self) {
        let mut token = self.0.take().expect("dropped once");
        let polled = block_on(poll_once(&mut token)).is_none();
        let blocked = token.get_timeout(Duration::from_millis(1)).is_none();
        let _ = self.1.send((polled, blocked, token));
    }
}

#[test]
fn a_destructor_of_one_that_ends_before_its_turn_may_wait_for_one_before_it() {
    let gate = small_gate();
    let (release, holder) = suspended(&gate);
    let held = Held::new(&gate.handle(), &PLAIN);
    let (said, says) = channel();
    let argument = WaitsInDrop(Some(holder), said);
    let ordered = gate.spawn(serial(&ORDERED), move || drop(argument));
    gate.kill_operation("test.ordered", "test");
    held.release();
    let (polled, blocked, holder) = elsewhere(move || says.recv().expect("it is dropped"));
    assert!(polled && blocked, "no wait is taken for a deadlock");
    assert!(matches!(outcome(ordered), Err(TokenError::Killed { .. })));
    drop(release);
    value(holder);
}
