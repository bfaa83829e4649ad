//! A panic stays inside its token: in bodies, in destructors, in wakers.
//!
//! Each case panics on a worker or in the caller's hands, and then looks whether the gate goes on.

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use common::{Census, Held, Latch, Member, PanicsInDrop, outcome, small_gate, value, wait_until};
use tokengate::{Gate, Token, TokenError, task_token_guard};

/// The gate still runs bodies of both kinds.
fn goes_on(gate: &Gate) {
    assert_eq!(value(gate.spawn("after", || 1)), 1);
    let slept = gate.spawn_async("after", async {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        2
    });
    assert_eq!(value(slept), 2);
}

fn message<T: std::fmt::Debug>(token: Token<T>) -> String {
    match outcome(token) {
        Err(TokenError::Panicked(panic)) => panic.message().to_owned(),
        other => panic!("expected a panic, got {other:?}"),
    }
}

#[test]
fn in_a_sync_body() {
    let gate = small_gate();
    let census = Census::new();
    let member = census.member();
    let token = gate.spawn("faulty", move || {
        let _member = member;
        panic!("at {}", 7);
    });
    assert_eq!(message::<()>(token), "at 7");
    assert_eq!(census.alive(), 0);
    goes_on(&gate);
}

#[test]
fn with_a_payload_that_is_not_text() {
    let gate = small_gate();
    let token: Token<()> = gate.spawn("faulty", || std::panic::panic_any(7_u8));
    let Err(TokenError::Panicked(panic)) = outcome(token) else {
        panic!("expected a panic");
    };
    assert_eq!(panic.into_payload().downcast_ref::<u8>(), Some(&7));
    goes_on(&gate);
}

#[test]
fn in_the_first_and_in_a_later_poll() {
    let gate = small_gate();
    let census = Census::new();
    for polls_before in [0, 1, 5] {
        let member = census.member();
        let token: Token<()> = gate.spawn_async("faulty", async move {
            let _member = member;
            for _ in 0..polls_before {
                tokio::time::sleep(std::time::Duration::from_micros(10)).await;
            }
            panic!("after {polls_before} polls");
        });
        assert_eq!(message(token), format!("after {polls_before} polls"));
    }
    assert_eq!(census.alive(), 0);
    goes_on(&gate);
}

#[test]
fn in_the_destructor_of_an_argument_of_a_body_that_ran() {
    #[task_token_guard(operation_type = "drops_its_argument")]
    fn drops_its_argument(argument: PanicsInDrop) -> u32 {
        let _argument = argument;
        7
    }
    let gate = small_gate();
    let _entered = gate.enter();
    // The argument belongs to the body, so the body panicked.
    let text = message(drops_its_argument(PanicsInDrop));
    assert_eq!(text, "in a destructor");
    goes_on(&gate);
}

#[test]
fn in_the_destructor_of_a_body_that_was_killed_before_its_start() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let (by_token, by_killer) = (PanicsInDrop, PanicsInDrop);
    let first = gate.spawn("never", move || drop(by_token));
    let second = gate.spawn("never", move || drop(by_killer));
    let killer = second.killer();
    // The killer drops the body, and does not unwind.
    assert!(first.kill("not needed"));
    assert!(killer.kill("not needed"));
    for token in [first, second] {
        assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    }
    held.release();
    goes_on(&gate);
}

#[test]
fn in_the_destructor_of_a_body_that_the_shutdown_drops() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let argument = PanicsInDrop;
    let queued = gate.spawn("never", move || drop(argument));
    let suspended = PanicsInDrop;
    let body = async move {
        let _suspended = suspended;
        std::future::pending::<()>().await;
    };
    let other = gate.spawn_async("for ever", body);
    drop(held);
    drop(gate);
    assert!(outcome(queued).is_err());
    assert!(matches!(outcome(other), Err(TokenError::Killed { .. })));
}

#[test]
fn in_the_destructor_of_a_result_that_nobody_reads() {
    let gate = small_gate();
    // Dropped by the worker: the handle is gone first.
    let held = Held::new(&gate.handle(), "hold");
    gate.spawn("detached", || PanicsInDrop).detach();
    held.release();
    goes_on(&gate);
    // Dropped by the handle, which does not unwind.
    let token = gate.spawn("unread", || PanicsInDrop);
    wait_until("it ran", || token.is_finished());
    drop(token);
    // An error as well as a value.
    let token = gate.try_spawn("unread", || Err::<(), _>(PanicsInDrop));
    wait_until("it ran", || token.is_finished());
    drop(token);
    goes_on(&gate);
}

#[test]
fn in_the_destructor_of_a_late_result() {
    let gate = small_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let token = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn("late", move || {
            entered.open();
            release.wait();
            PanicsInDrop
        })
    };
    entered.wait();
    assert!(token.kill("too late"));
    assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    release.open();
    goes_on(&gate);
}

/// Ready at once, or never; panics when it is dropped.
struct Faulty {
    ready: bool,
    polled: Latch,
    _argument: PanicsInDrop,
    _member: Member,
}

impl Future for Faulty {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<u32> {
        self.polled.open();
        if self.ready {
            Poll::Ready(7)
        } else {
            Poll::Pending
        }
    }
}

#[test]
fn in_the_destructor_of_a_future() {
    let gate = small_gate();
    let census = Census::new();
    let faulty = |ready, polled: &Latch| Faulty {
        ready,
        polled: polled.clone(),
        _argument: PanicsInDrop,
        _member: census.member(),
    };
    // The value was there before.
    let polled = Latch::new();
    assert_eq!(value(gate.spawn_async("faulty", faulty(true, &polled))), 7);
    goes_on(&gate);
    // Killed while suspended: its domain drops it.
    let polled = Latch::new();
    let token = gate.spawn_async("faulty", faulty(false, &polled));
    polled.wait();
    assert!(token.kill("not needed"));
    assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    wait_until("the future is dropped", || census.alive() == 0);
    goes_on(&gate);
    // Killed before its first poll: the killer drops it.
    let held = Held::new(&gate.handle(), "hold");
    let token = gate.spawn_async("faulty", faulty(false, &Latch::new()));
    assert!(token.kill("not needed"));
    assert_eq!(census.alive(), 0);
    held.release();
    goes_on(&gate);
}

/// Panics when it wakes.
struct FaultyWaker(Latch);

impl Wake for FaultyWaker {
    fn wake(self: Arc<Self>) {
        self.0.open();
        panic!("in a waker");
    }
}

#[test]
fn in_the_wake_of_a_waker() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let mut plain = gate.spawn("watched", || 7);
    let mut later = gate.spawn_async("watched", async { 8 });
    let woken = [Latch::new(), Latch::new()];
    for (token, woken) in [&mut plain, &mut later].into_iter().zip(&woken) {
        let waker = Waker::from(Arc::new(FaultyWaker(woken.clone())));
        let polled = Pin::new(token).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    held.release();
    woken.iter().for_each(Latch::wait);
    assert_eq!(value(plain), 7);
    assert_eq!(value(later), 8);
    goes_on(&gate);
}
