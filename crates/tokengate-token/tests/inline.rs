//! A body that blocks: its scheduler's hook may run the awaited token on the waiter's stack.

mod common;

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use common::{Drops, Gate, OP, Queue, Wakes, poll_with};
use tokengate_token::{
    Async, Deadlock, DeadlockCause, Fallible, NoHome, Operation, Outcome, Place, Plain, Present,
    Ran, Runnable, Times, TokenError, Wait, cancelled, create, current, get_all, set_clock,
    set_wait_hook,
};

static OUTER: Operation = Operation::new("test.outer");

thread_local! {
    static PRESENT: Present = Present::new();
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// Runs whatever can be run, and does not wait for the rest.
fn run_inline(wait: &mut Wait<'_>) -> Result<(), Deadlock> {
    CALLS.set(CALLS.get() + 1);
    if !wait.has_limit() {
        wait.each_startable(|startable| {
            let ran = PRESENT.with(|present| startable.run(&NoHome::shared(), present));
            assert!(!matches!(ran, Ran::Tombstone(_) | Ran::Elsewhere));
        });
    }
    if wait.is_over() {
        Ok(())
    } else {
        Err(DeadlockCause::SparesExhausted.into())
    }
}

/// Runs `body` as one, with the hook in place; gives what it gave.
fn in_a_body<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    assert!(set_wait_hook(Some(run_inline)).is_none());
    let (token, runnable) = create(&OUTER, Plain::new(body));
    let ran = run_present(runnable);
    assert!(matches!(ran, Ran::Completed));
    assert!(set_wait_hook(None).is_some());
    token.get().unwrap()
}

#[test]
fn an_awaited_body_runs_on_the_waiters_stack_and_its_runnable_is_a_tombstone() {
    let drops = Drops::new();
    let argument = drops.counted();
    let (token, runnable) = create(
        &OP,
        Plain::new(move || {
            drop(argument);
            current().map(|(_, operation)| operation.label())
        }),
    );
    let label = in_a_body(move || {
        let label = token.get().unwrap();
        assert_eq!(current().unwrap().1.label(), "test.outer");
        label
    });
    assert_eq!(label, Some("test.operation"));
    assert_eq!(drops.count(), 1);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Elsewhere));
}

#[test]
fn a_tombstone_may_go_before_during_and_after_the_body() {
    for when in 0..3 {
        let (sent, slot) = (std::sync::Mutex::new(None), Arc::new(()));
        let sent = Arc::new(sent);
        let inside = sent.clone();
        let (token, runnable) = create(
            &OP,
            Plain::new(move || {
                drop(inside.lock().unwrap().take());
                slot
            }),
        );
        let ended = match when {
            0 => {
                drop(runnable);
                true
            }
            1 => {
                *sent.lock().unwrap() = Some(runnable);
                false
            }
            _ => {
                let result = in_a_body(move || token.get().is_err());
                drop(runnable);
                assert!(!result);
                continue;
            }
        };
        assert_eq!(in_a_body(move || token.get().is_err()), ended);
    }
}

#[test]
fn failures_and_panics_of_an_inline_body_are_its_tokens() {
    let (failed, first) = create(&OP, Fallible::new(|| Err::<(), _>("failed")));
    let (panicked, second) = create(&OP, Plain::new(|| panic!("expected")));
    let (a, b) = in_a_body(move || (failed.get(), panicked.get()));
    assert!(matches!(a, Err(TokenError::Failed("failed"))));
    assert!(matches!(b.map(|_: ()| ()), Err(TokenError::Panicked(_))));
    drop((first, second));
}

#[test]
fn a_wait_for_many_runs_each_that_has_not_started() {
    let queue = Queue::shared();
    let tokens: Vec<_> = (0..4).map(|n| queue.spawn(Plain::new(move || n))).collect();
    let _ = queue.run_one();
    let results = in_a_body(move || get_all(tokens));
    let numbers: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    while let Some(ran) = queue.run_one() {
        assert!(matches!(ran, Ran::Elsewhere));
    }
}

#[test]
fn a_wait_that_cannot_be_leaves_the_token_alone() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let token = queue.spawn(Async::new(gate.wait()));
    let other = queue.spawn(Async::new(gate.wait()));
    let (error, all) = in_a_body(move || (token.get().unwrap_err(), get_all([other])));
    let text = error.to_string();
    assert!(
        text.contains("`test.operation`") && text.contains("`.await`"),
        "{text}"
    );
    assert!(matches!(all[0], Err(TokenError::WouldDeadlock { .. })));
    // They were detached, and go on.
    gate.open();
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));

    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let (token, first) = in_a_body(move || {
        let first = token.get_timeout(Duration::from_secs(3600));
        (token, first)
    });
    assert!(matches!(first, Some(Err(TokenError::WouldDeadlock { .. }))));
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(token.get().unwrap(), 7);
}

#[test]
fn the_hook_is_for_all_waits_of_its_thread_that_would_block() {
    let (token, runnable) = create(&OP, Plain::new(|| 7));
    let _ = runnable.run(&NoHome::shared());
    CALLS.set(0);
    assert_eq!(in_a_body(move || token.get().unwrap()), 7);
    assert_eq!(CALLS.get(), 0, "it was resolved");
    set_wait_hook(Some(run_inline));
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    assert!(token.get_timeout(Duration::ZERO).is_none());
    assert_eq!(CALLS.get(), 0, "it only looked");
    assert_eq!(token.get().unwrap(), 7);
    assert_eq!(CALLS.get(), 1, "no body waited, but a thread with a hook");
    set_wait_hook(None);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Elsewhere));
}

#[test]
fn an_inline_body_wakes_the_waker_that_was_left_before() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 7));
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    assert_eq!(in_a_body(move || token.get().unwrap()), 7);
    assert_eq!(wakes.count(), 1);
    drop(waker);
    drop(runnable);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

const NOTED: Times = Times {
    submitted: NonZeroU64::new(9),
    started: None,
    timeout: NonZeroU64::new(5),
    alarm: None,
};

#[test]
fn a_startable_token_shows_where_it_is() {
    fn look(wait: &mut Wait<'_>) -> Result<(), Deadlock> {
        wait.each_startable(|startable| {
            assert_eq!(startable.place().domain, Some(3));
            assert_eq!(startable.times(), Some(NOTED));
            assert!(format!("{startable:?}").contains("test.operation"));
        });
        assert!(format!("{wait:?}").contains("limit"));
        run_inline(wait)
    }
    let (token, runnable) = create(&OP, Plain::new(|| 7));
    runnable.set_place(Place {
        domain: Some(3),
        ..Place::default()
    });
    runnable.set_times(NOTED);
    let value = in_a_body(move || {
        set_wait_hook(Some(look));
        token.get().unwrap()
    });
    assert_eq!(value, 7);
    drop(runnable);
}

#[test]
fn a_look_finds_the_bodies_of_the_thread_and_what_they_ended_as() {
    set_clock(|| 5);
    let watcher = PRESENT.with(Present::watcher);
    assert!(watcher.look().is_empty());
    let (token, runnable, found) = {
        let watcher = watcher.clone();
        let body = move || {
            let before = watcher.look();
            assert_eq!(watcher.kill("not needed").claimed, 1);
            (before, watcher.look())
        };
        let (seen, found) = std::sync::mpsc::channel();
        let (token, runnable) = create(&OP, Plain::new(move || drop(seen.send(body()))));
        (token, runnable, found)
    };
    runnable.set_times(NOTED);
    let started = NonZeroU64::new(11).unwrap();
    assert_eq!(runnable.note_started(started), started);
    assert_eq!(runnable.note_started(NonZeroU64::MAX), started);
    assert!(matches!(run_present(runnable), Ran::Late(Outcome::Killed)));
    let (before, after) = found.recv().unwrap();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!(before[0].view.id, token.id());
    assert_eq!(before[0].times.started, Some(started));
    assert_eq!((before[0].outcome, before[0].ended_at), (None, None));
    assert_eq!(after[0].outcome, Some(Outcome::Killed));
    assert_eq!(after[0].ended_at, NonZeroU64::new(5));
    assert!(watcher.look().is_empty());
}

#[test]
fn a_kill_from_outside_reaches_every_body_of_the_thread() {
    let watcher = PRESENT.with(Present::watcher);
    assert_eq!(watcher.kill("nothing runs").present.len(), 0);
    let (inner, inner_runnable) = {
        let watcher = watcher.clone();
        let body = move || {
            let killed = watcher.kill("shut down");
            let labels: Vec<_> = killed.present.iter().map(|it| it.label()).collect();
            assert_eq!(labels, ["test.operation", "test.outer"]);
            assert_eq!(killed.claimed, 2);
            assert_eq!(watcher.kill("again").claimed, 0);
            assert!(cancelled());
        };
        create(&OP, Plain::new(body))
    };
    let (outer, runnable) = {
        let watcher = watcher.clone();
        let body = move || {
            let _ = run_present(inner_runnable);
            assert!(matches!(inner.get(), Err(TokenError::Killed { .. })));
            let killed = watcher.kill("once more");
            assert_eq!((killed.present.len(), killed.claimed), (1, 0));
            cancelled()
        };
        create(&OUTER, Plain::new(body))
    };
    assert!(matches!(run_present(runnable), Ran::Late(_)));
    assert!(matches!(outer.get(), Err(TokenError::Killed { .. })));
    assert_eq!(watcher.kill("nothing runs").present.len(), 0);
    assert!(format!("{watcher:?}").contains("Watcher"));
}

/// Runs it with this thread's `Present`.
fn run_present(runnable: Runnable) -> Ran {
    PRESENT.with(|present| runnable.run_present(&NoHome::shared(), present))
}

#[test]
fn suspended_bodies_are_not_present() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let present = Present::new();
    let token = queue.spawn(Async::new(gate.wait()));
    let ran = queue
        .pop()
        .unwrap()
        .run_present(&(queue.clone() as _), &present);
    assert!(matches!(ran, Ran::Suspended));
    assert_eq!(present.watcher().kill("shut down").present.len(), 0);
    assert!(!token.is_finished());
    queue.end();
}
