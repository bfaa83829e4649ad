//! The end of a gate while bodies block, never return, or hold a thread outside of any body.
//!
//! What `shutdown.rs` does not have: stuck threads, spares, destructors. Keeps: each body that does
//! not return spins on a flag that its test sets at the end, so that no thread stays.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::{Held, Latch, elsewhere, outcome, small_gate, value, wait_until};
use tokengate::{Handle, Token, TokenError, get_all};

fn killed<T, E>(result: &Result<T, TokenError<E>>) -> bool {
    matches!(result, Err(TokenError::Killed { .. }))
}

/// Spins until it is set: neither a kill nor a stop ends it.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, SeqCst);
    }

    fn spin(&self) {
        while !self.0.load(SeqCst) {
            std::thread::yield_now();
        }
    }
}

/// Waits until the gate takes no calls of bodies any more. In a body.
fn until_it_stops(handle: &Handle) {
    wait_until("the stop", || {
        let mut probe = handle.spawn("probe", || ());
        let answer = probe.get_timeout(Duration::ZERO);
        matches!(answer, Some(Err(TokenError::Rejected(_))))
    });
}

#[test]
fn a_drop_ends_what_is_queued_behind_a_body_that_waits_for_it_outside() {
    let gate = small_gate();
    let (sender, receiver) = std::sync::mpsc::channel::<Token<()>>();
    let (started, done) = (Latch::new(), Latch::new());
    let running = {
        let (started, done) = (started.clone(), done.clone());
        gate.spawn("waits for the thread", move || {
            started.open();
            done.wait();
        })
    };
    started.wait();
    sender.send(gate.spawn("queued", || ())).unwrap();
    // A thread that waits for the queued token, and lets the body go on then.
    let waiter = std::thread::spawn(move || {
        let answer = outcome(receiver.recv().unwrap());
        done.open();
        answer
    });
    elsewhere(move || drop(gate));
    assert!(killed(&waiter.join().unwrap()));
    assert!(outcome(running).is_ok());
}

#[test]
fn a_drop_ends_a_wait_for_a_suspended_body_that_begins_after_the_stop() {
    let gate = small_gate();
    let polled = Latch::new();
    let polling = polled.clone();
    let suspended = gate.spawn_async("suspended", async move {
        polling.open();
        std::future::pending::<()>().await;
    });
    polled.wait();
    let started = Latch::new();
    let waiting = {
        let (started, handle) = (started.clone(), gate.handle());
        gate.spawn("waits", move || {
            started.open();
            until_it_stops(&handle);
            suspended.get()
        })
    };
    started.wait();
    elsewhere(move || drop(gate));
    assert!(killed(&value(waiting)));
}

#[test]
fn a_drop_waits_for_a_poll_and_its_value_counts() {
    let gate = small_gate();
    let started = Latch::new();
    let polled = {
        let (started, handle) = (started.clone(), gate.handle());
        gate.spawn_async("polled", async move {
            // Once suspended it has a place among those that an end drops.
            tokio::task::yield_now().await;
            started.open();
            until_it_stops(&handle);
            // So that the end looks at it while it is polled.
            std::thread::sleep(Duration::from_millis(120));
            7
        })
    };
    started.wait();
    elsewhere(move || drop(gate));
    assert_eq!(value(polled), 7);
}

#[test]
fn a_shutdown_returns_though_a_destructor_does_not() {
    /// Does not return from its destructor until the flag is set.
    struct Stubborn(Latch, Flag);
    impl Drop for Stubborn {
        fn drop(&mut self) {
            self.0.open();
            self.1.spin();
        }
    }
    let gate = small_gate();
    let (flag, entered) = (Flag::default(), Latch::new());
    let stubborn = Stubborn(entered.clone(), flag.clone());
    // The body is over; its result is dropped by the worker, as nobody reads it.
    let held = Held::new(&gate.handle(), "hold");
    gate.spawn("result", move || stubborn).detach();
    held.release();
    entered.wait();
    let report = elsewhere(move || gate.shutdown(Duration::ZERO));
    let stuck: Vec<_> = report
        .stuck
        .iter()
        .map(|thread| thread.thread.as_str())
        .collect();
    assert_eq!(stuck, ["tokengate-1-1"]);
    flag.set();
}

#[test]
fn a_drain_of_a_gate_whose_spares_go_idle_ends() {
    for _ in 0..300 {
        let gate = small_gate();
        let handle = gate.handle();
        let tokens: Vec<_> = (0..3)
            .map(|_| {
                let handle = handle.clone();
                gate.spawn("blocks", move || {
                    let yields = handle.spawn_async("yields", tokio::task::yield_now());
                    yields.get().unwrap();
                })
            })
            .collect();
        assert!(elsewhere(move || gate.shutdown(Duration::MAX)).drained);
        assert!(get_all(tokens).iter().all(Result::is_ok));
    }
}

#[test]
fn a_destructor_that_waits_lets_its_domain_go_on() {
    /// Waits for a token when it is dropped.
    struct Waits(Option<Token<()>>, Latch);
    impl Drop for Waits {
        fn drop(&mut self) {
            let answer = self.0.take().map(outcome);
            assert!(matches!(answer, Some(Ok(()))));
            self.1.open();
        }
    }
    let gate = small_gate();
    let done = Latch::new();
    let held = Held::new(&gate.handle(), "hold");
    let (sender, receiver) = std::sync::mpsc::channel();
    gate.spawn("result", move || receiver.recv().unwrap())
        .detach();
    let token = gate.spawn_async("behind it", tokio::task::yield_now());
    sender.send(Waits(Some(token), done.clone())).unwrap();
    held.release();
    done.wait();
}
