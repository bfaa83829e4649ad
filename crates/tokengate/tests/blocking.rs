//! Bodies that block on tokens: run in place, or with a spare in the worker's stead.

mod common;

use std::sync::mpsc::channel;
use std::time::Duration;

use common::{Latch, lone_workers, small_gate, value};
use tokengate::{
    DeadlockCause, Domains, Gate, Handle, TokenError, Weight, WeightRanges, get_all,
    task_token_guard,
};

/// Longer than any wait here can be, unless it hangs.
const HANG: Duration = Duration::from_secs(60);

fn one_worker() -> tokengate::Builder {
    Gate::builder().domains(lone_workers(1))
}

/// Runs `body` on a gate, under the guard.
fn guarded<T: Send + 'static>(
    gate: &Gate,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TokenError> {
    let mut token = gate.spawn("test.outer", body);
    token.get_timeout(HANG).expect("the gate hangs")
}

#[task_token_guard(operation_type = "test.child")]
fn child(n: u64) -> u64 {
    n + 1
}

#[task_token_guard(operation_type = "test.nested")]
fn nested(levels: u64) -> u64 {
    if levels == 0 {
        return 0;
    }
    nested(levels - 1).get().expect("the level below") + 1
}

#[test]
fn a_lead_blocks_on_its_children_on_a_gate_with_one_worker() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let sum = guarded(&gate, || {
        let children: Vec<_> = (0..4).map(child).collect();
        let each = children.into_iter().map(|child| child.get().unwrap());
        each.sum::<u64>()
    });
    assert_eq!(sum.unwrap(), 1 + 2 + 3 + 4);
    let sum = guarded(&gate, || {
        let children: Vec<_> = (0..4).map(child).collect();
        let each = get_all(children).into_iter().map(Result::unwrap);
        each.sum::<u64>()
    });
    assert_eq!(sum.unwrap(), 1 + 2 + 3 + 4);
}

#[test]
fn a_thousand_levels_finish_with_spares() {
    let gate = one_worker().thread_stack_size(16 << 20).start().unwrap();
    assert_eq!(
        guarded(&gate, || nested(1_000).get().unwrap()).unwrap(),
        1_000
    );
}

#[test]
fn an_awaited_body_runs_on_the_thread_of_its_waiter() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let same = guarded(&gate, || {
        let me = std::thread::current().id();
        let handle = tokengate::Handle::current().unwrap();
        let child = handle.spawn("test.where", || std::thread::current().id());
        child.get().unwrap() == me
    });
    assert!(same.unwrap());
}

#[test]
fn waits_in_both_directions_between_two_domains_finish() {
    let ranges = WeightRanges::new(1, 2, 2).with_lending(false);
    let gate = Gate::builder()
        .domains(Domains::Count(2))
        .weight_ranges(ranges)
        .start()
        .unwrap();
    let handle = gate.handle();
    static FIRST: tokengate::Operation =
        tokengate::Operation::new("test.any").with_weight(Weight::Heavy);
    static SECOND: tokengate::Operation =
        tokengate::Operation::new("test.second").with_weight(Weight::Light);
    let mut outer: Vec<_> = (0..64)
        .map(|n| {
            let inner = handle.clone();
            let (out, back) = if n % 2 == 0 {
                (&FIRST, &SECOND)
            } else {
                (&SECOND, &FIRST)
            };
            handle.spawn(out, move || {
                let tokens: Vec<_> = (0..8).map(|m| inner.spawn(back, move || m)).collect();
                get_all(tokens).into_iter().map(Result::unwrap).sum::<u64>()
            })
        })
        .collect();
    for token in &mut outer {
        let sum = token.get_timeout(HANG).expect("the gate hangs");
        assert_eq!(sum.unwrap(), 28);
    }
}

#[test]
fn a_wait_for_a_suspended_body_lets_its_domain_go_on() {
    let gate = one_worker().start().unwrap();
    let sum = guarded(&gate, || {
        let handle = tokengate::Handle::current().unwrap();
        let slow = handle.spawn_async("test.slow", async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            1
        });
        slow.get().unwrap()
    });
    assert_eq!(sum.unwrap(), 1);
}

#[test]
fn without_spares_a_wait_that_cannot_end_says_so_and_the_token_completes() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let (done, completed) = channel();
    let error = guarded(&gate, move || {
        let handle = tokengate::Handle::current().unwrap();
        let later = handle.spawn_async("test.later", async move {
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        });
        later.get().unwrap_err()
    });
    let TokenError::WouldDeadlock { cause, .. } = error.unwrap() else {
        panic!("the wait ended otherwise");
    };
    assert_eq!(cause, DeadlockCause::SparesExhausted);
    completed.recv_timeout(HANG).expect("the token was lost");
}

#[test]
fn a_wait_with_a_limit_runs_nothing_in_place_and_leaves_the_token_usable() {
    let gate = one_worker().start().unwrap();
    let elsewhere = guarded(&gate, || {
        let me = std::thread::current().id();
        let handle = tokengate::Handle::current().unwrap();
        let mut child = handle.spawn("test.where", || std::thread::current().id());
        let ran_on = child.get_timeout(HANG).expect("the gate hangs").unwrap();
        ran_on != me
    });
    assert!(elsewhere.unwrap());
    let usable = guarded(&gate, || {
        let (open, door) = channel::<()>();
        let handle = tokengate::Handle::current().unwrap();
        let mut waiting = handle.spawn("test.door", move || door.recv().is_ok());
        let early = waiting.get_timeout(Duration::from_millis(1)).is_none();
        open.send(()).unwrap();
        early && waiting.get().unwrap()
    });
    assert!(usable.unwrap());
}

#[test]
fn many_bodies_block_at_once_and_every_handle_resolves_at_shutdown() {
    let gate = Gate::builder().domains(Domains::Count(2)).start().unwrap();
    let handle = gate.handle();
    let outer: Vec<_> = (0..100u64)
        .map(|n| {
            let inner = handle.clone();
            handle.spawn("test.outer", move || {
                let far: Vec<_> = (0..4)
                    .map(|m| inner.spawn("test.inner", move || n + m))
                    .collect();
                get_all(far).into_iter().filter(Result::is_ok).count()
            })
        })
        .collect();
    gate.shutdown(HANG);
    for token in outer {
        assert!(token.is_finished());
        assert_eq!(token.get().unwrap(), 4);
    }
}

#[test]
fn levels_that_wait_for_many_finish() {
    fn tree(handle: &tokengate::Handle, levels: u64) -> u64 {
        if levels == 0 {
            return 1;
        }
        let below: Vec<_> = (0..3)
            .map(|_| {
                let inner = handle.clone();
                handle.spawn("test.tree", move || tree(&inner, levels - 1))
            })
            .collect();
        get_all(below).into_iter().map(Result::unwrap).sum()
    }
    let gate = Gate::builder().domains(Domains::Count(3)).start().unwrap();
    let handle = gate.handle();
    assert_eq!(guarded(&gate, move || tree(&handle, 4)).unwrap(), 81);
}

#[test]
fn a_child_that_panics_in_place_leaves_its_waiter_whole() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let panicked = guarded(&gate, || {
        let handle = tokengate::Handle::current().unwrap();
        let child = handle.spawn("test.panics", || panic!("in place"));
        let panicked = matches!(child.get(), Err(TokenError::Panicked(_)));
        panicked && handle.spawn("test.after", || 7).get().unwrap() == 7
    });
    assert!(panicked.unwrap());
    assert_eq!(guarded(&gate, || 7).unwrap(), 7);
}

#[test]
fn a_waiter_that_is_killed_while_its_child_runs_in_place_goes_on() {
    let gate = one_worker().max_spares(0).start().unwrap();
    let (enter, entered) = channel();
    let (release, released) = channel::<()>();
    let (tell, told) = channel();
    let outer = gate.spawn("test.outer", move || {
        let handle = tokengate::Handle::current().unwrap();
        let child = handle.spawn("test.inner", move || {
            enter.send(()).unwrap();
            released.recv_timeout(HANG).unwrap();
            tokengate::cancelled()
        });
        let child_saw = child.get().unwrap();
        tell.send((child_saw, tokengate::cancelled())).unwrap();
    });
    entered.recv_timeout(HANG).unwrap();
    assert!(outer.kill("test"));
    assert!(matches!(outer.get(), Err(TokenError::Killed { .. })));
    release.send(()).unwrap();
    // The kill is the waiter's alone.
    assert_eq!(told.recv_timeout(HANG).unwrap(), (false, true));
}

#[test]
fn async_bodies_and_bodies_on_spares_may_block_too() {
    let gate = one_worker().start().unwrap();
    let handle = gate.handle();
    type Level = std::pin::Pin<Box<dyn Future<Output = u64> + Send>>;
    /// Blocks on a body that cannot run in place, and that does the same one level below.
    fn level(handle: tokengate::Handle, levels: u64) -> Level {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if levels == 0 {
                return 0;
            }
            let below = level(handle.clone(), levels - 1);
            handle.spawn_async("test.level", below).get().unwrap() + 1
        })
    }
    // Each level holds a thread: the worker, then one spare after another.
    let mut token = gate.spawn_async("test.level", level(handle, 20));
    assert_eq!(token.get_timeout(HANG).expect("hangs").unwrap(), 20);
}

#[test]
fn a_body_that_yields_does_not_keep_a_spare_from_the_queue_of_its_worker() {
    let gate = small_gate();
    let stop = Latch::new();
    let endless = {
        let stop = stop.clone();
        gate.spawn_async("test.yields", async move {
            while !stop.is_open() {
                smol::future::yield_now().await;
            }
        })
    };
    let done = guarded(&gate, move || {
        let gate = Handle::current().expect("in a body");
        // In the queue of this worker, and not to be run in place.
        let awaited = (0..3).map(|n| gate.spawn_async("test.awaited", async move { n }));
        let results = get_all(awaited.collect::<Vec<_>>());
        stop.open();
        results.into_iter().filter(Result::is_ok).count()
    });
    assert_eq!(done.unwrap(), 3);
    value(endless);
}

#[test]
fn spares_are_used_again() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let gate = one_worker()
        .on_thread_start(|_| {
            STARTED.fetch_add(1, Relaxed);
        })
        .start()
        .unwrap();
    let workers = gate.plan().worker_count();
    guarded(&gate, || {
        let handle = tokengate::Handle::current().unwrap();
        for _ in 0..10_000 {
            let yields = handle.spawn_async("test.yields", tokio::task::yield_now());
            yields.get().unwrap();
        }
    })
    .unwrap();
    let started = STARTED.load(Relaxed);
    // One that takes the waiter's place, and one if the first is still about to go idle.
    assert!(started <= workers + 2, "{started} threads");
}

#[test]
fn two_gates_may_wait_for_each_other() {
    let gates = [one_worker().start().unwrap(), one_worker().start().unwrap()];
    fn bounce(to: [tokengate::Handle; 2], left: u64) -> u64 {
        let [first, second] = to.clone();
        match left {
            0 => 0,
            _ => {
                let back = [second, first.clone()];
                let token = first.spawn("test.bounce", move || bounce(back, left - 1));
                token.get().unwrap() + 1
            }
        }
    }
    let handles = [gates[0].handle(), gates[1].handle()];
    assert_eq!(guarded(&gates[1], move || bounce(handles, 40)).unwrap(), 40);
}
