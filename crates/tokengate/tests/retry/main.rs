//! Tokens that fail run again: same token, key, chain and turn, until they succeed or may not.
//!
//! No test depends on how long anything takes: a wait between attempts is none, or an hour.

#[path = "../common/mod.rs"]
mod common;

mod ends;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Census, Held, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Attempt, Call, Chain, Gate, Handle, Key, Operation, Retried, Retry, Token, TokenError,
    TokenState, get_all, task_token_guard,
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
