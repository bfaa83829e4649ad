//! What ends a token that is retried: kills, time limits, orders, and the end of its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use smol::future::yield_now;
use tokengate::{
    Attempt, Call, Chain, Key, Operation, Phase, Retried, Retry, Token, TokenError, TokenState,
    cancelled, get_all,
};

use crate::common::{
    self, Census, Latch, elsewhere, outcome, small_gate, value, wait_until, wide_gate,
};
use crate::{FREE, IN_AN_HOUR, LATER, LEAD, PAUSED, QUICK, SHORT, backing_off};

const HOUR: Duration = Duration::from_secs(3_600);

static SERIAL_LATER: Operation = Operation::new("test.serial")
    .serial()
    .with_retry(IN_AN_HOUR);

#[track_caller]
fn assert_killed<T: std::fmt::Debug, E: std::fmt::Debug>(token: Token<T, E>) {
    let outcome = outcome(token);
    assert!(
        matches!(outcome, Err(TokenError::Killed { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_kill_between_attempts_ends_the_token_and_gives_all_back() {
    let gate = small_gate();
    let call = Call::new(&SERIAL_LATER).with_key(Key::of("test.serial", &1));
    let (first, census) = backing_off(&gate.handle(), call);
    let second = gate
        .handle()
        .submit(call, Retried::fallible(|_| Ok::<_, ()>(2)));
    assert_eq!(second.state(), TokenState::Waiting);
    assert!(first.kill("not needed"));
    assert_eq!(census.alive(), 0);
    // The lane goes on at once, though the next attempt was due in an hour.
    assert_eq!(value(second), 2);
    assert_killed(first);
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn a_kill_during_an_attempt_is_final() {
    let gate = small_gate();
    let (entered, attempts) = (Latch::new(), Arc::new(AtomicUsize::new(0)));
    let (entering, counted) = (entered.clone(), attempts.clone());
    let body = Retried::fallible(move |_| {
        counted.fetch_add(1, SeqCst);
        entering.open();
        wait_until("it is cancelled", cancelled);
        Err::<(), _>(())
    });
    let token = gate.handle().submit(&QUICK, body);
    entered.wait();
    assert!(token.kill("not needed"));
    assert_killed(token);
    // The worker is free, and nothing was left for it.
    value(gate.spawn(&FREE, || ()));
    assert_eq!(attempts.load(SeqCst), 1);
}

#[test]
fn a_timeout_limits_one_attempt() {
    let gate = small_gate();
    let limited = Call::new(&QUICK).with_timeout(Duration::from_millis(20));
    let body = Retried::fallible(|attempt: Attempt| {
        if attempt.is_last() {
            wait_until("its time is over", cancelled);
        }
        Err::<(), _>(())
    });
    let token = outcome(gate.handle().submit(limited, body));
    let Err(TokenError::TimedOut { phase, attempt, .. }) = token else {
        panic!("the last attempt takes too long: {token:?}");
    };
    // Unless the machine takes that long for an attempt that does nothing.
    assert!(phase == Phase::Executing && attempt <= 3);

    let body = Retried::fallible_future(|attempt: Attempt| async move {
        if attempt.is_last() {
            std::future::pending::<()>().await;
        }
        yield_now().await;
        Err::<(), _>(())
    });
    let token = outcome(gate.handle().submit(limited, body));
    assert!(matches!(token, Err(TokenError::TimedOut { .. })));
}

#[test]
fn the_time_between_attempts_belongs_to_no_limit() {
    let gate = small_gate();
    let call = Call::new(&LATER).with_ttl(HOUR).with_timeout(SHORT);
    let body = Retried::fallible(|_| Err::<(), _>(()));
    let mut token = gate.handle().submit(call, body);
    wait_until("it has run", || {
        token.status().attempt == 2 || token.is_finished()
    });
    // Either the attempt was too slow, or the token waits without a limit.
    if !token.is_finished() {
        assert!(token.get_timeout(20 * SHORT).is_none());
        assert!(token.kill("not needed"));
    }
}

#[test]
fn orders_reach_tokens_that_back_off() {
    let gate = small_gate();
    let (first, census) = backing_off(&gate.handle(), &LATER);
    gate.kill_operation("test.later", "not needed");
    assert_killed(first);
    wait_until("the body is gone", || census.alive() == 0);
    let (first, _census) = backing_off(&gate.handle(), &LATER);
    gate.purge_operation("test.later", "not needed");
    assert_killed(first);
    let (first, _census) = backing_off(&gate.handle(), &LATER);
    assert_eq!(gate.purge("not needed"), 1);
    assert!(first.is_finished());
    // A chain is killed with its lead.
    let (send, receive) = std::sync::mpsc::channel();
    let body = Retried::fallible(move |_| {
        let _ = send.send(Chain::current().expect("a lead has one"));
        Err::<(), _>(())
    });
    let lead = gate.handle().submit(&LEAD, body);
    let chain = receive.recv_timeout(common::HANG).unwrap();
    wait_until("it backs off", || lead.status().attempt == 2);
    chain.kill("not needed");
    drop(chain);
    assert_killed(lead);
    wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
    // An async one that was suspended before, too.
    let body = Retried::fallible_future(|_| async {
        yield_now().await;
        Err::<(), _>(())
    });
    let suspended = gate.handle().submit(&LATER, body);
    wait_until("it backs off", || suspended.status().attempt == 2);
    gate.kill_operation("test.later", "not needed");
    assert_killed(suspended);
    assert!(elsewhere(move || gate.shutdown(common::HANG)).drained);
}

#[test]
fn a_pause_holds_back_the_next_attempt() {
    let gate = small_gate();
    gate.pause_operation("test.quick");
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let body = Retried::fallible(move |attempt: Attempt| {
        counted.fetch_add(1, SeqCst);
        if attempt.is_last() { Ok(()) } else { Err(()) }
    });
    let token = gate.handle().submit(&QUICK, body);
    value(gate.spawn(&FREE, || ()));
    assert_eq!((token.state(), runs.load(SeqCst)), (TokenState::Waiting, 0));
    gate.resume_operation("test.quick");
    value(token);
    assert_eq!(runs.load(SeqCst), 3);
}

#[test]
fn a_drain_does_not_wait_for_tokens_that_were_ended_while_they_backed_off() {
    let gate = small_gate();
    let (first, _census) = backing_off(&gate.handle(), &LATER);
    let body = Retried::fallible_future(|_| async {
        yield_now().await;
        Err::<(), _>(())
    });
    let second = gate.handle().submit(&LATER, body);
    wait_until("it backs off", || second.status().attempt == 2);
    let drains = thread::spawn(move || gate.shutdown(common::HANG));
    thread::yield_now();
    assert!(first.kill("not needed") && second.kill("not needed"));
    assert!(elsewhere(move || drains.join()).unwrap().drained);
}

#[test]
fn a_drain_waits_for_tokens_that_back_off() {
    let gate = small_gate();
    let body = |attempt: Attempt| if attempt.is_last() { Ok(()) } else { Err(()) };
    let tokens: Vec<_> = (0..20)
        .map(|_| gate.handle().submit(&PAUSED, Retried::fallible(body)))
        .collect();
    let report = elsewhere(move || gate.shutdown(common::HANG));
    assert!(report.drained && report.purged == 0);
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
}

#[test]
fn a_shutdown_ends_tokens_that_back_off() {
    let gate = small_gate();
    let waiting: Vec<_> = (0..10)
        .map(|_| backing_off(&gate.handle(), &LATER))
        .collect();
    let report = elsewhere(move || gate.shutdown(SHORT));
    assert!(!report.drained && report.purged == 10 && report.stuck.is_empty());
    for (token, census) in waiting {
        assert!(token.is_finished());
        assert_eq!(census.alive(), 0);
        assert_killed(token);
    }
}

#[test]
fn a_gate_that_is_dropped_ends_tokens_that_back_off() {
    let gate = small_gate();
    let call = Call::new(&SERIAL_LATER).with_key(Key::of("test.serial", &1));
    let (first, census) = backing_off(&gate.handle(), call);
    let behind = gate
        .handle()
        .submit(call, Retried::fallible(|_| Ok::<_, ()>(2)));
    elsewhere(move || drop(gate));
    assert_eq!(census.alive(), 0);
    assert_killed(first);
    assert_killed(behind);
}

#[test]
fn a_body_that_fails_while_its_gate_ends_resolves() {
    for _ in 0..50 {
        let gate = small_gate();
        let (entered, release) = (Latch::new(), Latch::new());
        let (entering, until) = (entered.clone(), release.clone());
        let body = Retried::fallible(move |_| {
            entering.open();
            until.wait();
            Err::<(), _>("no")
        });
        let token = gate.handle().submit(&LATER, body);
        entered.wait();
        let ends = thread::spawn(move || drop(gate));
        thread::yield_now();
        release.open();
        let outcome = outcome(token);
        assert!(
            matches!(outcome, Err(TokenError::Killed { .. })),
            "{outcome:?}"
        );
        ends.join().unwrap();
    }
}

#[test]
fn every_handle_resolves_whatever_happens_to_retried_tokens() {
    static MIXED: Operation = Operation::new("test.mixed")
        .serial()
        .with_retry(Retry::new(4).with_backoff(SHORT).with_jitter().on_panic());
    let gate = wide_gate();
    let census = Census::new();
    let mut tokens = Vec::new();
    for number in 0..600_u32 {
        let call = Call::new(&MIXED).with_key(Key::of("test.mixed", &(number % 7)));
        let call = match number % 5 {
            0 => call.with_timeout(SHORT),
            1 => call.with_ttl(Duration::from_millis(20)),
            _ => call,
        };
        let argument = census.member();
        let token = if number % 2 == 0 {
            let body = move |attempt: Attempt| {
                let _ = &argument;
                assert!(number % 11 != 0, "expected");
                if attempt.number() > number % 4 {
                    Ok(())
                } else {
                    Err(())
                }
            };
            gate.handle().submit(call, Retried::fallible(body))
        } else {
            let body = move |attempt: Attempt| {
                let _ = &argument;
                async move {
                    yield_now().await;
                    if attempt.number() > number % 4 {
                        Ok(())
                    } else {
                        Err(())
                    }
                }
            };
            gate.handle().submit(call, Retried::fallible_future(body))
        };
        if number % 13 == 0 {
            thread::yield_now();
            token.kill("at random");
        }
        tokens.push(token);
    }
    let ends = thread::spawn(move || gate.shutdown(Duration::from_millis(30)));
    assert_eq!(get_all(tokens).len(), 600);
    ends.join().unwrap();
    assert_eq!(census.alive(), 0);
}
