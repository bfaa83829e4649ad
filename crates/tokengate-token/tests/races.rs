//! Halves, killers and wakers on threads of their own: everything ends once, on real hardware.
//!
//! The model checker explores the same races in `loom_state.rs` and `loom_async.rs`; here the
//! sanitizers look, and memory is recycled. Nothing depends on time or on the number of CPUs.

mod common;

use std::sync::{Arc, Barrier};
use std::thread;

use common::{Drops, Gate, OP, Queue, Wakes, poll_with};
use tokengate_token::{
    Async, NoHome, Plain, Ran, Runnable, Token, TokenError, create, get_all, join_all,
};

const ROUNDS: usize = 300;

/// Runs each action on a thread of its own, all at once.
fn together<const N: usize>(actions: [Box<dyn FnOnce() + Send>; N]) {
    let barrier = Barrier::new(N);
    thread::scope(|scope| {
        for action in actions {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                action();
            });
        }
    });
}

fn counted(drops: &Drops) -> (Token<common::Counted>, Runnable) {
    let (argument, result) = (drops.counted(), drops.counted());
    create(
        &OP,
        Plain::new(move || {
            drop(argument);
            result
        }),
    )
}

#[test]
fn run_kill_and_drop_at_once() {
    for _ in 0..ROUNDS {
        let drops = Drops::new();
        let (token, runnable) = counted(&drops);
        let killer = token.killer();
        together([
            Box::new(move || drop(runnable.run(&NoHome::shared()))),
            Box::new(move || {
                killer.kill("at once");
            }),
            Box::new(move || drop(token)),
        ]);
        assert_eq!(drops.count(), 2);
    }
}

#[test]
fn run_kill_and_get_at_once() {
    for _ in 0..ROUNDS {
        let drops = Drops::new();
        let (token, runnable) = counted(&drops);
        let killer = token.killer();
        together([
            Box::new(move || drop(runnable.run(&NoHome::shared()))),
            Box::new(move || {
                killer.kill("at once");
                assert!(!killer.kill("again"));
            }),
            Box::new(move || {
                assert!(matches!(
                    token.get(),
                    Ok(_) | Err(TokenError::Killed { .. })
                ));
            }),
        ]);
        assert_eq!(drops.count(), 2);
    }
}

#[test]
fn abandon_kill_and_poll_at_once() {
    for _ in 0..ROUNDS {
        let drops = Drops::new();
        let (mut token, runnable) = counted(&drops);
        let killer = token.killer();
        let ((first, first_waker), (last, last_waker)) = (Wakes::new(), Wakes::new());
        together([
            Box::new(move || drop(runnable)),
            Box::new(move || {
                killer.kill("at once");
            }),
            Box::new(move || {
                let ready = poll_with(&mut token, &first_waker).is_ready()
                    || poll_with(&mut token, &last_waker).is_ready();
                if !ready {
                    assert!(token.get().is_err());
                }
            }),
        ]);
        assert_eq!(drops.count(), 2);
        assert!(first.count() + last.count() <= 1);
    }
}

#[test]
fn wakes_kills_and_polls_of_an_async_body_at_once() {
    for round in 0..ROUNDS {
        let (queue, gate, drops) = (Queue::shared(), Gate::shared(), Drops::new());
        let (wait, held) = (gate.wait(), drops.counted());
        let token = queue.spawn(Async::new(async move {
            wait.await;
            drop(held);
        }));
        assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
        let (waker, other, killer) = (gate.waker(), gate.waker(), token.killer());
        let (kill, runner) = (round % 2 == 0, queue.clone());
        together([
            Box::new(move || {
                gate.open();
                waker.wake();
                gate.forget();
            }),
            Box::new(move || (0..3).for_each(|_| other.wake_by_ref())),
            Box::new(move || {
                if kill {
                    killer.kill("at once");
                }
            }),
            Box::new(move || runner.run_all()),
        ]);
        queue.run_all();
        assert_eq!(drops.count(), 1);
        assert!(token.is_finished());
        assert_eq!(queue.left(), [0]);
        drop(token);
        assert_eq!(Arc::strong_count(&queue), 1);
    }
}

#[test]
fn many_tokens_cross_threads_and_back() {
    const EACH: u64 = 2_000;
    let (sender, receiver) = std::sync::mpsc::channel::<Runnable>();
    let runner = thread::spawn(move || {
        let home = NoHome::shared();
        for runnable in receiver {
            let _ = runnable.run(&home);
        }
    });
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || {
                let call = |n: u64| {
                    let (token, runnable) = create(&OP, Plain::new(move || vec![n; 3]));
                    sender.send(runnable).unwrap();
                    token
                };
                let sum = |results: Vec<Result<Vec<u64>, TokenError>>| -> u64 {
                    results.into_iter().map(|result| result.unwrap()[2]).sum()
                };
                let blocked = sum(get_all((0..EACH).map(call)));
                let awaited = sum(smol::block_on(join_all((0..EACH).map(call))));
                let single: u64 = (0..EACH / 10).map(|n| call(n).get().unwrap()[0]).sum();
                (0..EACH).map(call).for_each(drop);
                assert_eq!((blocked, awaited), (EACH * (EACH - 1) / 2, blocked));
                assert_eq!(single, EACH / 10 * (EACH / 10 - 1) / 2);
            })
        })
        .collect();
    drop(sender);
    for caller in callers {
        caller.join().unwrap();
    }
    runner.join().unwrap();
}
