//! What a thread knows: the token whose body it runs, and what it does before it waits.

mod common;

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use common::{Drops, OP, poll_with};
use tokengate_token::{
    NoHome, Operation, Plain, Token, before_wait, cancelled, create, current, get_all, in_body,
    join_all, set_before_wait,
};

#[test]
fn a_body_run_inside_another_is_the_present_one_until_it_ends() {
    static INNER: Operation = Operation::new("test.inner");
    let label = || current().map(|(_, operation)| operation.label());
    assert_eq!(label(), None);
    assert!(!in_body());
    let (token, runnable) = create(
        &OP,
        Plain::new(move || {
            let (inner, runnable) = create(&INNER, Plain::new(move || (label(), in_body())));
            let before = label();
            let _ = runnable.run(&NoHome::shared());
            let (panics, runnable) = create(&INNER, Plain::new(|| panic!("expected")));
            let _ = runnable.run(&NoHome::shared());
            drop::<Token<()>>(panics);
            (before, inner.get().unwrap(), label())
        }),
    );
    let _ = runnable.run(&NoHome::shared());
    let outer = Some("test.operation");
    assert_eq!(
        token.get().unwrap(),
        (outer, (Some("test.inner"), true), outer)
    );
    assert_eq!(label(), None);
    assert!(!cancelled());
}

#[test]
fn the_hook_is_called_before_each_wait_and_kill() {
    thread_local! {
        static CALLS: Cell<usize> = const { Cell::new(0) };
    }
    fn calls() -> usize {
        CALLS.replace(0)
    }
    let before = set_before_wait(Some(|| CALLS.set(CALLS.get() + 1)));
    assert!(before.is_none());
    let (mut token, runnable) = create(&OP, Plain::new(|| 1));
    assert!(poll_with(&mut token, Waker::noop()).is_pending());
    assert!(calls() > 0);
    assert!(token.get_timeout(Duration::ZERO).is_none());
    assert!(calls() > 0);
    let killer = token.killer();
    assert_eq!(calls(), 0);
    assert!(token.kill("no"));
    assert!(calls() > 0);
    killer.kill("again");
    assert!(calls() > 0);
    drop(runnable);
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    let _ = runnable.run(&NoHome::shared());
    let mut all = join_all([token]);
    assert!(poll_with(&mut all, Waker::noop()).is_ready());
    let (token, runnable) = create(&OP, Plain::new(|| 1));
    calls();
    let runner = thread::spawn(move || {
        let _ = runnable.run(&NoHome::shared());
    });
    assert_eq!(get_all([token]).len(), 1);
    assert!(calls() > 0);
    runner.join().unwrap();
    before_wait();
    assert_eq!(calls(), 1);
    assert!(set_before_wait(None).is_some());
    before_wait();
    assert_eq!(calls(), 0);
}

/// Makes, runs, waits for and drops tokens in its destructor.
struct AtTheEnd {
    left: Option<Token<u8>>,
    drops: Drops,
}

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let (token, runnable) = create(&OP, Plain::new(|| 3));
        let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
        assert_eq!(token.get().unwrap(), 3);
        runner.join().unwrap();
        let (token, runnable) = create(&OP, Plain::new(|| 4));
        let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
        assert_eq!(get_all([token]).remove(0).unwrap(), 4);
        runner.join().unwrap();
        assert!(current().is_none());
        drop(self.left.take());
        drop(self.drops.counted());
    }
}

#[test]
fn tokens_work_while_their_thread_ends() {
    thread_local! {
        static EARLY: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }
    let drops = Drops::new();
    let seen = drops.clone();
    let ends = thread::spawn(move || {
        let at_the_end = |left| AtTheEnd {
            left: Some(left),
            drops: drops.clone(),
        };
        // One destructor that runs after those of this crate's thread-locals, one before.
        let (first, first_runnable) = create(&OP, Plain::new(|| 1));
        let (second, runnable) = create(&OP, Plain::new(|| 2));
        EARLY.with(|slot| *slot.borrow_mut() = Some(at_the_end(first)));
        let _ = runnable.run(&NoHome::shared());
        let (waited, runnable) = create(&OP, Plain::new(|| 2));
        let runner = thread::spawn(move || drop(runnable.run(&NoHome::shared())));
        waited.get().unwrap();
        runner.join().unwrap();
        LATE.with(|slot| *slot.borrow_mut() = Some(at_the_end(second)));
        drop(first_runnable);
    });
    // Joining waits for the thread's destructors, as leaving a scope would not.
    ends.join().unwrap();
    assert_eq!(seen.count(), 2);
}
