//! A body that fails runs again: same token, in the same cell, as often as its policy and home let it.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use common::{Counted, Drops, Gate, PanicsInDrop, Queue, Wakes, poll_with};
use tokengate_token::{
    Attempt, Failure, Fallible, Home, NoHome, Operation, Phase, Plain, Ran, Retried, Retry,
    Runnable, TokenError, TokenId, TokenState, TokenView, cancelled, create,
};

static THRICE: Operation = Operation::new("test.thrice").with_retry(Retry::new(3));
static PANICS: Operation = Operation::new("test.panics").with_retry(Retry::new(3).on_panic());
static ONCE: Operation = Operation::new("test.once");

/// Runs it with this home until it is not given back; how often that was.
fn run_until_done(mut runnable: Runnable, home: &Arc<dyn Home>) -> (usize, Ran) {
    let mut again = 0;
    loop {
        match runnable.run(home) {
            Ran::Retry(next) => {
                again += 1;
                runnable = next;
            }
            ran => return (again, ran),
        }
    }
}

/// Runs one attempt that fails; the runnable of the next one.
#[track_caller]
fn fail_once(runnable: Runnable) -> Runnable {
    match runnable.run(&NoHome::shared()) {
        Ran::Retry(runnable) => runnable,
        other => panic!("it is to run again: {other:?}"),
    }
}

#[test]
fn a_body_that_fails_runs_again_until_it_succeeds() {
    let numbers = Arc::new(Mutex::new(Vec::new()));
    let noted = numbers.clone();
    let body = move |attempt: Attempt| {
        noted
            .lock()
            .unwrap()
            .push((attempt.number(), attempt.is_last()));
        if attempt.number() == 2 {
            Ok(7)
        } else {
            Err("no")
        }
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let id = token.id();
    assert_eq!(token.status().attempt, 1);
    let runnable = fail_once(runnable);
    assert_eq!((runnable.id(), runnable.attempt()), (id, 2));
    assert!(!runnable.has_started() && !runnable.has_ended());
    assert_eq!(token.state(), TokenState::Waiting);
    assert_eq!(token.status().attempt, 2);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
    assert_eq!((token.id(), token.status().attempt), (id, 2));
    assert_eq!(token.get().unwrap(), 7);
    assert_eq!(*numbers.lock().unwrap(), [(1, false), (2, false)]);
}

#[test]
fn the_last_error_is_the_outcome() {
    let drops = Drops::new();
    let (argument, kept) = (drops.counted(), drops.clone());
    let body = move |attempt: Attempt| {
        let _ = &argument;
        Err::<(), _>((attempt.number(), attempt.is_last(), kept.counted()))
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let (again, ran) = run_until_done(runnable, &NoHome::shared());
    assert!(again == 2 && matches!(ran, Ran::Failed));
    // Two errors and the argument.
    assert_eq!(drops.count(), 3);
    let Err(TokenError::Failed((number, is_last, _error))) = token.get() else {
        panic!("it failed");
    };
    assert_eq!((number, is_last), (3, true));
}

#[test]
fn a_panic_runs_again_only_where_that_is_declared() {
    let body = |_| -> Result<(), ()> { panic!("expected") };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let (again, ran) = run_until_done(runnable, &NoHome::shared());
    assert!(again == 0 && matches!(ran, Ran::Panicked));
    assert!(matches!(token.get(), Err(TokenError::Panicked(_))));

    let body = |attempt: Attempt| assert!(attempt.is_last(), "attempt {}", attempt.number());
    let (token, runnable) = create(&PANICS, Retried::plain(body));
    let (again, ran) = run_until_done(runnable, &NoHome::shared());
    assert!(again == 2 && matches!(ran, Ran::Completed));
    token.get().unwrap();

    let body = |attempt: Attempt| -> Result<(), ()> { panic!("attempt {}", attempt.number()) };
    let (token, runnable) = create(&PANICS, Retried::fallible(body));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 2);
    let Err(TokenError::Panicked(panic)) = token.get() else {
        panic!("it panicked");
    };
    assert!(panic.to_string().contains("attempt 3"), "{panic}");
}

#[test]
fn neither_a_policy_nor_a_body_alone_makes_a_retry() {
    let (token, runnable) = create(&THRICE, Fallible::new(|| Err::<(), _>("no")));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 0);
    assert!(matches!(token.get(), Err(TokenError::Failed("no"))));

    let body = |attempt: Attempt| Err::<(), _>(attempt.is_last());
    let (token, runnable) = create(&ONCE, Retried::fallible(body));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 0);
    assert!(matches!(token.get(), Err(TokenError::Failed(true))));
}

#[test]
fn a_kill_between_two_attempts_drops_the_body_at_once() {
    #[derive(Default)]
    struct Told(Mutex<Vec<TokenId>>);
    impl Home for Told {
        fn post(&self, _: Runnable) {}
        fn ended_between_attempts(&self, token: &TokenView) {
            self.0.lock().unwrap().push(token.id);
        }
    }
    let drops = Drops::new();
    let argument = drops.counted();
    let body = move |_| {
        let _ = &argument;
        Err::<(), _>("no")
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let told = Arc::new(Told::default());
    let home: Arc<dyn Home> = told.clone();
    let Ran::Retry(runnable) = runnable.run(&home) else {
        panic!("it is to run again");
    };
    assert!(token.kill("not needed"));
    assert_eq!(drops.count(), 1);
    assert_eq!(*told.0.lock().unwrap(), [token.id()]);
    assert!(matches!(runnable.run(&home), Ran::Tombstone(_)));
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}

#[test]
fn a_kill_before_the_first_attempt_tells_no_home() {
    struct Tells;
    impl Home for Tells {
        fn post(&self, _: Runnable) {}
        fn ended_between_attempts(&self, _: &TokenView) {
            panic!("it was not between attempts");
        }
    }
    let (token, runnable) = create(&THRICE, Retried::fallible(|_| Err::<(), _>("no")));
    assert!(token.kill("not needed"));
    assert!(matches!(
        runnable.run(&(Arc::new(Tells) as _)),
        Ran::Tombstone(_)
    ));
}

#[test]
fn a_kill_during_an_attempt_is_final() {
    let drops = Drops::new();
    let (argument, error) = (drops.counted(), drops.clone());
    let (send, receive) = std::sync::mpsc::channel::<tokengate_token::Killer>();
    let body = move |_| {
        let _ = &argument;
        assert!(receive.recv().unwrap().kill("not needed"));
        assert!(cancelled());
        Err::<(), _>(error.counted())
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    send.send(token.killer()).unwrap();
    let (again, _) = run_until_done(runnable, &NoHome::shared());
    assert_eq!((again, drops.count()), (0, 2));
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}

#[test]
fn a_runnable_that_is_dropped_between_attempts_ends_its_token() {
    let drops = Drops::new();
    let argument = drops.counted();
    let body = move |_| {
        let _ = &argument;
        Err::<(), _>("no")
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    drop(fail_once(runnable));
    assert_eq!(drops.count(), 1);
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}

#[test]
fn a_time_limit_ends_the_attempt_it_was_set_for_and_no_other() {
    let body = |_| Err::<(), _>("no");
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let (of_the_wait, first) = (runnable.deadline(), runnable.deadline());
    let runnable = fail_once(runnable);
    assert!(!of_the_wait.pass(Phase::Waiting));
    assert!(!first.pass(Phase::Executing));
    assert_eq!(token.state(), TokenState::Waiting);
    let second = runnable.deadline();
    assert!(second.pass(Phase::Executing));
    let Err(TokenError::TimedOut { phase, attempt, .. }) = token.get() else {
        panic!("its time was over");
    };
    assert_eq!((phase, attempt), (Phase::Executing, 2));
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Tombstone(_)));
}

#[test]
fn errors_and_bodies_whose_destructors_panic_are_contained() {
    let drops = Drops::new();
    let (argument, made) = (PanicsInDrop(drops.counted()), drops.clone());
    let body = move |_| {
        let _ = &argument;
        Err::<(), _>(PanicsInDrop(made.counted()))
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    let (again, ran) = run_until_done(runnable, &NoHome::shared());
    assert!(again == 2 && matches!(ran, Ran::Failed));
    drop(token);
    // Three errors and the argument.
    assert_eq!(drops.count(), 4);
}

#[test]
fn a_home_may_refuse_another_attempt_and_hears_of_each() {
    #[derive(Default)]
    struct Budget(Mutex<Vec<(u32, bool)>>);
    impl Home for Budget {
        fn post(&self, _: Runnable) {}
        fn attempted(&self, operation: &'static Operation, attempt: u32, again: bool) -> bool {
            assert_eq!(operation.label(), "test.thrice");
            self.0.lock().unwrap().push((attempt, again));
            attempt < 2
        }
    }
    let budget = Arc::new(Budget::default());
    let home: Arc<dyn Home> = budget.clone();
    let (token, runnable) = create(&THRICE, Retried::fallible(|_| Err::<(), _>("no")));
    let (again, ran) = run_until_done(runnable, &home);
    assert!(again == 1 && matches!(ran, Ran::Failed));
    assert!(matches!(token.get(), Err(TokenError::Failed("no"))));
    assert_eq!(
        budget.0.lock().unwrap().split_off(0),
        [(1, true), (2, true)]
    );

    let (token, runnable) = create(&THRICE, Retried::fallible(|_| Ok::<_, ()>(7)));
    assert!(matches!(runnable.run(&home), Ran::Completed));
    assert_eq!(token.get().unwrap(), 7);
    assert_eq!(*budget.0.lock().unwrap(), [(1, false)]);
}

#[test]
fn a_caller_is_woken_once_by_the_last_attempt() {
    let (mut token, runnable) = create(&THRICE, Retried::fallible(|_| Err::<(), _>("no")));
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    let runnable = fail_once(fail_once(runnable));
    assert_eq!(wakes.count(), 0);
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Failed));
    assert_eq!(wakes.count(), 1);
    assert!(poll_with(&mut token, &waker).is_ready());
}

#[test]
fn a_detached_token_goes_on_and_reports_its_last_failure_only() {
    #[derive(Default)]
    struct Reports(AtomicUsize);
    impl Home for Reports {
        fn post(&self, _: Runnable) {}
        fn unobserved(&self, _: &Failure) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let reports = Arc::new(Reports::default());
    let (token, runnable) = create(&THRICE, Retried::fallible(|_| Err::<(), _>("no")));
    token.detach();
    let (again, _) = run_until_done(runnable, &(reports.clone() as _));
    assert_eq!((again, reports.0.load(SeqCst)), (2, 1));
}

/// A future that waits at its gate, then fails unless it is of the second attempt.
async fn waits(gate: Arc<Gate>, argument: Counted, attempt: Attempt) -> Result<u32, &'static str> {
    gate.wait().await;
    drop(argument);
    if attempt.number() == 2 {
        Ok(attempt.number())
    } else {
        Err("no")
    }
}

#[test]
fn an_async_body_is_made_anew_for_each_attempt_and_suspends_in_each() {
    let (queue, gates) = (Queue::shared(), [Gate::shared(), Gate::shared()]);
    let drops = Drops::new();
    let (of_attempts, made) = (gates.clone(), drops.clone());
    let body = move |attempt: Attempt| {
        let gate = of_attempts[attempt.number() as usize - 1].clone();
        waits(gate, made.counted(), attempt)
    };
    let (token, runnable) = create(&THRICE, Retried::fallible_future(body));
    let home: Arc<dyn Home> = queue.clone();
    assert!(matches!(runnable.run(&home), Ran::Suspended));
    let late = gates[0].waker();
    gates[0].open();
    late.wake_by_ref();
    let Some(Ran::Retry(runnable)) = queue.run_one() else {
        panic!("it is to run again");
    };
    assert_eq!(drops.count(), 1);
    assert_eq!(token.state(), TokenState::Waiting);
    // A waker of the attempt before does nothing.
    late.wake_by_ref();
    assert_eq!((queue.len(), token.state()), (0, TokenState::Waiting));
    assert!(matches!(runnable.run(&home), Ran::Suspended));
    // Nor much now: one poll for nothing.
    late.wake_by_ref();
    assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
    gates[1].open();
    gates[1].waker().wake();
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert_eq!(token.get().unwrap(), 2);
    assert_eq!(drops.count(), 2);
    // One seat for each attempt.
    assert_eq!((queue.seats_taken(), queue.left()), (2, vec![0, 1]));
    gates.iter().for_each(|gate| gate.forget());
}

#[test]
fn a_wake_up_for_an_attempt_that_fails_is_not_one_for_the_next() {
    let body = |attempt: Attempt| {
        std::future::poll_fn(move |context| {
            if attempt.number() == 2 {
                return Poll::Pending;
            }
            context.waker().wake_by_ref();
            Poll::Ready(Err::<(), _>("no"))
        })
    };
    let (token, runnable) = create(&THRICE, Retried::fallible_future(body));
    let queue = Queue::shared();
    let home: Arc<dyn Home> = queue.clone();
    assert!(matches!(fail_once(runnable).run(&home), Ran::Suspended));
    assert_eq!(queue.len(), 0);
    assert!(token.kill("not needed"));
    queue.end();
}

#[test]
fn an_async_body_has_no_seat_between_attempts_and_can_be_killed() {
    for dropped in [false, true] {
        let (queue, gate) = (Queue::shared(), Gate::shared());
        let drops = Drops::new();
        let (opens, made) = (gate.clone(), drops.clone());
        let argument = drops.counted();
        let body = move |_| {
            let _ = &argument;
            let (wait, made) = (opens.wait(), made.counted());
            async move {
                wait.await;
                drop(made);
                Err::<(), _>("no")
            }
        };
        let (token, runnable) = create(&THRICE, Retried::fallible_future(body));
        let home: Arc<dyn Home> = queue.clone();
        assert!(matches!(runnable.run(&home), Ran::Suspended));
        let seated = queue.seated().pop().expect("it has a seat");
        gate.open();
        gate.waker().wake();
        let Some(Ran::Retry(runnable)) = queue.run_one() else {
            panic!("it is to run again");
        };
        assert_eq!((queue.left().len(), drops.count()), (1, 1));
        if dropped {
            drop(runnable);
        } else {
            // It is not being polled: a shutdown that leaves polls alone takes it too.
            assert!(seated.kill_suspended("not needed"));
            assert!(matches!(runnable.run(&home), Ran::Tombstone(_)));
        }
        assert_eq!((queue.left().len(), drops.count()), (1, 2));
        assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
        gate.forget();
    }
}

/// Panics in its poll, but for the last attempt, and always in its destructor.
struct Panics {
    attempt: Attempt,
    _argument: PanicsInDrop,
}

impl Future for Panics {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        assert!(self.attempt.is_last(), "expected");
        Poll::Ready(())
    }
}

#[test]
fn a_future_that_panics_is_dropped_before_the_next_attempt() {
    let drops = Drops::new();
    let made = drops.clone();
    let body = move |attempt| Panics {
        attempt,
        _argument: PanicsInDrop(made.counted()),
    };
    let (token, mut runnable) = create(&PANICS, Retried::future(body));
    for failed in 1..=2 {
        runnable = fail_once(runnable);
        assert_eq!(drops.count(), failed);
    }
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
    assert_eq!(drops.count(), 3);
    token.get().unwrap();
}

#[test]
fn bodies_of_any_alignment_run_again() {
    #[repr(align(64))]
    #[derive(Clone, Copy)]
    struct Wide(u8);
    let wide = Wide(7);
    let place = |wide: &Wide| std::ptr::from_ref(wide).addr() % 64;
    let body = move |attempt: Attempt| {
        let wide = &wide;
        assert_eq!((place(wide), wide.0), (0, 7));
        if attempt.is_last() { Ok(()) } else { Err(()) }
    };
    let (token, runnable) = create(&THRICE, Retried::fallible(body));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 2);
    token.get().unwrap();
    let body = move |attempt: Attempt| async move {
        let wide = &wide;
        assert_eq!((place(wide), wide.0), (0, 7));
        if attempt.is_last() { Ok(()) } else { Err(()) }
    };
    let (token, runnable) = create(&THRICE, Retried::fallible_future(body));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 2);
    token.get().unwrap();
}

#[test]
fn a_thousand_attempts_are_counted() {
    static THOUSAND: Operation = Operation::new("test.thousand").with_retry(Retry::new(1_000));
    let (token, runnable) = create(&THOUSAND, Retried::fallible(|_| Err::<(), _>(())));
    assert_eq!(run_until_done(runnable, &NoHome::shared()).0, 999);
    assert_eq!(token.status().attempt, 1_000);
    assert_eq!(token.state(), TokenState::Failed);
    // A plain token never leaves its first one.
    let (token, runnable) = create(&ONCE, Plain::new(|| ()));
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(token.status().attempt, 1);
}
