//! Room for root tokens: exact when small, and what each form of submitting does without it.
//!
//! The one worker is held, so that nothing that is queued starts and gives its room back.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use common::{
    Census, HANG, Held, Latch, Member, Wakes, elsewhere, lone_workers, outcome, value, wait_until,
};
use tokengate::{
    Full, Gate, RejectCause, StartError, Token, TokenError, get_all, task_token_guard,
};

fn gate_with(capacity: usize, full: Full) -> Gate {
    Gate::builder()
        .domains(lone_workers(1))
        .capacity(capacity)
        .on_full(full)
        .start()
        .unwrap()
}

#[task_token_guard(operation_type = "keep")]
fn keep(n: u32, member: Member) -> u32 {
    drop(member);
    n
}

/// Fills a gate; its tokens.
fn fill(gate: &Gate, capacity: usize) -> Vec<Token<u32>> {
    let calls = 0..u32::try_from(capacity).unwrap();
    calls.map(|n| gate.spawn("queued", move || n)).collect()
}

fn is_full<T, E>(result: Result<T, TokenError<E>>, of: usize) -> bool {
    match result {
        Err(TokenError::Rejected(rejection)) => {
            *rejection.cause() == RejectCause::Full { capacity: of }
        }
        _ => false,
    }
}

#[test]
fn a_small_capacity_is_exact() {
    for capacity in [1, 3, 100, 4_095] {
        let gate = gate_with(capacity, Full::Reject);
        let held = Held::new(&gate.handle(), "hold");
        let taken = fill(&gate, capacity);
        let census = Census::new();
        let member = census.member();
        let refused = gate.spawn("too many", move || drop(member));
        assert!(refused.is_finished(), "refused at once");
        assert!(is_full(outcome(refused), capacity));
        assert_eq!(census.alive(), 0, "its body is dropped at the call");
        let refused = gate.spawn_async("too many", async {});
        assert!(is_full(outcome(refused), capacity));
        held.release();
        assert!(get_all(taken).into_iter().all(|result| result.is_ok()));
        // All of it comes back.
        let held = Held::new(&gate.handle(), "hold");
        let again = fill(&gate, capacity);
        assert!(is_full(outcome(gate.spawn("too many", || ())), capacity));
        held.release();
        assert!(get_all(again).into_iter().all(|result| result.is_ok()));
    }
}

#[test]
fn a_capacity_of_none_is_refused_at_the_start() {
    let refused = Gate::builder().capacity(0).start();
    assert!(matches!(refused, Err(StartError::NoCapacity)));
}

#[test]
fn try_submit_gives_the_request_back_for_later() {
    let gate = gate_with(2, Full::Wait);
    let _entered = gate.enter();
    let held = Held::new(&gate.handle(), "hold");
    let queued = fill(&gate, 2);
    let census = Census::new();
    let refused = keep::request(7, census.member()).try_submit().unwrap_err();
    assert_eq!(refused.cause, RejectCause::Full { capacity: 2 });
    assert!(refused.to_string().contains("`keep`"), "{refused}");
    let refused = refused.request.try_submit().unwrap_err();
    assert_eq!(census.alive(), 1, "the argument is in the request");
    held.release();
    assert!(get_all(queued).into_iter().all(|result| result.is_ok()));
    assert_eq!(value(refused.request.try_submit().unwrap()), 7);
    assert_eq!(census.alive(), 0);
}

#[test]
fn submit_timeout_waits_no_longer_than_asked() {
    let gate = gate_with(1, Full::Reject);
    let _entered = gate.enter();
    let held = Held::new(&gate.handle(), "hold");
    let _queued = fill(&gate, 1);
    let census = Census::new();
    let request = keep::request(7, census.member());
    let refused = request
        .submit_timeout(Duration::from_millis(2))
        .unwrap_err();
    assert_eq!(refused.cause, RejectCause::Full { capacity: 1 });
    let refused = refused.request.submit_timeout(Duration::ZERO).unwrap_err();
    // With time enough it gets the room that comes.
    let (handle, request) = (gate.handle(), refused.request);
    let waiting = std::thread::spawn(move || {
        let request = request.on(&handle);
        request.submit_timeout(Duration::MAX).map(value)
    });
    held.release();
    assert_eq!(elsewhere(|| waiting.join().unwrap()).unwrap(), 7);
}

#[test]
fn submit_async_waits_without_blocking_and_can_be_given_up() {
    let gate = gate_with(1, Full::Reject);
    let handle = gate.handle();
    let held = Held::new(&handle, "hold");
    let queued = fill(&gate, 1);
    let census = Census::new();
    let submit = |n| keep::request(n, census.member()).on(&handle).submit_async();
    let (wakes, waker) = Wakes::new();
    let mut context = Context::from_waker(&waker);
    {
        let mut given_up = pin!(submit(1));
        assert!(given_up.as_mut().poll(&mut context).is_pending());
        assert_eq!(census.alive(), 1);
    }
    assert_eq!(
        census.alive(),
        0,
        "nothing was submitted, the argument is gone"
    );
    let mut waiting = pin!(submit(2));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let woken_before = wakes.count();
    held.release();
    wait_until("room came", || wakes.count() > woken_before);
    let Poll::Ready(token) = waiting.as_mut().poll(&mut context) else {
        panic!("woken without room");
    };
    assert_eq!(value(token), 2);
    assert!(get_all(queued)[0].is_ok());
    // The one that was given up took no room along.
    let held = Held::new(&handle, "hold");
    let queued = fill(&gate, 1);
    assert!(is_full(outcome(gate.spawn("too many", || ())), 1));
    held.release();
    assert!(get_all(queued)[0].is_ok());
}

#[test]
fn one_that_gives_up_passes_its_room_on() {
    let gate = gate_with(1, Full::Reject);
    let handle = gate.handle();
    let held = Held::new(&handle, "hold");
    let queued = fill(&gate, 1);
    let census = Census::new();
    let submit = |n| keep::request(n, census.member()).on(&handle).submit_async();
    let (first_wakes, first_waker) = Wakes::new();
    let (wakes, waker) = Wakes::new();
    let mut second = pin!(submit(2));
    {
        let mut first = pin!(submit(1));
        let mut context = Context::from_waker(&first_waker);
        assert!(first.as_mut().poll(&mut context).is_pending());
        let mut context = Context::from_waker(&waker);
        assert!(second.as_mut().poll(&mut context).is_pending());
        held.release();
        wait_until("room came", || first_wakes.count() > 0);
        // Woken, and dropped before it took the room.
    }
    wait_until("the next one is woken", || wakes.count() > 0);
    let mut context = Context::from_waker(&waker);
    let Poll::Ready(token) = second.as_mut().poll(&mut context) else {
        panic!("woken without room");
    };
    assert_eq!(value(token), 2);
    assert!(get_all(queued)[0].is_ok());
}

#[test]
fn waiting_for_room_lasts_until_a_token_starts() {
    let gate = gate_with(2, Full::Wait);
    let held = Held::new(&gate.handle(), "hold");
    let queued = fill(&gate, 2);
    let released = Arc::new(AtomicBool::new(false));
    let (calling, called) = mpsc::channel();
    let waiting = {
        let (handle, released) = (gate.handle(), released.clone());
        std::thread::spawn(move || {
            calling.send(()).unwrap();
            let token = handle.spawn("waits", || 7);
            (token, released.load(SeqCst))
        })
    };
    called.recv_timeout(HANG).unwrap();
    // Time for a call that does not wait to return too early.
    std::thread::sleep(Duration::from_millis(5));
    released.store(true, SeqCst);
    held.release();
    let (token, was_released) = elsewhere(|| waiting.join().unwrap());
    assert!(was_released, "the call returned while the gate was full");
    assert_eq!(value(token), 7);
    assert!(get_all(queued).into_iter().all(|result| result.is_ok()));
}

#[test]
fn two_starts_make_room_for_two_who_wait() {
    let gate = gate_with(2, Full::Wait);
    let held = Held::new(&gate.handle(), "hold");
    let first = gate.spawn("starts and ends", || ());
    // Starts right after it, and lasts.
    let (entered, release) = (Latch::new(), Latch::new());
    let lasting = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn("lasts", move || {
            entered.open();
            release.wait();
        })
    };
    let (sender, submitted) = mpsc::channel();
    let waiting: Vec<_> = (0..2)
        .map(|n| {
            let (handle, sender) = (gate.handle(), sender.clone());
            std::thread::spawn(move || {
                sender.send(None).unwrap();
                sender.send(Some(handle.spawn("waits", move || n))).unwrap();
            })
        })
        .collect();
    for _ in 0..2 {
        assert!(
            submitted.recv_timeout(HANG).unwrap().is_none(),
            "both are about to wait"
        );
    }
    std::thread::sleep(Duration::from_millis(5));
    held.release();
    entered.wait();
    // Nothing more will start, and there are two places.
    let tokens = [(); 2].map(|()| submitted.recv_timeout(HANG).expect("room for both"));
    release.open();
    for token in tokens {
        value(token.expect("submitted"));
    }
    waiting
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    value(first);
    value(lasting);
}

#[test]
fn calls_in_bodies_need_no_room() {
    let gate = gate_with(1, Full::Wait);
    let handle = gate.handle();
    let census = Census::new();
    let member = census.member();
    let (entered, filled) = (Latch::new(), Latch::new());
    let parent = {
        let (entered, filled) = (entered.clone(), filled.clone());
        gate.spawn("parent", move || {
            entered.open();
            filled.wait();
            let children: Vec<_> = (0..100_u32)
                .map(|n| handle.spawn("child", move || n))
                .collect();
            // The other forms ask for room in bodies too.
            let refused = keep::request(0, member).try_submit().unwrap_err();
            assert_eq!(refused.cause, RejectCause::Full { capacity: 1 });
            let refused = refused.request.submit_timeout(Duration::ZERO);
            assert!(refused.is_err());
            children
        })
    };
    entered.wait();
    let queued = fill(&gate, 1);
    filled.open();
    let sum: u32 = get_all(value(parent)).into_iter().map(Result::unwrap).sum();
    assert_eq!(sum, 4_950);
    assert_eq!(census.alive(), 0);
    assert!(get_all(queued)[0].is_ok());
}

#[test]
fn the_room_of_a_killed_token_comes_back_when_a_worker_reaches_it() {
    let gate = gate_with(2, Full::Reject);
    let held = Held::new(&gate.handle(), "hold");
    let queued = fill(&gate, 2);
    assert!(queued.iter().all(|token| token.kill("not needed")));
    held.release();
    // Behind them in the queue, so they are gone when this has run.
    wait_until("there is room", || {
        outcome(gate.spawn("after", || ())).is_ok()
    });
    let held = Held::new(&gate.handle(), "hold");
    let again = fill(&gate, 2);
    assert!(is_full(outcome(gate.spawn("too many", || ())), 2));
    held.release();
    assert!(get_all(again).into_iter().all(|result| result.is_ok()));
}

#[test]
fn threads_that_stay_alive_do_not_starve_others() {
    let gate = gate_with(4_096, Full::Wait);
    let (called, done) = (Arc::new(Barrier::new(201)), Latch::new());
    let threads: Vec<_> = (0..200)
        .map(|_| {
            let (handle, called, done) = (gate.handle(), called.clone(), done.clone());
            std::thread::spawn(move || {
                let tokens: Vec<_> = (0..50).map(|n| handle.spawn("many", move || n)).collect();
                let results = get_all(tokens);
                // Alive, with whatever room it has drawn and not used.
                called.wait();
                done.wait();
                results.into_iter().all(|result| result.is_ok())
            })
        })
        .collect();
    called.wait();
    let handle = gate.handle();
    let sum: u64 = elsewhere(move || {
        let tokens = (0..20_000_u64).map(|n| handle.spawn("main", move || n));
        get_all(tokens).into_iter().map(Result::unwrap).sum()
    });
    assert_eq!(sum, 20_000 * 19_999 / 2);
    done.open();
    assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
}
