//! Tokens that fail run again: same token, key, chain and turn, until they succeed or may not.
//!
//! No test depends on how long anything takes: a wait between attempts is none, or an hour.

mod common;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Census, Held, Latch, elsewhere, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Attempt, Call, Chain, Gate, Handle, Key, Operation, Phase, Retried, Retry, Token, TokenError,
    TokenState, cancelled, get_all, task_token_guard,
};

const AT_ONCE: Retry = Retry::new(3).with_backoff(Duration::ZERO);
const IN_AN_HOUR: Retry = Retry::new(3).with_backoff(Duration::from_secs(3_600));
const SHORT: Duration = Duration::from_millis(1);

static FREE: Operation = Operation::new("test.free");
static QUICK: Operation = Operation::new("test.quick").with_retry(AT_ONCE);
static PAUSED: Operation =
    Operation::new("test.paused").with_retry(Retry::new(3).with_backoff(SHORT));
static LATER: Operation = Operation::new("test.later").with_retry(IN_AN_HOUR);
static SERIAL: Operation = Operation::new("test.serial").serial().with_retry(AT_ONCE);
static SERIAL_LATER: Operation = Operation::new("test.serial")
    .serial()
    .with_retry(IN_AN_HOUR);
static STICKY: Operation = Operation::new("test.sticky").with_retry(IN_AN_HOUR);
static LEAD: Operation = Operation::new("test.lead")
    .with_external_calls(&["test.free"])
    .with_retry(IN_AN_HOUR);

/// A token whose first attempt has failed, and that waits for its second one; and its argument.
fn backing_off(gate: &Handle, call: impl Into<Call>) -> (Token<u32, &'static str>, Census) {
    let census = Census::new();
    let argument = census.member();
    let body = Retried::fallible(move |attempt: Attempt| {
        let _ = &argument;
        if attempt.number() == 1 {
            Err("no")
        } else {
            Ok(attempt.number())
        }
    });
    let token = gate.submit(call, body);
    wait_until("its first attempt has failed", || {
        token.status().attempt == 2
    });
    assert_eq!(token.state(), TokenState::Waiting);
    (token, census)
}

#[track_caller]
fn assert_killed<T: std::fmt::Debug, E: std::fmt::Debug>(token: Token<T, E>) {
    let outcome = outcome(token);
    assert!(
        matches!(outcome, Err(TokenError::Killed { .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_token_that_fails_runs_again_and_stays_the_same() {
    let gate = small_gate();
    let ids = Arc::new(Mutex::new(Vec::new()));
    for call in [&QUICK, &PAUSED] {
        let noted = ids.clone();
        let body = Retried::fallible(move |attempt: Attempt| {
            let current = tokengate_scheduler::current();
            noted.lock().unwrap().push(current.expect("in a body").0);
            if attempt.number() < 3 {
                Err("no")
            } else {
                Ok(attempt.number())
            }
        });
        let token = gate.handle().submit(call, body);
        let id = token.id();
        assert_eq!(value(token), 3);
        assert_eq!(ids.lock().unwrap().split_off(0), [id; 3]);
    }
}

#[test]
fn the_last_error_is_the_outcome() {
    let gate = small_gate();
    let body = |attempt: Attempt| Err::<(), _>((attempt.number(), attempt.is_last()));
    let token = gate.handle().submit(&PAUSED, Retried::fallible(body));
    assert!(matches!(outcome(token), Err(TokenError::Failed((3, true)))));
}

#[test]
fn a_panic_is_retried_only_on_request() {
    static ON_PANIC: Operation = Operation::new("test.on_panic").with_retry(AT_ONCE.on_panic());
    let gate = small_gate();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let body = move |_| -> Result<(), ()> {
        counted.fetch_add(1, SeqCst);
        panic!("expected")
    };
    let token = gate
        .handle()
        .submit(&QUICK, Retried::fallible(body.clone()));
    assert!(matches!(outcome(token), Err(TokenError::Panicked(_))));
    assert_eq!(attempts.swap(0, SeqCst), 1);
    let token = gate.handle().submit(&ON_PANIC, Retried::fallible(body));
    assert!(matches!(outcome(token), Err(TokenError::Panicked(_))));
    assert_eq!(attempts.swap(0, SeqCst), 3);
    let body = |attempt: Attempt| assert!(attempt.is_last(), "expected");
    value(gate.handle().submit(&ON_PANIC, Retried::plain(body)));
}

#[task_token_guard(
    operation_type = "test.guarded",
    tags(retry(attempts = 3, backoff = "0ms"))
)]
fn guarded(log: Arc<Mutex<Vec<String>>>, text: String) -> Result<usize, String> {
    let mut log = log.lock().unwrap();
    log.push(text.clone());
    if log.len() < 3 {
        Err(text)
    } else {
        Ok(log.len())
    }
}

#[task_token_guard(
    operation_type = "test.guarded_async",
    tags(
        serial,
        key(text),
        retry(attempts = 2, backoff = "1ms", jitter, on_panic)
    )
)]
async fn guarded_async(tries: Arc<AtomicU32>, text: String) -> String {
    yield_now().await;
    assert!(tries.fetch_add(1, SeqCst) == 1, "expected");
    text
}

#[test]
fn guarded_functions_have_their_arguments_in_each_attempt() {
    let gate = small_gate();
    let _entered = gate.enter();
    let log = Arc::default();
    assert_eq!(value(guarded(Arc::clone(&log), "a".into())), 3);
    assert_eq!(*log.lock().unwrap(), ["a", "a", "a"]);
    wait_until("the arguments are gone", || Arc::strong_count(&log) == 1);
    assert_eq!(value(guarded_async(Arc::default(), "b".into())), "b");
    let request = guarded_async::request(Arc::default(), "c".into());
    assert_eq!(value(request.submit()), "c");
    assert_eq!(guarded::operation().retry(), Some(AT_ONCE));
}

#[test]
fn a_token_between_attempts_holds_no_worker_and_no_room() {
    let gate = Gate::builder()
        .domains(common::lone_workers(1))
        .capacity(1)
        .start()
        .unwrap();
    let (waiting, _census) = backing_off(&gate.handle(), &LATER);
    // The only worker, and the only room.
    for _ in 0..100 {
        value(gate.spawn(&FREE, || ()));
    }
    assert_eq!(waiting.state(), TokenState::Waiting);
    assert!(waiting.kill("not needed"));
}

#[test]
fn a_token_between_attempts_holds_no_permit_and_takes_one_for_each() {
    static ALONE: Operation = Operation::new("test.alone")
        .with_limit(1)
        .with_retry(IN_AN_HOUR);
    static ALONE_AT_ONCE: Operation = Operation::new("test.alone")
        .with_limit(1)
        .blocking()
        .with_retry(AT_ONCE);
    let gate = wide_gate();
    let (waiting, _census) = backing_off(&gate.handle(), &ALONE);
    let inside = Arc::new(AtomicUsize::new(0));
    let tokens: Vec<_> = (0..30)
        .map(|_| {
            let inside = inside.clone();
            let body = Retried::fallible(move |attempt: Attempt| {
                assert_eq!(inside.fetch_add(1, SeqCst), 0, "two at a time");
                thread::yield_now();
                inside.fetch_sub(1, SeqCst);
                if attempt.number() == 2 {
                    Ok(())
                } else {
                    Err(())
                }
            });
            gate.handle().submit(&ALONE_AT_ONCE, body)
        })
        .collect();
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    assert_eq!(waiting.state(), TokenState::Waiting);
    assert!(waiting.kill("not needed"));
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

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_serial_key_keeps_its_order_through_retries() {
    let gate = wide_gate();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tokens = Vec::new();
    for number in 0..60 {
        let noted = order.clone();
        let note = move |attempt: Attempt| {
            noted.lock().unwrap().push((number, attempt.number()));
            if attempt.number() <= number % 3 {
                Err(())
            } else {
                Ok(())
            }
        };
        let call = Call::new(&SERIAL).with_key(Key::of("test.serial", &1));
        tokens.push(if number % 2 == 0 {
            gate.handle().submit(call, Retried::fallible(note))
        } else {
            let body = Retried::fallible_future(move |attempt| {
                let result = note(attempt);
                async move {
                    yield_now().await;
                    result
                }
            });
            gate.handle().submit(call, body)
        });
    }
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    let expected = (0..60).flat_map(|number| (1..=number % 3 + 1).map(move |n| (number, n)));
    assert!(order.lock().unwrap().iter().copied().eq(expected));
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn retries_take_their_place_behind_what_is_queued() {
    let gate = small_gate();
    let order = Arc::new(Mutex::new(Vec::new()));
    let held = Held::new(&gate.handle(), &FREE);
    let noted = order.clone();
    let body = Retried::fallible(move |attempt: Attempt| {
        noted.lock().unwrap().push("retried");
        if attempt.number() == 1 {
            Err(())
        } else {
            Ok(())
        }
    });
    let retried = gate.handle().submit(&QUICK, body);
    let noted = order.clone();
    let behind = gate.spawn(&FREE, move || noted.lock().unwrap().push("behind"));
    held.release();
    value(retried);
    value(behind);
    assert_eq!(*order.lock().unwrap(), ["retried", "behind", "retried"]);
}

#[test]
fn a_pin_and_a_chain_are_kept_between_attempts() {
    let gate = wide_gate();
    let key = Key::of("test.sticky", &1);
    let (sticky, _census) = backing_off(&gate.handle(), Call::new(&STICKY).with_key(key));
    let pinned = gate.sticky().snapshot();
    assert_eq!((pinned.len(), pinned[0].tokens), (1, 1));
    assert_eq!(gate.sticky().domain_of(key), sticky.status().domain);
    assert!(sticky.kill("not needed"));
    assert!(gate.sticky().snapshot().is_empty());

    let (lead, _census) = backing_off(&gate.handle(), &LEAD);
    assert_eq!(gate.conductor().snapshot().len(), 1);
    assert!(lead.kill("not needed"));
    assert!(gate.conductor().snapshot().is_empty());
}

#[test]
fn all_attempts_run_in_one_domain_with_their_children() {
    static LEAD: Operation = Operation::new("test.lead")
        .with_external_calls(&["test.free"])
        .with_retry(AT_ONCE);
    let gate = wide_gate();
    let handle = gate.handle();
    let body = Retried::fallible_future(move |attempt: Attempt| {
        let (handle, chain) = (handle.clone(), Chain::current().expect("a lead has one"));
        async move {
            yield_now().await;
            let child = handle.spawn(&FREE, || thread::current().id());
            let place = (child.await.unwrap(), thread::current().id(), chain.seed());
            if attempt.is_last() {
                Ok(place)
            } else {
                Err(place)
            }
        }
    });
    let (child, lead, _) = value(gate.handle().submit(&LEAD, body));
    assert_eq!(child, lead);
    wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
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
fn a_body_may_wait_for_a_token_that_backs_off() {
    let gate = small_gate();
    let handle = gate.handle();
    let parent = gate.spawn(&FREE, move || {
        let body = |attempt: Attempt| if attempt.is_last() { Ok(7) } else { Err(()) };
        handle.submit(&PAUSED, Retried::fallible(body)).get()
    });
    assert_eq!(value(parent).unwrap(), 7);
}

#[test]
fn a_storm_of_failures_ends_by_its_budget() {
    static STORM: Operation =
        Operation::new("test.storm").with_retry(Retry::new(5).with_backoff(SHORT).with_jitter());
    const TOKENS: usize = 10_000;
    let gate = wide_gate();
    let runs = Arc::new(AtomicUsize::new(0));
    let tokens: Vec<_> = (0..TOKENS)
        .map(|number| {
            let counted = runs.clone();
            let body = Retried::fallible(move |_| {
                counted.fetch_add(1, SeqCst);
                Err::<(), _>(number)
            });
            gate.handle().submit(&STORM, body)
        })
        .collect();
    for (number, result) in get_all(tokens).into_iter().enumerate() {
        assert!(matches!(result, Err(TokenError::Failed(error)) if error == number));
    }
    let retries = runs.load(SeqCst) - TOKENS;
    // A reserve of 100, and one for five first attempts.
    assert!((100..=100 + TOKENS / 5).contains(&retries), "{retries}");
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
