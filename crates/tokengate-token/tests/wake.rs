//! The caller's waker: the last one given is woken, once, and none is kept or lost.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::task::{RawWaker, RawWakerVTable, Wake, Waker};

use common::{Drops, OP, PanicsInDrop, Wakes, poll_with};
use tokengate_token::{NoHome, Plain, Token, create};

/// A waker's content that counts its drop, and may panic in it.
struct Content<T>(#[allow(dead_code, reason = "held for its drop")] T);

impl<T: Send + Sync + 'static> Wake for Content<T> {
    fn wake(self: Arc<Self>) {}
}

fn waker_of<T: Send + Sync + 'static>(content: T) -> Waker {
    Arc::new(Content(content)).into()
}

#[test]
fn only_the_last_waker_is_woken() {
    let (mut token, runnable) = create(&OP, Plain::new(|| ()));
    let (first, first_waker) = Wakes::new();
    let (last, last_waker) = Wakes::new();
    assert!(poll_with(&mut token, &first_waker).is_pending());
    assert!(poll_with(&mut token, &last_waker).is_pending());
    let _ = runnable.run(&NoHome::shared());
    assert_eq!((first.count(), last.count()), (0, 1));
}

#[test]
fn a_replaced_waker_is_dropped_at_once_and_the_last_one_at_the_end() {
    let drops = Drops::new();
    let (mut token, runnable) = create(&OP, Plain::new(|| ()));
    assert!(poll_with(&mut token, &waker_of(drops.counted())).is_pending());
    assert_eq!(drops.count(), 0);
    assert!(poll_with(&mut token, &waker_of(drops.counted())).is_pending());
    assert_eq!(drops.count(), 1);
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(drops.count(), 2);
}

#[test]
fn the_waker_of_a_dropped_token_is_dropped_when_the_call_ends() {
    for kill in [false, true] {
        let drops = Drops::new();
        let (mut token, runnable) = create(&OP, Plain::new(|| ()));
        assert!(poll_with(&mut token, &waker_of(drops.counted())).is_pending());
        drop(token);
        if kill {
            runnable.kill("no");
        } else {
            let _ = runnable.run(&NoHome::shared());
        }
        assert_eq!(drops.count(), 1);
    }
}

#[test]
fn a_waker_whose_drop_panics_disturbs_nobody() {
    let drops = Drops::new();
    let panicking = || waker_of(PanicsInDrop(drops.counted()));
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    let first = panicking();
    assert!(poll_with(&mut token, &first).is_pending());
    // The slot's clone is then the last one.
    std::mem::drop(first);
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(&mut token, &waker).is_pending());
    assert_eq!(drops.count(), 1);
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(wakes.count(), 1);
    assert_eq!(token.get().unwrap(), 1);

    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    let only = panicking();
    assert!(poll_with(&mut token, &only).is_pending());
    drop(only);
    drop(token);
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(drops.count(), 2);
}

#[test]
fn a_waker_whose_wake_panics_disturbs_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in wake");
        }
    }
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(poll_with(&mut token, &Arc::new(Panics).into()).is_pending());
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(token.get().unwrap(), 1);

    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(poll_with(&mut token, &Arc::new(Panics).into()).is_pending());
    assert!(token.kill("no"));
    drop(runnable);
    assert!(token.get().is_err());
}

/// A waker whose `clone` panics.
#[expect(
    unsafe_code,
    reason = "std offers no safe waker with a clone of its own"
)]
fn clone_panics() -> Waker {
    static VTABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("in clone"), |_| {}, |_| {}, |_| {});
    // SAFETY: the functions use no data.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &VTABLE)) }
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_token_usable() {
    let drops = Drops::new();
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(poll_with(&mut token, &waker_of(drops.counted())).is_pending());
    let polled = catch_unwind(AssertUnwindSafe(|| {
        let _ = poll_with(&mut token, &clone_panics());
    }));
    assert!(polled.is_err());
    assert_eq!(drops.count(), 1, "the waker before is gone, not lost");
    let _ = runnable.run(&NoHome::shared());
    assert_eq!(token.get().unwrap(), 1);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_waker_may_take_the_result_and_free_the_token() {
    struct Takes {
        token: Mutex<Option<Token<String>>>,
        taken: AtomicBool,
    }
    impl Wake for Takes {
        fn wake(self: Arc<Self>) {
            let token = self.token.lock().unwrap().take().unwrap();
            assert_eq!(token.get().unwrap(), "result");
            self.taken.store(true, SeqCst);
        }
    }
    let (mut token, runnable) = create(&OP, Plain::new(|| "result".to_owned()));
    let takes = Arc::new(Takes {
        token: Mutex::new(None),
        taken: AtomicBool::new(false),
    });
    assert!(poll_with(&mut token, &takes.clone().into()).is_pending());
    *takes.token.lock().unwrap() = Some(token);
    let _ = runnable.run(&NoHome::shared());
    assert!(takes.taken.load(SeqCst));
}

#[test]
fn a_waker_may_wait_for_and_drop_other_tokens() {
    struct Waits(Mutex<Vec<Token<u8>>>);
    impl Wake for Waits {
        fn wake(self: Arc<Self>) {
            let mut tokens = self.0.lock().unwrap();
            assert_eq!(tokens.pop().unwrap().get().unwrap(), 2);
            tokens.clear();
        }
    }
    let (dropped, dropped_runnable) = create(&OP, Plain::new(|| 3));
    let (waited, waited_runnable) = create(&OP, Plain::new(|| 2));
    let waits = Arc::new(Waits(Mutex::new(vec![dropped, waited])));
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(poll_with(&mut token, &waits.clone().into()).is_pending());
    let other = std::thread::spawn(move || drop(waited_runnable.run(&NoHome::shared())));
    let _ = runnable.run(&NoHome::shared());
    other.join().unwrap();
    assert!(waits.0.lock().unwrap().is_empty());
    let _ = dropped_runnable.run(&NoHome::shared());
    assert_eq!(token.get().unwrap(), 1);
}
