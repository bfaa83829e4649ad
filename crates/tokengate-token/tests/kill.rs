//! A token ended from outside: at once, once, and honestly about a body that already runs.

mod common;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::{Drops, Gate, OP, Queue, Wakes, poll_with};
use tokengate_token::{
    Async, Fallible, Killer, NoHome, Plain, Ran, Token, TokenError, cancelled, create,
};

#[test]
fn a_killed_token_never_starts_and_its_body_is_dropped_at_once() {
    let drops = Drops::new();
    let argument = drops.counted();
    let body = move || {
        drop(argument);
        unreachable!("it was killed")
    };
    let (token, runnable) = create(&OP, Plain::new(body));
    assert!(token.kill("not needed"));
    assert_eq!(drops.count(), 1);
    assert!(token.is_finished());
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Tombstone(_)));
    let error: TokenError = token.get().map(|_: ()| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("test.operation") && text.contains("not needed"),
        "{text}"
    );
    assert_eq!(drops.count(), 1);
}

#[test]
fn the_first_ending_counts() {
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(token.kill("first"));
    assert!(!token.kill("second"));
    assert!(!token.killer().kill("third"));
    runnable.kill("fourth");
    let Err(TokenError::Killed { reason }) = token.get() else {
        panic!("it was killed");
    };
    assert_eq!(reason.as_str(), "first");

    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let _ = runnable.run(&NoHome::shared());
    assert!(!token.kill("late"));
    assert_eq!(token.get().unwrap(), 1);
}

#[test]
fn a_running_body_sees_that_it_is_cancelled_and_its_result_is_dropped() {
    let drops = Drops::new();
    let late = drops.counted();
    let (started, is_started) = mpsc::channel();
    let body = move || {
        started.send(()).unwrap();
        while !cancelled() {
            thread::yield_now();
        }
        late
    };
    let (token, runnable) = create(&OP, Plain::new(body));
    let runner = thread::spawn(move || runnable.run(&NoHome::shared()));
    is_started.recv().unwrap();
    assert!(token.kill("enough"));
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
    assert!(matches!(runner.join().unwrap(), Ran::Late(_)));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_body_may_kill_its_own_token() {
    let killer = Arc::new(Mutex::new(None::<Killer>));
    let own = killer.clone();
    let (token, runnable) = create(
        &OP,
        Plain::new(move || {
            assert!(!cancelled());
            assert!(own.lock().unwrap().take().unwrap().kill("myself"));
            assert!(cancelled());
        }),
    );
    *killer.lock().unwrap() = Some(token.killer());
    let _ = runnable.run(&NoHome::shared());
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}

#[test]
fn a_kill_wakes_whoever_waits() {
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    assert!(token.kill("no"));
    assert_eq!(wakes.count(), 1);
    drop(runnable);
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(&mut token, &waker).is_ready());

    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let killer = token.killer();
    let other = thread::spawn(move || assert!(killer.kill("no")));
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
    other.join().unwrap();
    drop(runnable);
}

#[test]
fn a_killer_outlives_its_token_and_then_does_nothing() {
    let home = NoHome::shared();
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let completed = token.killer();
    let _ = runnable.run(&home);
    token.get().unwrap();
    assert!(!completed.kill("too late"));

    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let detached = token.killer();
    drop(token);
    let _ = runnable.run(&home);
    assert!(!detached.clone().kill("too late"));

    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let killed = token.killer();
    assert!(killed.kill("now"));
    drop(token);
    drop(runnable);
    assert!(!killed.kill("again"));
}

#[test]
fn a_killer_reaches_a_detached_call() {
    let drops = Drops::new();
    let argument = drops.counted();
    let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
    let killer = token.killer();
    token.detach();
    assert!(killer.kill("no"));
    assert_eq!(drops.count(), 1);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Tombstone(_)));
}

#[test]
fn a_killer_keeps_neither_body_nor_result() {
    let drops = Drops::new();
    let (body, result) = (drops.counted(), drops.counted());
    let (token, runnable) = create(
        &OP,
        Plain::new(move || {
            drop(body);
            result
        }),
    );
    let _killer = token.killer();
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(drops.count(), 1);
    drop(token);
    assert_eq!(drops.count(), 2);
}

#[test]
fn the_conversion_of_a_reason_may_free_the_token() {
    struct Reason(Token<u8>);
    impl From<Reason> for Cow<'static, str> {
        fn from(reason: Reason) -> Self {
            drop(reason.0);
            "freed".into()
        }
    }
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let killer = token.killer();
    let _ = runnable.run(&NoHome::shared());
    assert!(!killer.kill(Reason(token)));
}

#[test]
fn dropping_a_runnable_kills_its_token() {
    let drops = Drops::new();
    let argument = drops.counted();
    let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
    drop(runnable);
    assert_eq!(drops.count(), 1);
    let error = token.get().unwrap_err();
    assert!(
        error.to_string().contains("dropped without being run"),
        "{error}"
    );
}

#[test]
fn a_tied_call_is_killed_with_its_handle() {
    let (token, runnable) = create(&OP, Plain::new(|| ()));
    drop(token.kill_on_drop());
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Tombstone(_)));
}

#[test]
fn a_tied_call_that_is_read_is_an_ordinary_one() {
    let home = NoHome::shared();
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let mut tied = token.kill_on_drop();
    assert!(!tied.token().is_finished());
    assert!(poll_with(&mut tied, std::task::Waker::noop()).is_pending());
    assert!(matches!(runnable.run(&home), Ran::Completed));
    assert!(poll_with(&mut tied, std::task::Waker::noop()).is_ready());
    drop(tied);

    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let runner = thread::spawn(move || runnable.run(&NoHome::shared()));
    assert_eq!(token.kill_on_drop().get().unwrap(), 1);
    assert!(matches!(runner.join().unwrap(), Ran::Completed));

    // Resolved and unread: there is nothing left to kill.
    let queue = Queue::shared();
    let token = queue.spawn(Fallible::new(|| Err::<(), _>("unread")));
    let tied = token.kill_on_drop();
    queue.run_all();
    drop(tied);
    assert_eq!(queue.failures().len(), 1);
}

/// Does something with its own token's handle or killer when it is dropped.
struct OnDrop(Arc<Mutex<Option<Action>>>);

type Action = Box<dyn FnOnce() + Send>;

impl Drop for OnDrop {
    fn drop(&mut self) {
        let action = self.0.lock().unwrap().take();
        action.expect("dropped once")();
    }
}

fn self_dropping<T: Send + 'static>(
    action: impl FnOnce(Token<()>) -> T + Send + 'static,
) -> (Killer, tokengate_token::Runnable) {
    let slot = Arc::new(Mutex::new(None));
    let argument = OnDrop(slot.clone());
    let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
    let killer = token.killer();
    *slot.lock().unwrap() = Some(Box::new(move || drop(action(token))));
    (killer, runnable)
}

#[test]
fn the_destructor_of_an_argument_may_end_or_drop_its_own_token() {
    let actions: [fn(Token<()>); 4] = [
        |token| drop(token),
        |token| {
            token.kill("from its own argument");
        },
        |token| drop(token.kill_on_drop()),
        |token| {
            let (other, runnable) = create(&OP, Plain::new(|| 1));
            let _ = runnable.run(&NoHome::shared());
            assert_eq!(other.get().unwrap(), 1);
            drop(token);
        },
    ];
    for action in actions {
        let (_killer, runnable) = self_dropping(action);
        let _ = runnable.run(&NoHome::shared());
        let (killer, runnable) = self_dropping(action);
        assert!(killer.kill("from outside"));
        drop(runnable);
        let (_killer, runnable) = self_dropping(action);
        drop(runnable);
    }
}

#[test]
fn killed_async_bodies_resolve_at_once_and_are_dropped_by_their_home() {
    let queue = Queue::shared();
    let drops = Drops::new();
    let (gate, argument) = (Gate::shared(), drops.counted());
    let wait = gate.wait();
    let token = queue.spawn(Async::new(async move {
        wait.await;
        drop(argument);
    }));
    queue.run_all();
    assert!(token.kill("no"));
    assert!(token.is_finished());
    assert_eq!(drops.count(), 0, "its home drops it, not the killer");
    assert_eq!(queue.len(), 1);
    assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
    assert_eq!(drops.count(), 1);
    gate.waker().wake();
    assert_eq!(queue.len(), 0);
}
