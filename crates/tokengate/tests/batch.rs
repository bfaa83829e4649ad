//! Calls in a batch scope: what is published when, and what becomes of a token before that.
//!
//! A call is deferred as long as nothing asks for it; each test shows both the deferring and what
//! ends it.

mod common;

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use common::{
    Census, Held, elsewhere, lone_workers, outcome, small_gate, value, wait_until, wide_gate,
};
use tokengate::{
    Gate, Handle, Token, TokenError, TokenState, flush, get_all, join_all, task_token_guard,
};

/// A call that is deferred now: its token is `Created`.
fn deferred(gate: &Gate, n: u32) -> Token<u32> {
    let token = gate.spawn("deferred", move || n);
    assert_eq!(
        token.state(),
        TokenState::Created,
        "published though in a batch"
    );
    token
}

#[test]
fn the_end_of_the_scope_publishes() {
    let gate = wide_gate();
    let tokens: Vec<_> = gate.batch(|| (0..10).map(|n| deferred(&gate, n)).collect());
    let sum: u32 = elsewhere(|| get_all(tokens).into_iter().map(Result::unwrap).sum());
    assert_eq!(sum, 45);
    let outside = gate.spawn("outside", || ());
    assert_ne!(outside.state(), TokenState::Created);
    value(outside);
}

#[test]
fn guarded_functions_are_deferred_as_well() {
    #[task_token_guard(operation_type = "square")]
    fn square(n: u32) -> u32 {
        n * n
    }
    let gate = small_gate();
    let _entered = gate.enter();
    let token = gate.batch(|| {
        let token = square(7);
        assert_eq!(token.state(), TokenState::Created);
        token
    });
    assert_eq!(value(token), 49);
}

#[test]
fn a_scope_that_unwinds_publishes() {
    let gate = small_gate();
    let (sender, receiver) = std::sync::mpsc::channel();
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        gate.batch(|| {
            for n in 0..5 {
                sender.send(deferred(&gate, n)).unwrap();
            }
            panic!("as asked");
        })
    }));
    assert!(unwound.is_err());
    for n in 0..5 {
        assert_eq!(value(receiver.recv().unwrap()), n);
    }
    // The scope is over: the next call is not deferred.
    assert_ne!(gate.spawn("after", || ()).state(), TokenState::Created);
}

#[test]
fn sixty_four_for_a_core_are_published_at_once() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    gate.batch(|| {
        let tokens: Vec<_> = (0..63).map(|n| deferred(&gate, n)).collect();
        let full = gate.spawn("the 64th", || ());
        assert_eq!(full.state(), TokenState::Admitted);
        assert!(
            tokens
                .iter()
                .all(|token| token.state() == TokenState::Admitted)
        );
        deferred(&gate, 65);
    });
    held.release();
}

#[test]
fn flush_publishes_and_the_scope_goes_on() {
    let gate = small_gate();
    gate.batch(|| {
        let first = deferred(&gate, 1);
        flush();
        assert_ne!(first.state(), TokenState::Created);
        let second = deferred(&gate, 2);
        assert_eq!(value(first), 1);
        assert_eq!(value(second), 2);
    });
    flush();
}

#[test]
fn every_wait_publishes_first() {
    let gate = wide_gate();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    type Wait<'a> = &'a dyn Fn(Vec<Token<u32>>) -> u32;
    let waits: [(&str, Wait<'_>); 5] = [
        ("get", &|tokens| {
            tokens.into_iter().map(|token| token.get().unwrap()).sum()
        }),
        ("get_timeout", &|tokens| {
            let wait = |mut token: Token<u32>| token.get_timeout(common::HANG);
            tokens
                .into_iter()
                .map(|token| wait(token).unwrap().unwrap())
                .sum()
        }),
        ("get_all", &|tokens| {
            get_all(tokens).into_iter().map(Result::unwrap).sum()
        }),
        ("await", &|tokens| {
            runtime.block_on(async {
                let mut sum = 0;
                for token in tokens {
                    sum += token.await.unwrap();
                }
                sum
            })
        }),
        ("join_all", &|tokens| {
            let results = runtime.block_on(join_all(tokens));
            results.into_iter().map(Result::unwrap).sum()
        }),
    ];
    for (name, wait) in waits {
        let sum = gate.batch(|| {
            let tokens = (0..10).map(|n| deferred(&gate, n)).collect();
            wait(tokens)
        });
        assert_eq!(sum, 45, "{name}");
    }
}

#[test]
fn a_token_that_was_dropped_before_is_run() {
    let gate = wide_gate();
    let runs = Arc::new(AtomicUsize::new(0));
    gate.batch(|| {
        for _ in 0..10 {
            let runs = runs.clone();
            let token = gate.spawn("detached", move || runs.fetch_add(1, SeqCst));
            assert_eq!(token.state(), TokenState::Created);
        }
    });
    wait_until("all ran", || runs.load(SeqCst) == 10);
}

#[test]
fn a_token_that_was_killed_before_never_starts() {
    let gate = small_gate();
    let census = Census::new();
    // So that nothing starts between the kill's publication and its claim.
    let held = Held::new(&gate.handle(), "hold");
    let [by_token, by_killer] = gate.batch(|| {
        let tokens = [(); 2].map(|()| {
            let member = census.member();
            gate.spawn("never", move || {
                let _member = member;
                unreachable!("it was killed");
            })
        });
        assert!(
            tokens
                .iter()
                .all(|token| token.state() == TokenState::Created)
        );
        let killer = tokens[1].killer();
        assert!(tokens[0].kill("not needed"));
        assert!(killer.kill("not needed"));
        assert_eq!(census.alive(), 0, "the bodies go at once");
        tokens
    });
    held.release();
    for token in [by_token, by_killer] {
        let killed: Result<(), _> = outcome(token);
        assert!(matches!(killed, Err(TokenError::Killed { .. })));
    }
    assert_eq!(value(gate.spawn("after", || 7)), 7);
}

#[test]
fn nested_scopes_publish_at_the_end_of_each() {
    let gate = small_gate();
    let (outer, inner) = gate.batch(|| {
        let outer = deferred(&gate, 1);
        let inner = gate.batch(|| deferred(&gate, 2));
        assert_ne!(inner.state(), TokenState::Created);
        let later = deferred(&gate, 3);
        assert_eq!(value(later), 3);
        (outer, inner)
    });
    assert_eq!((value(outer), value(inner)), (1, 2));
}

#[test]
fn batches_of_two_gates_do_not_mix() {
    let (one, other) = (small_gate(), wide_gate());
    let names = one.batch(|| {
        let alone = deferred(&one, 1);
        // No batch of the other gate is open yet.
        let at_once = other.spawn("at once", || 2);
        assert_ne!(at_once.state(), TokenState::Created);
        let both: Vec<_> = other.batch(|| {
            (0..200)
                .map(|n| {
                    let gate = if n % 2 == 0 { &one } else { &other };
                    gate.spawn("mixed", move || n)
                })
                .collect()
        });
        assert_eq!(value(alone) + value(at_once), 3);
        both
    });
    let values: Vec<u32> = names.into_iter().map(value).collect();
    assert_eq!(values, (0..200).collect::<Vec<_>>());
}

#[test]
fn a_scope_in_a_body_publishes_its_children() {
    let gate = wide_gate();
    let handle = gate.handle();
    let parent = gate.spawn("parent", move || {
        handle.clone().batch(|| {
            (0..100)
                .map(|n| handle.spawn("child", move || n))
                .collect::<Vec<_>>()
        })
    });
    let sum: u32 = get_all(value(parent)).into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, 4_950);
}

#[test]
fn the_end_of_the_gate_inside_a_scope_loses_nothing() {
    let gate = small_gate();
    let handle = gate.handle();
    let (before, after) = handle.batch(|| {
        let before = deferred(&gate, 1);
        let report = gate.shutdown(common::HANG);
        assert!(report.drained, "shutdown publishes first");
        (before, handle.spawn("after", || 2))
    });
    assert_eq!(value(before), 1);
    assert!(matches!(outcome(after), Err(TokenError::Rejected(_))));
}

#[test]
fn a_call_that_must_wait_for_room_publishes_first() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .capacity(4)
        .start()
        .unwrap();
    // Each call beyond the fourth waits for those before it, which only this thread can publish.
    let sum: u32 = elsewhere(move || {
        let tokens: Vec<_> = gate.batch(|| {
            (0..100)
                .map(|n| gate.spawn("deferred", move || n))
                .collect()
        });
        get_all(tokens).into_iter().map(Result::unwrap).sum()
    });
    assert_eq!(sum, 4_950);
}

#[test]
fn calls_of_a_body_that_a_wait_in_a_batch_runs_in_place_are_published() {
    elsewhere(|| {
        let gate = small_gate();
        let body = gate.spawn("outer", || {
            let gate = Handle::current().expect("in a body");
            gate.clone().batch(move || {
                let child = Arc::<Mutex<Option<Token<u32>>>>::default();
                let (put, taken) = (child.clone(), child);
                let first = gate.spawn("runs in place", move || {
                    let gate = Handle::current().expect("in a body");
                    *put.lock().unwrap() = Some(gate.spawn("child", || 7));
                    7
                });
                let second = gate.spawn_async("awaits the child", async move {
                    loop {
                        let child = taken.lock().unwrap().take();
                        match child {
                            Some(child) => break child.await.unwrap(),
                            None => tokio::task::yield_now().await,
                        }
                    }
                });
                get_all([first, second])
            })
        });
        let results = value(body);
        assert!(results.into_iter().all(|result| result.unwrap() == 7));
    });
}
