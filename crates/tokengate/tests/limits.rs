//! A limit lets so many tokens execute at once, in order, whatever becomes of them.

mod common;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{HANG, Held, Latch, elsewhere, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Attempt, Call, Gate, Handle, Key, LimitState, Operation, Retried, Retry, Token, TokenError,
    TokenState, get_all, task_token_guard,
};

static TWO: Operation = Operation::new("test.two").with_limit(2);
static ONE: Operation = Operation::new("test.one").with_limit(1);
static PLAIN: Operation = Operation::new("test.plain");
static SERIAL: Operation = Operation::new("test.serial").serial().with_limit(1);
static LEFT: Operation = Operation::new("test.left").with_limit_group("test.group", 3);
static RETRIED: Operation = Operation::new("test.retried")
    .with_limit(1)
    .with_retry(Retry::new(3).with_backoff(Duration::from_secs(3_600)));
static AGAIN: Operation = Operation::new("test.again")
    .with_limit(2)
    .with_retry(Retry::new(3).with_backoff(Duration::ZERO));
static RIGHT: Operation = Operation::new("test.right").with_limit_group("test.group", 2);

fn current() -> Handle {
    Handle::current().expect("in a body")
}

fn limit(gate: &Gate, name: &str) -> LimitState {
    let mut limits = gate.limits().into_iter();
    limits
        .find(|limit| limit.name == name)
        .expect("it is known")
}

/// Waits until so many are set aside.
fn wait_until_aside(gate: &Gate, name: &str, count: usize) {
    wait_until("workers set the tokens aside", || {
        limit(gate, name).waiting == count
    });
}

/// No permit is taken, and nobody waits for one.
fn assert_free(gate: &Gate, name: &str) {
    let now = limit(gate, name);
    assert_eq!((now.executing, now.waiting), (0, 0));
}

/// Counts the bodies that run, and how many ever did at once.
#[derive(Clone, Default)]
struct Crowd(Arc<(AtomicUsize, AtomicUsize)>);

impl Crowd {
    fn enter(&self) -> Inside {
        let inside = self.0.0.fetch_add(1, SeqCst) + 1;
        self.0.1.fetch_max(inside, SeqCst);
        Inside(self.clone())
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

/// A body in the crowd, until it is dropped.
struct Inside(Crowd);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, SeqCst);
    }
}

#[test]
fn so_many_execute_at_once_whoever_calls() {
    let gate = wide_gate();
    let crowd = Crowd::default();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (handle, crowd) = (gate.handle(), crowd.clone());
            std::thread::spawn(move || {
                let tokens = (0..200).map(|n| {
                    let crowd = crowd.clone();
                    handle.spawn(&TWO, move || {
                        let _inside = crowd.enter();
                        std::thread::yield_now();
                        assert!(n % 17 != 0, "a body that panics");
                    })
                });
                let results = get_all(tokens.collect::<Vec<_>>());
                results.iter().filter(|result| result.is_err()).count()
            })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 12);
    }
    assert!(crowd.most() <= 2, "{} at once", crowd.most());
    assert_free(&gate, "test.two");
}

#[test]
fn an_async_body_counts_until_it_exits() {
    let gate = wide_gate();
    let crowd = Crowd::default();
    let tokens: Vec<_> = (0..300)
        .map(|n| {
            let crowd = crowd.clone();
            gate.spawn_async(&TWO, async move {
                let _inside = crowd.enter();
                for _ in 0..n % 5 {
                    yield_now().await;
                }
            })
        })
        .collect();
    tokens.into_iter().for_each(value);
    assert!(crowd.most() <= 2, "{} at once", crowd.most());
    assert_free(&gate, "test.two");
}

#[test]
fn those_that_wait_go_on_in_order_and_hold_no_worker() {
    let gate = small_gate();
    let order: Arc<Mutex<Vec<usize>>> = Arc::default();
    let started = Latch::new();
    let release = Latch::new();
    // It holds its permit and no worker.
    let first = {
        let (started, release) = (started.clone(), release.clone());
        gate.spawn_async(&ONE, async move {
            started.open();
            while !release.is_open() {
                yield_now().await;
            }
        })
    };
    started.wait();
    let waiting: Vec<_> = (0..50)
        .map(|n| {
            let order = order.clone();
            gate.spawn(&ONE, move || order.lock().unwrap().push(n))
        })
        .collect();
    wait_until_aside(&gate, "test.one", 50);
    assert!(
        waiting
            .iter()
            .all(|token| token.state() == TokenState::Waiting)
    );
    assert_eq!(value(gate.spawn(&PLAIN, || 7)), 7);
    release.open();
    value(first);
    waiting.into_iter().for_each(value);
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    assert_free(&gate, "test.one");
}

#[test]
fn a_zombie_keeps_its_permit() {
    let gate = wide_gate();
    let release = Latch::new();
    let started = Latch::new();
    let zombie = {
        let (started, release) = (started.clone(), release.clone());
        gate.spawn(&ONE, move || {
            started.open();
            release.wait();
        })
    };
    started.wait();
    assert!(zombie.kill("not needed"));
    assert!(outcome(zombie).is_err());
    // The worker of one domain is in that body, and the others set theirs aside.
    let next: Vec<_> = (0..64).map(|_| gate.spawn(&ONE, || ())).collect();
    wait_until("one is set aside", || limit(&gate, "test.one").waiting > 0);
    assert!(!next.iter().any(Token::is_finished));
    release.open();
    next.into_iter().for_each(value);
    assert_free(&gate, "test.one");
}

#[test]
fn a_token_that_is_killed_while_it_waits_takes_no_permit() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &ONE);
    // The worker is in that body; another one sets these aside.
    drop(held);
    let release = Latch::new();
    let first = {
        let release = release.clone();
        gate.spawn_async(&ONE, async move {
            while !release.is_open() {
                yield_now().await;
            }
        })
    };
    let tokens: Vec<_> = (0..10).map(|n| gate.spawn(&ONE, move || n)).collect();
    wait_until_aside(&gate, "test.one", 10);
    for token in &tokens[2..8] {
        assert!(token.kill("not needed"));
    }
    release.open();
    value(first);
    let results: Vec<_> = tokens
        .into_iter()
        .map(|token| outcome(token).ok())
        .collect();
    let expected = [0, 1, 8, 9].map(Some);
    assert_eq!([&results[..2], &results[8..]].concat(), expected);
    assert!(results[2..8].iter().all(Option::is_none));
    wait_until("all permits come back", || {
        limit(&gate, "test.one").executing == 0
    });
    assert_free(&gate, "test.one");
}

#[test]
fn kills_under_load_lose_no_permit() {
    let gate = wide_gate();
    for _ in 0..20 {
        let tokens: Vec<_> = (0..100)
            .map(|n| gate.spawn(&TWO, move || std::hint::black_box(n)))
            .collect();
        for token in tokens.iter().step_by(3) {
            token.kill("not needed");
        }
        for token in tokens {
            let _ = outcome(token);
        }
    }
    wait_until("all permits come back", || {
        let now = limit(&gate, "test.two");
        (now.executing, now.waiting) == (0, 0)
    });
    value(gate.spawn(&TWO, || ()));
}

/// Async bodies that run until they are told to end.
fn endless(gate: &Gate, crowd: &Crowd, release: &Latch, count: usize) -> Vec<Token<()>> {
    (0..count)
        .map(|_| {
            let (crowd, release) = (crowd.clone(), release.clone());
            gate.spawn_async(&TWO, async move {
                let _inside = crowd.enter();
                while !release.is_open() {
                    yield_now().await;
                }
            })
        })
        .collect()
}

#[test]
fn a_limit_that_is_raised_lets_those_that_wait_start() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let tokens = endless(&gate, &crowd, &release, 10);
    wait_until_aside(&gate, "test.two", 8);
    gate.set_limit("test.two", 7);
    wait_until_aside(&gate, "test.two", 3);
    wait_until("seven execute", || crowd.most() == 7);
    release.open();
    tokens.into_iter().for_each(value);
    assert_eq!(crowd.most(), 7);
    assert_free(&gate, "test.two");
}

#[test]
fn a_limit_that_is_lowered_lets_those_that_execute_finish() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    gate.set_limit("test.two", 4);
    let tokens = endless(&gate, &crowd, &release, 4);
    wait_until("four execute", || crowd.most() == 4);
    gate.set_limit("test.two", 1);
    let now = limit(&gate, "test.two");
    assert_eq!((now.size, now.executing), (1, 4));
    let later = Crowd::default();
    let more: Vec<_> = (0..10)
        .map(|_| {
            let later = later.clone();
            gate.spawn_async(&TWO, async move {
                let _inside = later.enter();
                yield_now().await;
            })
        })
        .collect();
    wait_until_aside(&gate, "test.two", 10);
    release.open();
    tokens.into_iter().for_each(value);
    more.into_iter().for_each(value);
    assert_eq!(later.most(), 1);
    assert_free(&gate, "test.two");
}

#[test]
fn a_group_is_shared_and_has_the_smallest_declared_size() {
    let gate = small_gate();
    value(gate.spawn(&LEFT, || ()));
    assert_eq!(limit(&gate, "test.group").size, 3);
    value(gate.spawn(&RIGHT, || ()));
    assert_eq!(limit(&gate, "test.group").size, 2);
    value(gate.spawn(&LEFT, || ()));
    assert_eq!(limit(&gate, "test.group").size, 2);
    gate.set_limit("test.group", 5);
    value(gate.spawn(&RIGHT, || ()));
    assert_eq!(limit(&gate, "test.group").size, 5);
}

#[test]
fn a_size_can_be_set_before_the_first_call() {
    let gate = small_gate();
    gate.set_limit("test.two", 9);
    value(gate.spawn(&TWO, || ()));
    assert_eq!(limit(&gate, "test.two").size, 9);
    gate.set_limit("test.two", 0);
    assert_eq!(limit(&gate, "test.two").size, 1);
}

#[test]
fn gates_have_limits_of_their_own() {
    let (one, other) = (small_gate(), small_gate());
    let held = Held::new(&one.handle(), &ONE);
    value(other.spawn(&ONE, || ()));
    held.release();
}

#[test]
fn a_lane_whose_head_waits_for_a_permit_keeps_its_order() {
    let gate = wide_gate();
    let order: Arc<Mutex<Vec<(u64, usize)>>> = Arc::default();
    let crowd = Crowd::default();
    let tokens: Vec<_> = (0..200)
        .map(|n| {
            let (order, crowd) = (order.clone(), crowd.clone());
            let key = n as u64 % 4;
            let call = Call::new(&SERIAL).with_key(Key::of("test", &key));
            gate.spawn(call, move || {
                let _inside = crowd.enter();
                order.lock().unwrap().push((key, n));
            })
        })
        .collect();
    tokens.into_iter().for_each(value);
    assert_eq!(crowd.most(), 1);
    let order = order.lock().unwrap();
    for key in 0..4 {
        let of_key = order.iter().filter(|(other, _)| *other == key);
        assert!(of_key.map(|&(_, n)| n).is_sorted());
    }
    assert_free(&gate, "test.serial");
}

#[test]
fn a_waiter_runs_in_place_only_what_has_a_permit_free() {
    elsewhere(|| {
        let gate = small_gate();
        let thread = gate.spawn(&PLAIN, || {
            let own = std::thread::current().id();
            let inner = current().spawn(&TWO, || std::thread::current().id());
            inner.get().unwrap() == own
        });
        assert!(value(thread), "a permit was free");
        let body = gate.spawn(&TWO, || {
            let inner = current().spawn(&TWO, || {
                let third = current().spawn(&PLAIN, || 7);
                third.get().unwrap()
            });
            inner.get().unwrap()
        });
        assert_eq!(value(body), 7);
        assert_free(&gate, "test.two");
    });
}

#[test]
fn a_paused_token_gives_its_permit_back() {
    let gate = small_gate();
    let (left, right) = (Latch::new(), Latch::new());
    let hold = |release: &Latch| {
        let release = release.clone();
        async move {
            while !release.is_open() {
                yield_now().await;
            }
        }
    };
    gate.set_limit("test.group", 1);
    let first = gate.spawn_async(&LEFT, hold(&left));
    wait_until("it executes", || first.state() == TokenState::Executing);
    let second = gate.spawn(&LEFT, || 2);
    wait_until_aside(&gate, "test.group", 1);
    // The worker is held, so that the second is granted its permit and not started.
    let held = Held::new(&gate.handle(), &PLAIN);
    gate.pause_operation("test.left");
    left.open();
    held.release();
    value(first);
    wait_until("it is paused", || second.state() == TokenState::Waiting);
    let third = gate.spawn_async(&RIGHT, hold(&right));
    right.open();
    value(third);
    gate.resume_operation("test.left");
    assert_eq!(value(second), 2);
    assert_free(&gate, "test.group");
}

#[test]
fn what_waits_is_purged_with_the_gate_and_by_operation() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let executing = endless(&gate, &crowd, &release, 2);
    let waiting = endless(&gate, &crowd, &release, 5);
    wait_until_aside(&gate, "test.two", 5);
    gate.purge_operation("test.two", "not needed");
    for token in waiting {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
    let waiting = endless(&gate, &crowd, &release, 5);
    wait_until_aside(&gate, "test.two", 5);
    assert_eq!(gate.purge("not needed"), 5);
    assert!(waiting.iter().all(Token::is_finished));
    release.open();
    executing.into_iter().for_each(value);
    assert_free(&gate, "test.two");
}

#[test]
fn a_drain_waits_for_those_that_wait() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let tokens = endless(&gate, &crowd, &release, 6);
    wait_until_aside(&gate, "test.two", 4);
    let report = gate.drain(Duration::ZERO);
    assert!(!report.finished);
    release.open();
    assert!(gate.drain(HANG).finished);
    assert!(
        tokens
            .iter()
            .all(|token| token.state() == TokenState::Completed)
    );
}

#[test]
fn a_shutdown_ends_those_that_wait() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let tokens = endless(&gate, &crowd, &release, 20);
    wait_until_aside(&gate, "test.two", 18);
    let report = gate.shutdown(Duration::ZERO);
    assert!(report.stuck.is_empty());
    for token in tokens {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
}

#[test]
fn a_drop_ends_those_that_wait() {
    let gate = wide_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let tokens = endless(&gate, &crowd, &release, 20);
    wait_until_aside(&gate, "test.two", 18);
    drop(gate);
    assert!(tokens.iter().all(Token::is_finished));
}

#[test]
fn a_ttl_runs_while_a_token_waits_for_a_permit() {
    let gate = small_gate();
    let (crowd, release) = (Crowd::default(), Latch::new());
    let executing = endless(&gate, &crowd, &release, 2);
    let late = Call::new(&TWO).with_ttl(Duration::from_millis(1));
    let late = gate.spawn(late, || ());
    assert!(matches!(outcome(late), Err(TokenError::TimedOut { .. })));
    release.open();
    executing.into_iter().for_each(value);
}

#[test]
fn between_two_attempts_a_token_has_no_permit() {
    let gate = small_gate();
    let fails_once = || {
        Retried::fallible(|attempt: Attempt| match attempt.number() {
            1 => Err("no"),
            n => Ok(n),
        })
    };
    let failing = gate.handle().submit(&RETRIED, fails_once());
    wait_until("its first attempt has failed", || {
        failing.status().attempt == 2
    });
    // Which waits an hour for the next one.
    assert_eq!(value(gate.spawn(&RETRIED, || 7)), 7);
    assert_free(&gate, "test.retried");
    assert!(failing.kill("not needed"));
    let again: Vec<_> = (0..50)
        .map(|_| gate.handle().submit(&AGAIN, fails_once()))
        .collect();
    for token in again {
        assert_eq!(value(token), 2);
    }
    assert_free(&gate, "test.again");
}

#[task_token_guard(operation_type = "test.tagged", tags(limit("test.tags", 3)))]
fn tagged(n: u64) -> u64 {
    n + 1
}

#[test]
fn the_tag_limits_a_guarded_function() {
    let gate = small_gate();
    let _entered = gate.enter();
    assert_eq!(value(tagged(1)), 2);
    assert_eq!(limit(&gate, "test.tags").size, 3);
}
