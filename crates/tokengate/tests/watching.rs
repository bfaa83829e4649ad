//! Recent executions, waits that have lasted long, and tracked tokens.

mod common;

use std::time::{Duration, Instant};

use common::{HANG, Held, Latch, elsewhere, lone_workers, outcome, value, wait_until};
use tokengate::{Builder, Gate, Handle, Operation, Outcome, Timing, Token, TokenError, TokenState};

static PLAIN: Operation = Operation::new("test.plain");
static FAILS: Operation = Operation::new("test.fails");
static WAITS: Operation = Operation::new("test.waits");
static AWAITED: Operation = Operation::new("test.awaited");

fn two_workers() -> Builder {
    Gate::builder().domains(lone_workers(2))
}

#[test]
fn the_last_executions_come_first_with_what_they_took_and_no_more_are_kept() {
    let began = Instant::now();
    let gate = two_workers()
        .timing(Timing::Every)
        .recent(10)
        .start()
        .unwrap();
    assert!(gate.recent().is_empty());
    for _ in 0..50 {
        value(gate.spawn(&PLAIN, || ()));
    }
    let slow = Duration::from_millis(3);
    let failed = gate.try_spawn(&FAILS, move || {
        std::thread::sleep(slow);
        Err::<(), _>("as asked")
    });
    let id = failed.id();
    assert!(matches!(outcome(failed), Err(TokenError::Failed(_))));
    let handle = gate.handle();
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    let recent = handle.recent();
    assert_eq!(recent.len(), 10);
    assert!(recent.is_sorted_by_key(|execution| std::cmp::Reverse(execution.ended)));
    let last = recent[0];
    assert_eq!(
        (last.id, last.operation, last.outcome),
        (id, &FAILS, Outcome::Error)
    );
    assert!(last.run >= slow && last.domain < 2);
    assert!(last.ended - last.run >= began && last.ended <= Instant::now());
    assert!(recent[1..].iter().all(|it| it.operation == &PLAIN));
}

#[test]
fn nothing_recent_is_kept_when_nothing_is_timed_or_wanted() {
    for builder in [
        two_workers().timing(Timing::Off),
        two_workers().timing(Timing::Every).recent(0),
    ] {
        let gate = builder.start().unwrap();
        value(gate.spawn(&PLAIN, || ()));
        let handle = gate.handle();
        assert!(elsewhere(move || gate.shutdown(HANG)).drained);
        assert!(handle.recent().is_empty());
    }
}

#[test]
fn a_wait_that_has_lasted_long_is_named_with_the_waiter_and_the_awaited() {
    let never = Duration::MAX;
    for (age, named) in [(Duration::ZERO, true), (never, false)] {
        let gate = two_workers().old_wait(age).start().unwrap();
        let release = Latch::new();
        let waiter: Token<()> = {
            let release = release.clone();
            gate.spawn(&WAITS, move || {
                let awaited = Handle::current()
                    .unwrap()
                    .spawn_async(&AWAITED, async move {
                        release.wait();
                    });
                awaited.get().unwrap();
            })
        };
        let id = waiter.id();
        // The waiter blocks, and a spare is in the body that it waits for.
        wait_until("both are on a stack", || gate.executing().len() == 2);
        if named {
            wait_until("it is named", || !gate.stats().old_waits().is_empty());
            let stats = gate.stats();
            let [wait] = stats.old_waits() else {
                panic!("{stats}");
            };
            assert_eq!(wait.waiter, Some((id, &WAITS)));
            assert_eq!(wait.awaited.len(), 1);
            assert_eq!(wait.awaited[0].1, &AWAITED);
            assert!(wait.age > Duration::ZERO);
            let text = stats.to_string();
            assert!(text.contains("OLD WAIT: test.waits"), "{text}");
            assert!(text.contains("for test.awaited"), "{text}");
        } else {
            assert!(gate.stats().old_waits().is_empty());
        }
        release.open();
        value(waiter);
        wait_until("it is forgotten", || gate.stats().old_waits().is_empty());
    }
}

#[test]
fn tracked_tokens_are_listed_from_their_call_to_their_exit() {
    let gate = two_workers().tracking(true).start().unwrap();
    let listed = |label: &'static str| {
        let tokens = gate.tokens(|token| token.operation.label() == label);
        tokens.expect("it tracks")
    };
    gate.pause_operation("test.plain");
    let waiting = gate.spawn(&PLAIN, || ());
    wait_until("it is set aside", || gate.stats().paused() == 1);
    let found = listed("test.plain");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].attempt), (waiting.id(), 1));
    assert_eq!(found[0].state, TokenState::Waiting);
    assert_eq!(found[0].domain, waiting.status().domain);

    let suspended = gate.spawn_async(&AWAITED, std::future::pending::<()>());
    wait_until("it is suspended", || gate.stats().total().suspended() == 1);
    assert_eq!(listed("test.awaited")[0].state, TokenState::Executing);
    let (entered, release) = (Latch::new(), Latch::new());
    let zombie = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(&WAITS, move || {
            entered.open();
            release.wait();
        })
    };
    entered.wait();
    assert_eq!(listed("test.waits")[0].state, TokenState::Executing);
    zombie.kill("test");
    assert_eq!(listed("test.waits")[0].state, TokenState::Killed);
    assert_eq!(gate.tokens(|_| true).unwrap().len(), 3);

    release.open();
    suspended.kill("test");
    gate.resume_operation("test.plain");
    value(waiting);
    wait_until("all are gone", || gate.tokens(|_| true).unwrap().is_empty());
    // Their handles are still there.
    assert!(zombie.is_finished() && suspended.is_finished());
}

#[test]
fn a_gate_that_does_not_track_says_so() {
    let gate = two_workers().start().unwrap();
    assert!(gate.tokens(|_| true).is_none());
}

#[test]
fn limits_that_tokens_wait_for_are_named() {
    static LIMITED: Operation = Operation::new("test.limited").with_limit(1);
    let gate = two_workers().start().unwrap();
    let held = Held::new(&gate.handle(), &LIMITED);
    // One of each round comes to the other worker.
    let waits: Vec<_> = (0..4).map(|_| gate.spawn(&LIMITED, || ())).collect();
    let state = || gate.stats().limits()[0].clone();
    wait_until("some are set aside", || state().waiting > 0);
    let text = gate.stats().to_string();
    let line = text
        .lines()
        .find(|line| line.contains("limit test.limited:"));
    assert!(
        line.is_some_and(|line| line.contains("tokens wait behind 1 of 1")),
        "{text}"
    );
    held.release();
    waits.into_iter().for_each(value);
}
