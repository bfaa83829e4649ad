//! A token that is ended before it starts gives back what it held at once, though no worker comes.

mod common;

use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Census, Held, Latch, PanicsInDrop, small_gate, value, wait_until};
use tokengate::{
    Call, Chain, Gate, Handle, Key, Operation, Token, TokenError, TokenState, chain, get_all,
};

static OTHER: Operation = Operation::new("test.other");
static KEYED: Operation = Operation::new("test.keyed");
static SERIAL: Operation = Operation::new("test.serial").serial();
static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.other"]);
static SERIAL_LEAD: Operation = Operation::new("test.lead")
    .serial()
    .with_external_calls(&[]);

fn keyed(operation: &'static Operation, key: u64) -> Call {
    Call::new(operation).with_key(Key::of("test", &key))
}

fn serial(key: u64) -> Call {
    keyed(&SERIAL, key)
}

fn spawn(gate: &Gate, call: impl Into<Call>) -> Token<()> {
    gate.spawn(call, || ())
}

/// How many tokens are counted for all keys.
fn pinned(gate: &Gate) -> usize {
    let pins = gate.sticky().snapshot();
    pins.iter().map(|pin| pin.tokens).sum()
}

/// Who is counted in all chains.
fn chained(gate: &Gate) -> usize {
    let chains = gate.conductor().snapshot();
    chains.iter().map(|chain| chain.count).sum()
}

/// A gate whose only worker is held by a body without key or chain.
fn held_gate() -> (Gate, Held) {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &OTHER);
    (gate, held)
}

fn kill(token: &Token<()>) {
    assert!(token.kill("test"));
}

#[test]
fn a_killed_token_gives_back_its_pin() {
    let (gate, _held) = held_gate();
    let tokens = [(); 3].map(|()| spawn(&gate, keyed(&KEYED, 1)));
    for (place, token) in tokens.iter().enumerate() {
        assert_eq!(pinned(&gate), 3 - place);
        kill(token);
    }
    assert!(gate.sticky().snapshot().is_empty());
    // The tombstones are no tokens of the key any more.
    let next = spawn(&gate, keyed(&KEYED, 1));
    assert_eq!(pinned(&gate), 1);
    drop(_held);
    value(next);
}

#[test]
fn a_killed_async_token_gives_back_its_pin() {
    let (gate, _held) = held_gate();
    let token = gate.spawn_async(keyed(&KEYED, 1), async {});
    kill(&token);
    assert_eq!(pinned(&gate), 0);
}

#[test]
fn a_killer_and_the_drop_of_a_kill_on_drop_do_too() {
    let (gate, _held) = held_gate();
    let killer = spawn(&gate, keyed(&KEYED, 1)).killer();
    let on_drop = spawn(&gate, keyed(&KEYED, 2)).kill_on_drop();
    assert_eq!(pinned(&gate), 2);
    assert!(killer.kill("test"));
    assert_eq!(pinned(&gate), 1);
    drop(on_drop);
    assert_eq!(pinned(&gate), 0);
}

#[test]
fn what_a_body_kills_is_given_back_before_the_body_goes_on() {
    let gate = small_gate();
    let handle = gate.handle();
    let body = gate.spawn(&OTHER, move || {
        let token = handle.spawn(serial(1), || ());
        let next = handle.spawn(serial(1), || ());
        assert!(token.kill("test"));
        (next.state(), handle.sticky().snapshot()[0].tokens, next)
    });
    let (state, pinned, next) = value(body);
    assert_eq!((state, pinned), (TokenState::Admitted, 1));
    value(next);
}

#[test]
fn a_killed_child_and_a_killed_lead_leave_their_chains() {
    let gate = small_gate();
    let (sender, receiver) = channel();
    let hold = Latch::new();
    let lead = {
        let hold = hold.clone();
        gate.spawn(&LEAD, move || {
            let handle = Handle::current().expect("in a body");
            let child = handle.spawn(&OTHER, || ());
            let nested = handle.spawn(&LEAD, || ());
            let chain = chain().expect("a lead has one");
            sender.send((chain, child, nested)).unwrap();
            hold.wait();
        })
    };
    let (chain, child, nested): (Chain, Token<()>, Token<()>) = receiver.recv().unwrap();
    // The lead, this handle, the child, the nested chain; and its lead in that.
    assert_eq!(chained(&gate), 5);
    kill(&child);
    assert_eq!(chained(&gate), 4);
    kill(&nested);
    assert_eq!(chained(&gate), 2);
    assert_eq!(gate.conductor().snapshot().len(), 1);
    drop(chain);
    hold.open();
    value(lead);
}

#[test]
fn a_killed_holder_passes_its_lane_on() {
    let (gate, held) = held_gate();
    let [first, second, third] = [(); 3].map(|()| spawn(&gate, serial(1)));
    let states = || [first.state(), second.state(), third.state()];
    assert_eq!(
        states(),
        [
            TokenState::Admitted,
            TokenState::Waiting,
            TokenState::Waiting
        ]
    );
    kill(&first);
    assert_eq!(
        states(),
        [
            TokenState::Killed,
            TokenState::Admitted,
            TokenState::Waiting
        ]
    );
    assert_eq!(pinned(&gate), 2);
    kill(&second);
    assert_eq!(third.state(), TokenState::Admitted);
    kill(&third);
    assert_eq!(pinned(&gate), 0);
    // Nobody holds the lane any more.
    let fourth = spawn(&gate, serial(1));
    assert_eq!(fourth.state(), TokenState::Admitted);
    held.release();
    value(fourth);
}

#[test]
fn one_that_is_killed_while_it_waits_gives_all_back_at_once() {
    let (gate, held) = held_gate();
    let first = spawn(&gate, serial(1));
    let second = spawn(&gate, keyed(&SERIAL_LEAD, 1));
    let third = spawn(&gate, serial(1));
    assert_eq!((pinned(&gate), chained(&gate)), (3, 1));
    kill(&second);
    assert_eq!((pinned(&gate), chained(&gate)), (2, 0));
    assert_eq!(first.state(), TokenState::Admitted);
    assert_eq!(third.state(), TokenState::Waiting);
    // Its turn is over before it has come.
    kill(&first);
    assert_eq!((pinned(&gate), third.state()), (1, TokenState::Admitted));
    held.release();
    value(third);
    wait_until("nothing is pinned", || pinned(&gate) == 0);
}

#[test]
fn a_lane_goes_on_beyond_tokens_that_were_killed_behind_a_running_holder() {
    let gate = small_gate();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let holder = Held::new(&gate.handle(), serial(1));
    let tokens: Vec<_> = (0..10_000)
        .map(|number| {
            let order = order.clone();
            gate.spawn(serial(1), move || order.lock().unwrap().push(number))
        })
        .collect();
    for token in tokens.iter().filter(|token| token.id().get() % 3 != 0) {
        assert!(token.kill("test"));
    }
    holder.release();
    let results = get_all(tokens);
    let lived = results.iter().filter(|result| result.is_ok()).count();
    let order = order.lock().unwrap();
    assert!(order.is_sorted() && order.len() == lived);
    wait_until("nothing is pinned", || pinned(&gate) == 0);
}

#[test]
fn the_body_is_gone_before_its_lane_is_passed_on() {
    let (gate, _held) = held_gate();
    let census = Census::new();
    let (dropping, go_on) = (Latch::new(), Latch::new());
    struct Slow(Latch, Latch);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.open();
            self.1.wait();
        }
    }
    let body = (Slow(dropping.clone(), go_on.clone()), census.member());
    let first = gate.spawn(serial(1), move || drop(body));
    let second = spawn(&gate, serial(1));
    let killer = first.killer();
    let killing = std::thread::spawn(move || killer.kill("test"));
    dropping.wait();
    // Resolved, and not exited.
    assert!(first.is_finished());
    assert_eq!((second.state(), pinned(&gate)), (TokenState::Waiting, 2));
    go_on.open();
    assert!(killing.join().unwrap());
    assert_eq!((second.state(), pinned(&gate)), (TokenState::Admitted, 1));
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_destructor_that_panics_holds_nothing_back() {
    let (gate, _held) = held_gate();
    let argument = PanicsInDrop;
    let first = gate.spawn(serial(1), move || drop(argument));
    let second = spawn(&gate, serial(1));
    kill(&first);
    assert_eq!((second.state(), pinned(&gate)), (TokenState::Admitted, 1));
}

#[test]
fn a_time_to_live_that_is_over_does_the_same() {
    let (gate, held) = held_gate();
    let short = Duration::from_millis(1);
    let first = spawn(&gate, serial(1).with_ttl(short));
    let second = spawn(&gate, serial(1));
    let third = spawn(&gate, serial(1).with_ttl(short));
    let fourth = spawn(&gate, keyed(&KEYED, 2).with_ttl(short));
    wait_until("three are over", || {
        [&first, &third, &fourth]
            .iter()
            .all(|token| token.is_finished())
            && pinned(&gate) == 1
    });
    assert_eq!(second.state(), TokenState::Admitted);
    kill(&second);
    assert_eq!(pinned(&gate), 0);
    held.release();
    for token in [first, third, fourth] {
        assert!(matches!(token.get(), Err(TokenError::TimedOut { .. })));
    }
}

#[test]
fn a_time_to_live_that_is_over_at_the_call_leaves_nothing_behind() {
    let gate = small_gate();
    for round in 0..2_000 {
        let call = keyed(&SERIAL_LEAD, round % 3).with_ttl(Duration::from_nanos(1));
        spawn(&gate, call).detach();
    }
    wait_until("all are gone", || pinned(&gate) == 0 && chained(&gate) == 0);
    value(spawn(&gate, serial(0)));
}

#[test]
fn a_token_that_is_paused_gives_all_back_when_it_is_killed() {
    let gate = small_gate();
    gate.pause_operation("test.serial");
    let first = spawn(&gate, serial(1));
    let second = spawn(&gate, keyed(&SERIAL_LEAD, 1));
    wait_until("it is set aside", || first.state() == TokenState::Waiting);
    assert_eq!((pinned(&gate), chained(&gate)), (2, 1));
    kill(&first);
    value(second);
    wait_until("nothing is held", || {
        pinned(&gate) == 0 && chained(&gate) == 0
    });
    gate.resume_operation("test.serial");
}

#[test]
fn calls_of_an_open_batch_give_back_too() {
    let (gate, held) = held_gate();
    let handle = gate.handle();
    let (first, second) = gate.batch(|| {
        let first = gate.spawn(serial(1), || ());
        let second = gate.spawn(serial(1), || ());
        assert_eq!(first.state(), TokenState::Created);
        // From elsewhere, as a kill here publishes first.
        let killer = first.killer();
        std::thread::spawn(move || assert!(killer.kill("test")))
            .join()
            .unwrap();
        assert_eq!(second.state(), TokenState::Created);
        (first, second)
    });
    assert_eq!(handle.sticky().snapshot()[0].tokens, 1);
    held.release();
    assert!(matches!(first.get(), Err(TokenError::Killed { .. })));
    value(second);
}

#[test]
fn a_drain_waits_for_those_behind_one_that_is_being_killed() {
    for _ in 0..200 {
        let gate = small_gate();
        let held = Held::new(&gate.handle(), &OTHER);
        let first = spawn(&gate, serial(1));
        let second = gate.spawn(serial(1), || 7);
        let killing = std::thread::spawn(move || first.kill("test"));
        held.release();
        let report = gate.shutdown(common::HANG);
        let _ = killing.join().unwrap();
        assert!(report.drained);
        assert_eq!(second.get().unwrap(), 7);
    }
}
