//! Panics stay inside their token: of bodies, of destructors, of homes.

mod common;

use std::any::Any;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use common::{Counted, Drops, Gate, OP, PanicsInDrop, Queue};
use tokengate_token::{
    Async, Failure, FailureKind, Fallible, Home, NoHome, Panic, Plain, Ran, Runnable, Token,
    TokenError, create, panic_message,
};

fn panic_of<T: std::fmt::Debug, E: std::fmt::Debug>(token: Token<T, E>) -> Panic {
    match token.get() {
        Err(TokenError::Panicked(panic)) => panic,
        other => panic!("it panicked, and gave {other:?}"),
    }
}

fn panics_in_drop(drops: &Drops) -> PanicsInDrop {
    PanicsInDrop(drops.counted())
}

#[test]
fn a_panic_is_the_tokens_outcome_with_its_message() {
    let queue = Queue::shared();
    let text = queue.spawn(Plain::new(|| panic!("plain text")));
    let formatted = queue.spawn(Plain::new(|| panic!("number {}", 7)));
    let other = queue.spawn(Plain::new(|| std::panic::panic_any(5_u8)));
    let future = queue.spawn(Async::new(async { panic!("in a future") }));
    let fallible = queue.spawn(Fallible::new(|| -> Result<u8, String> {
        panic!("no error")
    }));
    queue.run_all();
    assert_eq!(panic_of::<(), _>(text).message(), "plain text");
    assert_eq!(panic_of::<(), _>(formatted).message(), "number 7");
    let other = panic_of::<(), _>(other);
    assert_eq!(other.message(), "a payload that is not text");
    assert_eq!(other.into_payload().downcast_ref::<u8>(), Some(&5));
    let future = panic_of::<(), _>(future);
    assert!(
        future
            .to_string()
            .contains("`test.operation` panicked: in a future"),
        "{future}"
    );
    assert_eq!(panic_of(fallible).message(), "no error");
}

#[test]
fn a_panic_can_go_on_where_the_result_is_taken() {
    let (token, runnable) = create(&OP, Plain::new(|| std::panic::panic_any(5_u8)));
    let _ = runnable.run(&NoHome::shared());
    let panic = panic_of::<(), _>(token);
    let resumed = catch_unwind(AssertUnwindSafe(|| panic.resume())).unwrap_err();
    assert_eq!(resumed.downcast_ref::<u8>(), Some(&5));
}

#[test]
fn messages_are_found_in_any_payload() {
    fn message(payload: Box<dyn Any + Send>) -> String {
        panic_message(&*payload).into_owned()
    }
    assert_eq!(message(Box::new("text")), "text");
    assert_eq!(message(Box::new("text".to_owned())), "text");
    assert_eq!(message(Box::new(1)), "a payload that is not text");
    let error = TokenError::<std::io::Error>::Failed(std::io::Error::other("io"));
    assert!(error.source().is_none());
}

#[test]
fn a_panicking_argument_makes_its_body_panic() {
    let drops = Drops::new();
    let argument = panics_in_drop(&drops);
    let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Panicked));
    assert_eq!(panic_of(token).message(), "in drop");
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_panicking_argument_does_not_reach_whoever_ends_the_token() {
    let drops = Drops::new();
    let mut expected = 0;
    let ways: [fn(Token<()>, Runnable); 4] = [
        |token, runnable| {
            assert!(token.kill("no"));
            drop(runnable);
        },
        |token, runnable| {
            assert!(token.killer().kill("no"));
            drop((token, runnable));
        },
        |token, runnable| {
            drop(runnable);
            assert!(token.get().is_err());
        },
        |token, runnable| {
            runnable.kill("no");
            drop(token);
        },
    ];
    for end in ways {
        let argument = panics_in_drop(&drops);
        let (token, runnable) = create(&OP, Plain::new(move || drop(argument)));
        end(token, runnable);
        expected += 1;
        assert_eq!(drops.count(), expected);

        let argument = panics_in_drop(&drops);
        let (token, runnable) = create(&OP, Async::new(async move { drop(argument) }));
        end(token, runnable);
        expected += 1;
        assert_eq!(drops.count(), expected);
    }
}

#[test]
fn a_panicking_result_does_not_reach_the_runner_or_the_dropper() {
    let drops = Drops::new();
    let result = panics_in_drop(&drops);
    let (token, runnable) = create(&OP, Plain::new(move || result));
    drop(token);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
    assert_eq!(drops.count(), 1);

    let result = panics_in_drop(&drops);
    let (token, runnable) = create(&OP, Plain::new(move || result));
    let _ = runnable.run(&NoHome::shared());
    drop(token);
    assert_eq!(drops.count(), 2);

    let error = panics_in_drop(&drops);
    let (token, runnable) = create(&OP, Fallible::new(move || Err::<(), _>(error)));
    let _ = runnable.run(&NoHome::shared());
    drop(token);
    assert_eq!(drops.count(), 3);
}

#[test]
fn a_panicking_future_is_dropped_once_wherever_it_ends() {
    let drops = Drops::new();
    let queue = Queue::shared();

    // Done: the token has its value all the same.
    let (gate, argument) = (Gate::shared(), panics_in_drop(&drops));
    gate.open();
    let wait = gate.wait();
    let token = queue.spawn(Async::new(Held(wait, argument)));
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert_eq!(drops.count(), 1);
    token.get().unwrap();

    // Killed while suspended, and abandoned by its home.
    for kill in [true, false] {
        let before = drops.count();
        let gate = Gate::shared();
        let token = queue.spawn(Async::new(Held(gate.wait(), panics_in_drop(&drops))));
        queue.run_all();
        if kill {
            assert!(token.kill("no"));
            assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
        } else {
            gate.waker().wake();
            drop(queue.pop().unwrap());
        }
        assert_eq!(drops.count(), before + 1);
        assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
    }
}

/// A future with a part that panics when it is dropped, as a body of its own type.
struct Held(
    common::Waiting,
    #[allow(dead_code, reason = "held for its drop")] PanicsInDrop,
);

impl std::future::Future for Held {
    type Output = ();

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(context)
    }
}

/// A payload whose destructor panics with a payload whose destructor panics, and so on for a while.
struct Payload(
    u8,
    #[allow(dead_code, reason = "held for its drop")] Counted,
);

impl Drop for Payload {
    fn drop(&mut self) {
        if self.0 > 0 {
            std::panic::panic_any(Payload(self.0 - 1, Drops::new().counted()));
        }
    }
}

#[test]
fn a_panicking_payload_does_not_reach_the_runner_or_the_dropper() {
    let drops = Drops::new();
    let queue = Queue::shared();
    for unread_before in [true, false] {
        for depth in 1..4 {
            let payload = Payload(depth, drops.counted());
            let body = move || std::panic::panic_any(payload);
            let token: Token<()> = queue.spawn(Plain::new(body));
            if unread_before {
                drop(token);
                queue.run_all();
            } else {
                queue.run_all();
                drop(token);
            }
        }
    }
    assert_eq!(drops.count(), 6);
    assert_eq!(queue.failures().len(), 6);
}

#[test]
fn a_panicking_late_result_disturbs_nobody() {
    let drops = Drops::new();
    let queue = Queue::shared();
    let slot = Arc::new(std::sync::Mutex::new(None::<tokengate_token::Killer>));
    let (own, result) = (slot.clone(), panics_in_drop(&drops));
    let token = queue.spawn(Plain::new(move || {
        assert!(own.lock().unwrap().take().unwrap().kill("no"));
        result
    }));
    *slot.lock().unwrap() = Some(token.killer());
    queue.run_all();
    assert_eq!(drops.count(), 1);
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}

/// A home that panics when it hears of a failure, and when it is dropped.
struct Panicking(Drops);

impl Home for Panicking {
    fn post(&self, runnable: Runnable) {
        drop(runnable);
    }

    fn unobserved(&self, failure: &Failure) {
        assert!(matches!(failure.kind(), FailureKind::Error));
        drop(self.0.counted());
        panic!("in unobserved");
    }
}

impl Drop for Panicking {
    fn drop(&mut self) {
        drop(self.0.counted());
        panic!("in the drop of a home");
    }
}

#[test]
fn a_panicking_home_does_not_reach_the_handle() {
    let drops = Drops::new();
    let (token, runnable) = create(&OP, Fallible::new(|| Err::<(), _>(1)));
    {
        let home: Arc<dyn Home> = Arc::new(Panicking(drops.clone()));
        let _ = runnable.run(&home);
        // The cell has the last reference now.
    }
    assert_eq!(drops.count(), 0);
    drop(token);
    assert_eq!(drops.count(), 2);

    let gate = Gate::shared();
    let (token, runnable) = create(&OP, Async::new(gate.wait()));
    {
        let home: Arc<dyn Home> = Arc::new(Panicking(drops.clone()));
        let _ = runnable.run(&home);
    }
    assert!(token.kill("no"));
    gate.forget();
    drop(token);
    assert_eq!(drops.count(), 3);
}
