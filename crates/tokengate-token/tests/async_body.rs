//! Async bodies: polled at home, one runnable for each wake-up, dropped by whoever owns them.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use common::{Counted, Drops, Gate, OP, Queue, Wakes, poll_with};
use tokengate_token::{
    Async, FallibleAsync, Home, NoHome, Ran, Token, TokenError, TokenState, cancelled, create,
    current,
};

/// A body that waits at `gate`, holding a counted value, and gives another.
fn waiting(gate: &Arc<Gate>, held: &Drops, given: &Drops) -> impl Future<Output = Counted> + use<> {
    let (wait, held, given) = (gate.wait(), held.counted(), given.counted());
    async move {
        wait.await;
        drop(held);
        given
    }
}

/// As above, suspended.
fn suspended(queue: &Arc<Queue>, gate: &Arc<Gate>, held: &Drops) -> Token<Counted> {
    let token = queue.spawn(Async::new(waiting(gate, held, &Drops::new())));
    assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
    token
}

#[test]
fn a_suspended_body_is_posted_home_by_its_waker_and_goes_on() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let (held, given) = (Drops::new(), Drops::new());
    let mut token = queue.spawn(Async::new(waiting(&gate, &held, &given)));
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
    assert_eq!(queue.len(), 0);
    gate.open();
    gate.waker().wake_by_ref();
    assert_eq!(queue.len(), 1);
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert_eq!(wakes.count(), 1);
    assert_eq!((held.count(), given.count()), (1, 0));
    drop(token.get().unwrap());
    assert_eq!((held.count(), given.count()), (1, 1));
}

#[test]
fn wake_ups_before_the_next_poll_give_one_runnable() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let token = suspended(&queue, &gate, &Drops::new());
    let waker = gate.waker();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| waker.wake_by_ref()));
        }
    });
    assert_eq!(queue.len(), 1);
    // A poll that stays pending takes the wake-ups so far; the next one counts again.
    assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
    assert_eq!(queue.len(), 0);
    waker.wake();
    assert_eq!(queue.len(), 1);
    drop(token);
    queue.end();
}

/// Wakes itself this often, while it is polled.
struct Yields(u8);

impl Future for Yields {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        if self.0 == 0 {
            return Poll::Ready("yielded");
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        let own = context.waker().clone();
        own.wake();
        Poll::Pending
    }
}

#[test]
fn a_body_woken_during_its_poll_is_given_back_to_run_again() {
    let queue = Queue::shared();
    let token = queue.spawn(Async::new(Yields(2)));
    for _ in 0..2 {
        let Some(Ran::Again(runnable)) = queue.run_one() else {
            panic!("it woke itself");
        };
        assert_eq!(queue.len(), 0);
        queue.post(runnable);
    }
    assert!(matches!(queue.run_one(), Some(Ran::Completed)));
    assert_eq!(token.get().unwrap(), "yielded");
}

#[test]
fn a_body_given_back_and_dropped_is_killed_with_its_future() {
    let (queue, held) = (Queue::shared(), Drops::new());
    let counted = held.counted();
    let token = queue.spawn(Async::new(async move {
        Yields(1).await;
        drop(counted);
    }));
    drop(queue.run_one());
    assert_eq!(held.count(), 1);
    assert_eq!(token.state(), TokenState::Killed);
    assert_eq!(queue.left(), [0]);
}

#[test]
fn late_wake_ups_do_nothing_and_keep_no_future() {
    let (queue, gate, held) = (Queue::shared(), Gate::shared(), Drops::new());
    let token = suspended(&queue, &gate, &held);
    let waker = gate.waker();
    gate.open();
    waker.wake_by_ref();
    queue.run_all();
    assert_eq!(held.count(), 1, "a waker does not keep the future");
    waker.wake_by_ref();
    drop(token.get().unwrap());
    waker.wake();
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_killed_body_is_dropped_at_home_or_when_its_poll_returns() {
    let (queue, gate, held) = (Queue::shared(), Gate::shared(), Drops::new());
    let token = suspended(&queue, &gate, &held);
    assert!(token.kill("no"));
    assert_eq!((held.count(), queue.len()), (0, 1));
    gate.waker().wake();
    assert_eq!(queue.len(), 1, "killed and woken is still one runnable");
    assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
    assert_eq!(held.count(), 1);

    // During its poll, by itself.
    let killer = Arc::new(std::sync::Mutex::new(None::<tokengate_token::Killer>));
    let (own, counted, wait) = (killer.clone(), held.counted(), Gate::shared().wait());
    let token = queue.spawn(Async::new(async move {
        own.lock().unwrap().as_ref().unwrap().kill("myself");
        assert!(cancelled());
        wait.await;
        drop(counted);
    }));
    *killer.lock().unwrap() = Some(token.killer());
    assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
    assert_eq!(held.count(), 2);

    // Queued again.
    let gate = Gate::shared();
    let token = suspended(&queue, &gate, &held);
    gate.waker().wake();
    assert!(token.kill("no"));
    assert_eq!((held.count(), queue.len()), (2, 1));
    assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
    assert_eq!(held.count(), 3);
}

#[test]
fn without_a_home_a_suspended_body_is_killed_when_it_is_woken() {
    let (gate, held) = (Gate::shared(), Drops::new());
    let (token, runnable) = create(&OP, Async::new(waiting(&gate, &held, &Drops::new())));
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Suspended));
    assert!(!token.is_finished());
    gate.waker().wake();
    assert_eq!(held.count(), 1);
    let error = token.get().unwrap_err();
    assert!(error.to_string().contains("no home"), "{error}");
}

#[test]
fn a_seat_is_taken_before_the_first_suspension_and_left_at_the_end() {
    let queue = Queue::shared();
    let quick = queue.spawn(Async::new(async { 1 }));
    queue.run_all();
    assert_eq!(quick.get().unwrap(), 1);
    assert_eq!(queue.seats_taken(), 0, "it was never suspended");

    let gates = [Gate::shared(), Gate::shared()];
    let tokens: Vec<_> = gates
        .iter()
        .map(|gate| suspended(&queue, gate, &Drops::new()))
        .collect();
    gates[1].waker().wake();
    queue.run_all();
    assert_eq!(
        queue.seats_taken(),
        2,
        "one for each body, not for each suspension"
    );
    assert!(queue.left().is_empty());
    gates[1].open();
    gates[1].waker().wake();
    queue.run_all();
    assert_eq!(queue.left(), [1]);
    assert!(tokens[0].kill("no"));
    queue.run_all();
    assert_eq!(queue.left(), [1, 0]);
}

#[test]
fn a_seated_reference_ends_its_body() {
    let (queue, gate, held) = (Queue::shared(), Gate::shared(), Drops::new());
    suspended(&queue, &gate, &held).detach();
    let [reference] = queue.seated().try_into().unwrap();
    assert!(reference.kill("shut down"));
    assert!(!reference.clone().kill("again"));
    queue.run_all();
    assert_eq!(held.count(), 1);
    assert!(!reference.kill("gone"));
}

#[test]
fn a_body_that_is_polled_can_be_left_alone() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let (wait, home) = (gate.wait(), queue.clone());
    let token = queue.spawn(Async::new(async move {
        wait.await;
        let [own] = home.seated().try_into().unwrap();
        assert!(!own.kill_suspended("while it runs"));
        assert!(!cancelled());
    }));
    queue.run_all();
    gate.open();
    gate.waker().wake();
    queue.run_all();
    token.get().unwrap();

    for queued in [false, true] {
        let (gate, held) = (Gate::shared(), Drops::new());
        let token = suspended(&queue, &gate, &held);
        if queued {
            gate.waker().wake();
        }
        let [reference] = queue.seated().try_into().unwrap();
        assert!(reference.kill_suspended("between two polls"));
        assert!(token.is_finished());
        assert!(matches!(queue.run_one(), Some(Ran::Dropped(_))));
        assert_eq!((held.count(), queue.len()), (1, 0));
    }
}

#[test]
fn the_home_is_let_go_with_the_last_reference() {
    let (queue, gate, held) = (Queue::shared(), Gate::shared(), Drops::new());
    let token = suspended(&queue, &gate, &held);
    assert_eq!(Arc::strong_count(&queue), 2);
    gate.open();
    let late = gate.waker();
    late.wake_by_ref();
    queue.run_all();
    gate.forget();
    drop(token);
    assert_eq!(Arc::strong_count(&queue), 2, "a waker may still post");
    drop(late);
    assert_eq!(Arc::strong_count(&queue), 1);
}

#[test]
fn a_body_stays_in_its_first_home() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let token = suspended(&queue, &gate, &Drops::new());
    gate.waker().wake();
    let runnable = queue.pop().unwrap();
    let elsewhere = Queue::shared();
    assert!(matches!(
        runnable.run(&(elsewhere.clone() as _)),
        Ran::Suspended
    ));
    gate.waker().wake();
    assert_eq!((queue.len(), elsewhere.len()), (1, 0));
    drop(token);
    queue.end();
}

#[test]
fn the_destructor_of_a_future_may_wake_and_kill_its_own_token() {
    struct Meddles(Arc<Gate>, Arc<std::sync::Mutex<Option<Token<()>>>>);
    impl Drop for Meddles {
        fn drop(&mut self) {
            self.0.waker().wake();
            let token = self.1.lock().unwrap().take().unwrap();
            token.kill("from its own future");
        }
    }
    for kill in [false, true] {
        let (queue, gate) = (Queue::shared(), Gate::shared());
        let slot = Arc::default();
        let (meddles, wait) = (Meddles(gate.clone(), Arc::clone(&slot)), gate.wait());
        let token = queue.spawn(Async::new(async move {
            let _held = meddles;
            wait.await;
        }));
        assert!(matches!(queue.run_one(), Some(Ran::Suspended)));
        if kill {
            assert!(token.kill("from outside"));
        } else {
            gate.open();
            gate.waker().wake();
        }
        *slot.lock().unwrap() = Some(token);
        queue.run_all();
        assert_eq!(queue.left(), [0]);
        assert!(slot.lock().unwrap().is_none());
    }
}

#[test]
fn a_body_knows_its_token_in_each_poll() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let wait = gate.wait();
    let token = queue.spawn(FallibleAsync::new(async move {
        let first = current().unwrap().0;
        wait.await;
        if current().unwrap().0 == first {
            Ok(first)
        } else {
            Err("another token")
        }
    }));
    queue.run_all();
    assert!(current().is_none());
    gate.open();
    gate.waker().wake();
    queue.run_all();
    let id = token.id();
    assert_eq!(token.get().unwrap(), id);
}

#[test]
fn a_token_may_be_awaited_in_the_body_of_another() {
    let queue = Queue::shared();
    let inner = queue.spawn(Async::new(Yields(3)));
    let outer = queue.spawn(Async::new(async move {
        inner.await.map(str::len).map_err(|error| error.to_string())
    }));
    queue.run_all();
    assert_eq!(outer.get().unwrap(), Ok(7));
    assert_eq!(queue.left().len(), queue.seats_taken());
}

#[test]
fn wakers_of_one_body_are_the_same() {
    let (queue, gate) = (Queue::shared(), Gate::shared());
    let token = suspended(&queue, &gate, &Drops::new());
    let first = gate.waker();
    first.wake_by_ref();
    queue.run_all();
    assert!(first.will_wake(&gate.waker()));
    assert!(!first.will_wake(Waker::noop()));
    assert!(token.kill("no"));
    queue.run_all();
    assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
}
