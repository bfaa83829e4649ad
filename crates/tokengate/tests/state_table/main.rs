//! Every state of a token against every control: what its handle gives, and that it leaves nothing.
//!
//! The table says what becomes of the token; for each cell the token behind it in its lane goes on as
//! the control lets it, and lane, chain,
//! permit and credit are free in the end.

#[path = "../common/mod.rs"]
mod common;
mod stages;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::{HANG, count_panics, lone_workers, outcome, wait_until};
use stages::{SUBJECT, Stage, Staged};
use tokengate::{Call, Full, Gate, Operation, Phase, Token, TokenError};
use tokengate_scheduler::Plain;

static OTHER: Operation = Operation::new("table.room");

/// How many root tokens there is room for.
const CAPACITY: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Kill,
    KillOperation,
    PurgeOperation,
    Purge,
    Ttl,
    Timeout,
    Pause,
    Drain,
    Shutdown,
    Drop,
}

use Control::*;

/// What the handle gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gives {
    Value,
    Killed,
    /// Its `ttl` was over.
    Waited,
    /// Its `timeout` was over.
    Overrun,
    Rejected,
    /// Nothing: it waits on, until the test ends it.
    Nothing,
}

use Gives::*;

const CONTROLS: [Control; 10] = [
    Kill,
    KillOperation,
    PurgeOperation,
    Purge,
    Ttl,
    Timeout,
    Pause,
    Drain,
    Shutdown,
    Drop,
];

#[rustfmt::skip]
const TABLE: [(Stage, [Gives; CONTROLS.len()]); 13] = [
    //                  kill    by op.  purge   purge   ttl     timeout  pause  drain  shutdown  drop
    //                                  by op.  all
    (Stage::Created,   [Killed, Killed, Killed, Killed, Waited, Value,   Value, Value, Rejected, Rejected]),
    (Stage::Behind,    [Killed, Killed, Killed, Killed, Waited, Value,   Value, Value, Killed,   Killed]),
    (Stage::Queued,    [Killed, Killed, Killed, Killed, Waited, Value,   Value, Value, Killed,   Killed]),
    (Stage::Paused,    [Killed, Killed, Killed, Killed, Waited, Value,   Value, Value, Killed,   Killed]),
    (Stage::Limited,   [Killed, Killed, Killed, Killed, Waited, Value,   Value, Value, Killed,   Killed]),
    (Stage::Executing, [Killed, Killed, Value,  Value,  Value,  Overrun, Value, Value, Killed,   Value]),
    (Stage::Polled,    [Killed, Killed, Value,  Value,  Value,  Overrun, Value, Value, Killed,   Value]),
    (Stage::Suspended, [Killed, Killed, Value,  Value,  Value,  Overrun, Value, Value, Killed,   Killed]),
    (Stage::Woken,     [Killed, Killed, Value,  Value,  Value,  Overrun, Value, Value, Killed,   Killed]),
    (Stage::Zombie,    [Killed, Killed, Killed, Killed, Killed, Killed,  Killed, Killed, Killed, Killed]),
    (Stage::BackingOff,  [Killed, Killed, Killed, Killed, Nothing, Nothing, Nothing, Nothing, Killed, Killed]),
    (Stage::PausedAgain, [Killed, Killed, Killed, Killed, Value,  Value,   Value, Value, Killed,   Killed]),
    (Stage::Done,      [Value,  Value,  Value,  Value,  Value,  Value,   Value, Value, Value,    Value]),
];

impl Control {
    /// The call that the control is for; with this limit, if it is one of time.
    fn call(self, stage: Stage, limit: Duration) -> Call {
        let call = Call::new(stage.operation());
        match self {
            Ttl => call.with_ttl(limit),
            Timeout => call.with_timeout(limit),
            _ => call,
        }
    }

    fn ends_the_gate(self) -> bool {
        matches!(self, Shutdown | Drop)
    }
}

#[test]
fn every_control_does_to_every_state_what_the_table_says() {
    let panics = count_panics();
    for (stage, row) in TABLE {
        for (control, expected) in CONTROLS.into_iter().zip(row) {
            check(stage, control, expected);
            assert_eq!(panics.load(SeqCst), 0, "{stage:?} and {control:?}");
        }
    }
}

/// With longer and longer limits, since a slow machine may need more than a short one.
fn check(stage: Stage, control: Control, expected: Gives) {
    let mut limit = Duration::from_millis(2);
    loop {
        let found = try_once(stage, control, expected, limit);
        if found == Some(expected) {
            return;
        }
        let may_be_slow = matches!(control, Ttl | Timeout) && limit < HANG / 6;
        assert!(may_be_slow, "{stage:?} and {control:?}: {found:?}");
        limit *= 2;
    }
}

/// What the handle gave; nothing if the token ran out of time before it was in the state.
fn try_once(stage: Stage, control: Control, expected: Gives, limit: Duration) -> Option<Gives> {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(CAPACITY)
        .on_full(Full::Reject)
        .start()
        .expect("a gate starts");
    let staged = Staged::new(&gate, stage, control.call(stage, limit))?;
    let (token, follower) = if control.ends_the_gate() {
        end_gate(gate, stage, control, staged)
    } else {
        let both = apply(&gate, stage, control, expected, limit, staged);
        let found = finish(&gate, stage, control, both);
        // The test has ended it.
        let is_nothing = expected == Nothing && found == Killed;
        return Some(if is_nothing { Nothing } else { found });
    };
    let found = gives(token);
    let follower = gives(follower);
    let ended = matches!(follower, Killed | Rejected) || stage == Stage::Done && follower == Value;
    assert!(
        ended,
        "{stage:?} and {control:?}: the follower gives {follower:?}"
    );
    Some(found)
}

fn apply(
    gate: &Gate,
    stage: Stage,
    control: Control,
    expected: Gives,
    limit: Duration,
    staged: Staged,
) -> (Token<u32>, Token<u32>) {
    match control {
        Kill => assert_eq!(
            staged.token.kill("control"),
            expected == Killed && stage != Stage::Zombie
        ),
        KillOperation => drop(gate.kill_operation(SUBJECT.label(), "control")),
        PurgeOperation => gate.purge_operation(SUBJECT.label(), "control"),
        Purge => drop(gate.purge("control")),
        Ttl | Timeout => {
            if matches!(expected, Waited | Overrun) {
                wait_until("its time is over", || staged.token.is_finished());
            } else {
                std::thread::sleep(2 * limit);
                assert!(staged.is_in(stage), "{stage:?} and {control:?}");
            }
        }
        Pause => gate.pause(),
        Drain => drop(gate.drain(Duration::ZERO)),
        Shutdown | Drop => unreachable!("they need the gate itself"),
    }
    assert!(
        expected != Nothing || staged.is_in(stage),
        "{stage:?} and {control:?}"
    );
    let both = staged.go_on(Some(gate));
    if control == Pause {
        let waits = stage.starts();
        // A worker that goes on: what is paused is still there.
        assert!(!waits || !both.0.is_finished(), "{stage:?} is not paused");
        gate.resume();
    }
    both
}

/// Waits for both tokens, and looks whether they have left anything.
fn finish(
    gate: &Gate,
    stage: Stage,
    control: Control,
    (token, follower): (Token<u32>, Token<u32>),
) -> Gives {
    let found = gives(token);
    let follower = gives(follower);
    let is_ended_too = matches!(control, KillOperation | PurgeOperation | Purge);
    let expected = if is_ended_too { Killed } else { Value };
    // Behind one that has returned it may have run before.
    let fits = follower == expected || stage == Stage::Done && follower == Value;
    assert!(
        fits,
        "{stage:?} and {control:?}: the follower gives {follower:?}"
    );
    wait_until("lane and chain are given back", || {
        gate.sticky().snapshot().is_empty() && gate.conductor().snapshot().is_empty()
    });
    wait_until("permits are given back", || {
        let limits = gate.limits();
        limits
            .iter()
            .all(|limit| limit.executing + limit.waiting == 0)
    });
    if control == Drain {
        let report = gate.drain(HANG);
        assert!(report.finished && report.paused == 0);
    } else {
        assert_room(gate, &format!("{stage:?} and {control:?}"));
    }
    found
}

/// All credits are back.
fn assert_room(gate: &Gate, what: &str) {
    gate.pause();
    let handle = gate.handle();
    let tokens: Vec<_> = (0..CAPACITY)
        .map(|_| {
            let submitted = handle.submit_timeout(&OTHER, Plain::new(|| ()), HANG);
            submitted.unwrap_or_else(|_| panic!("a credit is missing: {what}"))
        })
        .collect();
    assert!(
        handle.try_submit(&OTHER, Plain::new(|| ())).is_err(),
        "there is one too many"
    );
    gate.resume();
    for token in tokens {
        outcome(token).expect("a value");
    }
}

/// Shuts the gate down or drops it, and lets the token go on.
fn end_gate(
    gate: Gate,
    stage: Stage,
    control: Control,
    staged: Staged,
) -> (Token<u32>, Token<u32>) {
    let handle = gate.handle();
    let ending = std::thread::spawn(move || match control {
        Shutdown => drop(gate.shutdown(Duration::ZERO)),
        _ => drop(gate),
    });
    wait_until("the gate ends", || handle.is_closed());
    // Those that do not end by themselves would keep the gate.
    let is_held = match stage {
        Stage::Behind | Stage::Queued | Stage::Woken | Stage::Zombie => true,
        Stage::Executing | Stage::Polled => control == Drop,
        _ => false,
    };
    if is_held {
        if !matches!(stage, Stage::Executing | Stage::Polled) {
            // The end reaches them though their worker is busy.
            wait_until("both tokens are ended", || {
                staged.token.is_finished() && staged.follower.is_finished()
            });
        }
        let both = staged.go_on(None);
        ending.join().expect("the end does not panic");
        both
    } else {
        ending.join().expect("the end does not panic");
        staged.go_on(None)
    }
}

fn gives(token: Token<u32>) -> Gives {
    match outcome(token) {
        Ok(_) => Value,
        Err(TokenError::Killed { .. }) => Killed,
        Err(TokenError::Rejected(_)) => Rejected,
        Err(TokenError::TimedOut {
            phase: Phase::Waiting,
            ..
        }) => Waited,
        Err(TokenError::TimedOut { .. }) => Overrun,
        Err(other) => panic!("{other}"),
    }
}
