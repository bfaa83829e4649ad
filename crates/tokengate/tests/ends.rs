//! The end of a gate while bodies block, never return, or hold a thread outside of any body.
//!
//! What `shutdown.rs` does not have: stuck threads, spares, destructors. Keeps: each body that does
//! not return spins on a flag that its test sets at the end, so that no thread stays.

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use common::{HANG, Held, Latch, elsewhere, outcome, small_gate, value, wait_until};
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

#[test]
fn a_gate_that_is_idle_ends_at_once() {
    let gate = small_gate();
    assert_eq!(value(gate.spawn("one", || 1)), 1);
    let report = elsewhere(move || gate.shutdown(HANG));
    assert!(report.drained && report.stuck.is_empty());
    assert_eq!((report.purged, report.cancelled), (0, 0));
}

#[test]
fn a_shutdown_returns_though_a_body_does_not() {
    let gate = small_gate();
    let (flag, started) = (Flag::default(), Latch::new());
    let (send_children, children) = std::sync::mpsc::channel();
    let running = {
        let (flag, started, handle) = (flag.clone(), started.clone(), gate.handle());
        gate.spawn("never returns", move || {
            let children: Vec<_> = (0..10).map(|n| handle.spawn("child", move || n)).collect();
            send_children.send(children).unwrap();
            started.open();
            flag.spin();
        })
    };
    started.wait();
    let queued: Vec<_> = (0..10).map(|n| gate.spawn("queued", move || n)).collect();
    let queued_async: Vec<_> = (0..10)
        .map(|n| gate.spawn_async("queued", async move { n }))
        .collect();
    let report = elsewhere(move || gate.shutdown(Duration::from_millis(1)));
    assert!(!report.drained);
    assert_eq!((report.purged, report.cancelled), (30, 1));
    let [stuck] = &report.stuck[..] else {
        panic!("{report:?}");
    };
    assert_eq!(stuck.thread, "tokengate-1-1");
    assert_eq!(stuck.operations, ["never returns"]);
    // All had resolved when it returned.
    assert!(running.is_finished() && killed(&running.get()));
    let mut rest = children.recv().unwrap();
    rest.extend(queued);
    rest.extend(queued_async);
    assert!(rest.iter().all(Token::is_finished));
    assert!(get_all(rest).iter().all(killed));
    flag.set();
}

#[test]
fn a_stuck_body_below_another_is_named_too() {
    let gate = small_gate();
    let (flag, started) = (Flag::default(), Latch::new());
    let outer = {
        let (flag, started, handle) = (flag.clone(), started.clone(), gate.handle());
        gate.spawn("outer", move || {
            let inner = handle.spawn("inner", move || {
                started.open();
                flag.spin();
            });
            inner.get()
        })
    };
    started.wait();
    let report = elsewhere(move || gate.shutdown(Duration::ZERO));
    let operations: Vec<_> = report
        .stuck
        .iter()
        .map(|stuck| &stuck.operations[..])
        .collect();
    assert_eq!(operations, [["inner", "outer"]]);
    assert!(killed(&outer.get().map(drop)));
    flag.set();
}

#[test]
fn bodies_that_call_at_every_stage_end_with_all_their_calls_resolved() {
    for limit in [Duration::ZERO, Duration::from_millis(3)] {
        let gate = small_gate();
        let handle = gate.handle();
        let (sender, receiver) = std::sync::mpsc::channel();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (handle, sender) = (handle.clone(), sender.clone());
                gate.spawn_async("calls", async move {
                    while !tokengate::cancelled() {
                        let _ = sender.send(handle.spawn("called", || ()));
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        drop(sender);
        let report = elsewhere(move || gate.shutdown(limit));
        assert!(!report.drained && report.stuck.is_empty(), "{report:?}");
        assert!(get_all(callers).iter().all(killed));
        assert!(receiver.iter().all(|token| token.is_finished()));
    }
}

#[test]
fn handles_that_are_polled_during_the_end_are_ready() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), "hold");
    let tokens: Vec<_> = (0..100)
        .map(|_| gate.spawn_async("suspended", std::future::pending::<()>()))
        .collect();
    let polling = std::thread::spawn(move || smol::block_on(tokengate::join_all(tokens)));
    let ending = std::thread::spawn(move || gate.shutdown(Duration::ZERO));
    let results = elsewhere(move || polling.join().unwrap());
    assert!(results.iter().all(killed));
    drop(held);
    elsewhere(move || ending.join().unwrap());
}

#[test]
fn a_gate_whose_threads_cannot_start_leaves_nothing_behind() {
    let error = tokengate::Gate::builder()
        .thread_stack_size(usize::MAX / 2)
        .thread_name(|_| "huge".to_owned())
        .start()
        .unwrap_err();
    let tokengate::StartError::Thread { started, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(started, 0);
}

#[test]
fn a_gate_that_is_idle_unparks_nobody() {
    let gate = small_gate();
    assert_eq!(value(gate.spawn_async("one", async { 1 })), 1);
    let counts = |gate: &tokengate::Gate| {
        let timing = gate.stats();
        (timing.parks(), timing.unparks())
    };
    // At some time it rests: a gate that ticks never does.
    wait_until("it rests", || {
        let before = counts(&gate);
        std::thread::sleep(Duration::from_millis(100));
        counts(&gate) == before
    });
}
