//! Calls and waits from destructors, and from threads that end: nothing is lost.
//!
//! A thread's locals are destroyed in turn, the project's among them, so each case runs before and
//! after those are gone.

mod common;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use common::{Census, Held, elsewhere, small_gate, value, wait_until, wide_gate};
use tokengate::{Handle, Token, get_all, task_token_guard};

/// Calls a closure when the thread's locals are destroyed.
#[derive(Default)]
struct AtEnd(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            last();
        }
    }
}

thread_local! {
    static AT_END: AtEnd = AtEnd::default();
}

/// When a thread's last words are said.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Its last words were registered first, so they are said when the rest is gone.
    AfterTheRest,
    /// The rest was there first, so it is still alive.
    BeforeTheRest,
    /// Nothing was used before.
    First,
}

/// Says `words` in a destructor of a thread's local; gives what they give.
fn last_words<R: Send + 'static>(
    when: When,
    gate: &Handle,
    words: impl FnOnce(&Handle) -> R + Send + 'static,
) -> R {
    let (sender, receiver) = std::sync::mpsc::channel();
    let gate = gate.clone();
    let thread = std::thread::spawn(move || {
        // Another gate, as the workers of this one may be held.
        let warm_up = small_gate();
        let use_all = || {
            value(warm_up.spawn("warm up", || ()));
            warm_up.batch(|| drop(warm_up.spawn("warm up", || ())));
        };
        let last = move || sender.send(words(&gate)).unwrap();
        let prepare = || AT_END.with(|at_end| at_end.0.replace(Some(Box::new(last))));
        match when {
            When::AfterTheRest => {
                prepare();
                use_all();
            }
            When::BeforeTheRest => {
                use_all();
                prepare();
            }
            When::First => drop(prepare()),
        }
    });
    let said = receiver.recv_timeout(common::HANG);
    thread.join().unwrap();
    said.unwrap_or_else(|error| panic!("{when:?}: {error}"))
}

const EVER: [When; 3] = [When::AfterTheRest, When::BeforeTheRest, When::First];

#[test]
fn a_thread_that_ends_may_call_and_wait() {
    let gate = wide_gate();
    for when in EVER {
        let sum = last_words(when, &gate.handle(), |gate| {
            let plain = gate.spawn("plain", || 1).get().unwrap();
            let slept = gate.spawn_async("async", async {
                tokio::time::sleep(std::time::Duration::from_micros(100)).await;
                2
            });
            let slept = value(slept);
            let many = (0..10)
                .map(|n| gate.spawn("many", move || n))
                .collect::<Vec<_>>();
            plain + slept + get_all(many).into_iter().map(Result::unwrap).sum::<u32>()
        });
        assert_eq!(sum, 48, "{when:?}");
    }
}

#[test]
fn a_thread_that_ends_may_open_a_batch() {
    let gate = wide_gate();
    for when in EVER {
        let tokens = last_words(when, &gate.handle(), |gate| {
            gate.batch(|| {
                let tokens: Vec<_> = (0..100).map(|n| gate.spawn("batched", move || n)).collect();
                assert_eq!(value(gate.spawn("waited for inside", || 1)), 1);
                tokens
            })
        });
        let sum: u32 = get_all(tokens).into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, 4_950, "{when:?}");
    }
}

#[test]
fn a_token_that_was_made_before_can_be_waited_for() {
    let gate = small_gate();
    for when in EVER {
        let held = Held::new(&gate.handle(), "hold");
        let token = gate.spawn("slow", || 7);
        let waiter = {
            let handle = gate.handle();
            std::thread::spawn(move || last_words(when, &handle, |_| value(token)))
        };
        held.release();
        assert_eq!(elsewhere(|| waiter.join().unwrap()), 7, "{when:?}");
    }
}

#[test]
fn a_thread_that_ends_may_kill_and_drop() {
    let gate = small_gate();
    let census = Census::new();
    for when in EVER {
        let held = Held::new(&gate.handle(), "hold");
        let members = [(); 3].map(|()| census.member());
        let tokens = members.map(|member| gate.spawn("queued", move || drop(member)));
        let resolved = gate.spawn("resolved", || ());
        let killed = last_words(when, &gate.handle(), move |_| {
            let [by_token, by_killer, detached] = tokens;
            let killer = by_killer.killer();
            drop(detached);
            drop(resolved.kill_on_drop());
            by_token.kill("not needed") && killer.kill("not needed")
        });
        assert!(killed, "{when:?}");
        assert_eq!(
            census.alive(),
            1,
            "{when:?}: the detached one is still queued"
        );
        held.release();
        wait_until("the detached one ran", || census.alive() == 0);
    }
}

#[test]
fn tokens_of_a_thread_that_ended_run() {
    let gate = wide_gate();
    let runs = Arc::new(AtomicUsize::new(0));
    let kept: Vec<Token<usize>> = (0..20)
        .flat_map(|_| {
            let (handle, runs) = (gate.handle(), runs.clone());
            elsewhere(move || {
                let call = || {
                    let runs = runs.clone();
                    handle.spawn("counted", move || runs.fetch_add(1, SeqCst))
                };
                call().detach();
                [call(), call()]
            })
        })
        .collect();
    assert!(get_all(kept).into_iter().all(|result| result.is_ok()));
    wait_until("the detached ones ran", || runs.load(SeqCst) == 60);
}

#[test]
fn room_that_a_thread_had_drawn_comes_back_when_it_ends() {
    let gate = tokengate::Gate::builder()
        .domains(common::lone_workers(1))
        .capacity(4_096)
        .on_full(tokengate::Full::Reject)
        .start()
        .unwrap();
    // Each draws a block of room and uses one place.
    for _ in 0..500 {
        let handle = gate.handle();
        elsewhere(move || value(handle.spawn("one call", || ())));
    }
    let held = Held::new(&gate.handle(), "hold");
    let queued: Vec<_> = (0..4_096)
        .map(|n| gate.spawn("queued", move || n))
        .collect();
    held.release();
    let taken = get_all(queued)
        .iter()
        .filter(|result| result.is_ok())
        .count();
    // The worker may hold a block back while it is in a body.
    assert!(taken >= 4_096 - 64, "only {taken} places are left");
}

#[test]
fn calls_come_from_destructors_of_arguments_and_results() {
    #[task_token_guard(operation_type = "last_wish")]
    fn last_wish(runs: Arc<AtomicUsize>) -> usize {
        runs.fetch_add(1, SeqCst)
    }

    /// Makes a call when it is dropped, to whatever gate that is.
    struct Caller(Arc<AtomicUsize>);
    impl Drop for Caller {
        fn drop(&mut self) {
            drop(last_wish(self.0.clone()));
        }
    }

    let gate = small_gate();
    let _entered = gate.enter();
    let runs = Arc::new(AtomicUsize::new(0));
    let caller = || Caller(runs.clone());
    let mut expected = 0;
    let mut comes_true = |what: &str| {
        expected += 1;
        wait_until(what, || runs.load(SeqCst) == expected);
    };

    let argument = caller();
    value(gate.spawn("ran", move || drop(argument)));
    comes_true("an argument that the body drops");

    let argument = caller();
    let token = gate.spawn_async("ran", async move {
        tokio::task::yield_now().await;
        drop(argument);
    });
    value(token);
    comes_true("an argument that an async body drops");

    let held = Held::new(&gate.handle(), "hold");
    gate.spawn("detached", {
        let runs = runs.clone();
        move || Caller(runs)
    })
    .detach();
    held.release();
    comes_true("a result that the worker drops");

    let result = caller();
    let token = gate.spawn("unread", move || result);
    wait_until("it ran", || token.is_finished());
    drop(token);
    comes_true("a result that the handle drops");

    let held = Held::new(&gate.handle(), "hold");
    let argument = caller();
    let token = gate.spawn("killed", move || drop(argument));
    assert!(token.kill("not needed"));
    held.release();
    comes_true("an argument that the killer drops");

    let argument = caller();
    let started = common::Latch::new();
    let token = {
        let started = started.clone();
        gate.spawn_async("suspended", async move {
            let _argument = argument;
            started.open();
            std::future::pending::<()>().await;
        })
    };
    started.wait();
    assert!(token.kill("not needed"));
    comes_true("what a suspended body held");
}
