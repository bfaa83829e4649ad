//! A blocking wait that can never end for want of a permit is refused, and the gate goes on.

mod common;

use std::time::Duration;

use common::{Latch, elsewhere, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Call, DeadlockCause, Gate, Handle, Key, Operation, Token, TokenError, TokenState, get_all,
    join_all,
};

static ONE: Operation = Operation::new("test.one").with_limit(1);
static TWO: Operation = Operation::new("test.two").with_limit(2);
static PLAIN: Operation = Operation::new("test.plain");
static LEFT: Operation = Operation::new("test.left").with_limit_group("test.lefts", 1);
static RIGHT: Operation = Operation::new("test.right").with_limit_group("test.rights", 1);
static SERIAL: Operation = Operation::new("test.serial").serial();

fn current() -> Handle {
    Handle::current().expect("in a body")
}

fn serial(key: u64) -> Call {
    Call::new(&SERIAL).with_key(Key::of("test", &key))
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

/// Every limit has all its permits, and gives them out.
fn assert_goes_on(gate: &Gate) {
    let calls: [Call; 6] = [
        (&ONE).into(),
        (&TWO).into(),
        (&PLAIN).into(),
        (&LEFT).into(),
        (&RIGHT).into(),
        serial(1),
    ];
    for call in calls {
        value(gate.spawn(call, || ()));
    }
    wait_until("all permits are back", || {
        let limits = gate.limits();
        limits
            .iter()
            .all(|limit| (limit.executing, limit.waiting) == (0, 0))
    });
}

#[test]
fn the_only_permit_is_the_own_one() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(&ONE, || {
            let mut inner = current().spawn(&ONE, || 7);
            let with_limit = refused(
                inner
                    .get_timeout(Duration::from_secs(3600))
                    .expect("at once"),
            );
            (with_limit.0, refused(inner.get()).0)
        });
        let cause = DeadlockCause::OwnPermit;
        assert_eq!(value(body), (cause, cause));
        assert_goes_on(&gate);
    });
}

#[test]
fn the_only_permit_is_held_below_on_the_stack() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(&ONE, || {
            let between = current().spawn(&PLAIN, || {
                let inner = current().spawn(&ONE, || 7);
                refused(inner.get()).0
            });
            between.get().unwrap()
        });
        assert_eq!(value(body), DeadlockCause::OwnPermit);
        assert_goes_on(&gate);
    });
}

#[test]
fn both_permits_are_held_on_one_stack() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(&TWO, || {
            let second = current().spawn(&TWO, || {
                let third = current().spawn(&TWO, || 7);
                refused(third.get()).0
            });
            second.get().unwrap()
        });
        assert_eq!(value(body), DeadlockCause::OwnPermit);
        assert_goes_on(&gate);
    });
}

#[test]
fn awaited_in_a_body_that_has_the_only_permit() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn_async(&ONE, async {
            let mut inner = current().spawn(&ONE, || 7);
            let one = refused((&mut inner).await).0;
            let many = join_all([inner, current().spawn(&PLAIN, || 8)]).await;
            (one, many[0].is_err())
        });
        assert_eq!(value(body), (DeadlockCause::OwnPermit, true));
        assert_goes_on(&gate);
    });
}

/// A body that meets the other one, then blocks on a token of that call. It holds no worker before.
async fn meet_and_wait(
    latches: [Latch; 2],
    own: usize,
    to: Handle,
    other: Call,
) -> Result<u64, TokenError> {
    latches[own].open();
    while !latches[1 - own].is_open() {
        yield_now().await;
    }
    to.spawn(other, || 7).get()
}

/// A body of each call waits for a token of the other one when both have started.
fn crosswise(gates: [&Gate; 2], calls: [fn() -> Call; 2]) -> Vec<Result<u64, TokenError>> {
    let latches = [Latch::new(), Latch::new()];
    let bodies = [0, 1].map(|own: usize| {
        let (to, other) = (gates[1 - own].handle(), calls[1 - own]());
        let body = meet_and_wait(latches.clone(), own, to, other);
        gates[own].spawn_async(calls[own](), body)
    });
    bodies.map(value).into_iter().collect()
}

/// The last one of the two had a cycle before it, and the other one went on when it had exited.
#[track_caller]
fn assert_one_is_refused(results: Vec<Result<u64, TokenError>>) {
    let (ends, refusals): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((ends.len(), refusals.len()), (1, 1));
    for refusal in refusals {
        let (cause, through) = refused(refusal);
        assert_eq!((cause, through.len()), (DeadlockCause::Cycle, 2));
    }
}

/// In one domain, where spares take part, and in several.
fn in_gates(calls: [fn() -> Call; 2]) {
    elsewhere(move || {
        for gate in [small_gate, wide_gate].into_iter().cycle().take(20) {
            let gate = gate();
            assert_one_is_refused(crosswise([&gate, &gate], calls));
            assert_goes_on(&gate);
        }
    });
}

#[test]
fn both_holders_wait_for_a_third() {
    in_gates([|| (&TWO).into(), || (&TWO).into()]);
}

#[test]
fn two_groups_crosswise() {
    in_gates([|| (&LEFT).into(), || (&RIGHT).into()]);
}

#[test]
fn a_lane_and_a_limit_crosswise() {
    in_gates([|| serial(1), || (&ONE).into()]);
}

#[test]
fn limits_of_two_gates_crosswise() {
    elsewhere(|| {
        let (gate, other) = (small_gate(), small_gate());
        let calls: [fn() -> Call; 2] = [|| (&ONE).into(), || (&ONE).into()];
        assert_one_is_refused(crosswise([&gate, &other], calls));
        assert_goes_on(&gate);
        assert_goes_on(&other);
    });
}

#[test]
fn three_holders_of_two_limits() {
    elsewhere(|| {
        // The left one waits for a right one, and the two permits of that are held by bodies which wait
        // for a left one: neither of them alone is a cycle.
        let gate = small_gate();
        gate.set_limit("test.rights", 2);
        let meeting = [Latch::new(), Latch::new(), Latch::new()];
        let calls: [fn() -> Call; 3] = [|| (&LEFT).into(), || (&RIGHT).into(), || (&RIGHT).into()];
        let bodies = [0, 1, 2].map(|own: usize| {
            let (latches, to) = (meeting.clone(), gate.handle());
            gate.spawn_async(calls[own](), async move {
                latches[own].open();
                while !latches.iter().all(Latch::is_open) {
                    yield_now().await;
                }
                let other = if own == 0 { calls[1] } else { calls[0] };
                to.spawn(other(), || 7).get()
            })
        });
        let results = bodies.map(value);
        let refusals = results.iter().filter(|result| result.is_err()).count();
        assert_eq!(refusals, 1, "the last one makes it hopeless: {results:?}");
        assert_goes_on(&gate);
    });
}

#[test]
fn a_holder_that_does_not_wait_is_enough() {
    elsewhere(|| {
        let gate = small_gate();
        let release = Latch::new();
        let free = {
            let release = release.clone();
            gate.spawn_async(&TWO, async move {
                while !release.is_open() {
                    yield_now().await;
                }
            })
        };
        wait_until("it executes", || free.state() == TokenState::Executing);
        let waits = gate.spawn(&TWO, move || {
            let third = current().spawn(&TWO, || 7);
            current().spawn(&PLAIN, move || release.open()).detach();
            third.get().unwrap()
        });
        assert_eq!(value(waits), 7);
        value(free);
        assert_goes_on(&gate);
    });
}

#[test]
fn many_of_which_one_needs_the_own_permit() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn(&ONE, || {
            let free = current().spawn(&PLAIN, || 1);
            let inner = current().spawn(&ONE, || 2);
            let mut results = get_all([free, inner]);
            let cause = refused(results.pop().unwrap()).0;
            (cause, results.pop().unwrap().is_ok())
        });
        assert_eq!(value(body), (DeadlockCause::OwnPermit, true));
        assert_goes_on(&gate);
    });
}

#[test]
fn a_raised_limit_makes_room_for_such_a_wait() {
    elsewhere(|| {
        let gate = small_gate();
        gate.set_limit("test.one", 2);
        let body = gate.spawn(&ONE, || current().spawn(&ONE, || 7).get().unwrap());
        assert_eq!(value(body), 7);
        gate.set_limit("test.one", 1);
        let body: Token<_> = gate.spawn(&ONE, || refused(current().spawn(&ONE, || 7).get()).0);
        assert!(matches!(outcome(body), Ok(DeadlockCause::OwnPermit)));
        assert_goes_on(&gate);
    });
}
