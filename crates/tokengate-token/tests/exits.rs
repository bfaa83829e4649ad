//! Between its exit and its end a token holds its lane no more: waits for it are not refused.

mod common;

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use common::poll_with;
use tokengate_token::{
    Bond, Deadlock, DeadlockCause, Home, NoHome, Operation, Plain, Runnable, Token, TokenError,
    Wait, create, set_wait_hook,
};

static SERIAL: Operation = Operation::new("test.serial").serial();

/// Runs what is next in the lane as soon as the one before has exited, as another thread may.
struct NextRunsAtOnce(Mutex<Option<Runnable>>);

impl Home for NextRunsAtOnce {
    fn post(&self, _: Runnable) {
        unreachable!("nothing here is async");
    }

    fn exited(&self, _: &'static Operation, _: Bond) {
        let next = self.0.lock().unwrap().take();
        let _ = next.map(|next| next.run(&NoHome::shared()));
    }
}

/// Runs `wait` with the token of an earlier body of its lane, which has exited and not resolved.
fn with_one_that_has_exited<R: Send + 'static>(
    wait: impl FnOnce(&mut Token<u32>) -> R + Send + 'static,
) -> R {
    let bond = |turn| Bond {
        entry: Some(1.try_into().unwrap()),
        turn: Some(turn),
        ..Bond::NONE
    };
    let (mut first, runnable) = create(&SERIAL, Plain::new(|| 7));
    runnable.set_bond(bond(0));
    let first_id = first.id();
    let (second, next) = create(
        &SERIAL,
        Plain::new(move || {
            let result = wait(&mut first);
            assert_eq!(first.id(), first_id);
            result
        }),
    );
    next.set_bond(bond(1));
    let home: Arc<dyn Home> = Arc::new(NextRunsAtOnce(Mutex::new(Some(next))));
    let _ = runnable.run(&home);
    second.get().unwrap()
}

#[test]
fn a_poll_of_one_that_has_exited_is_pending() {
    assert!(with_one_that_has_exited(|first| {
        poll_with(first, Waker::noop()).is_pending()
    }));
}

/// Refuses the waits that are not refused for a lane.
fn announce(wait: &mut Wait<'_>) -> Result<(), Deadlock> {
    wait.announced(|_| Err(DeadlockCause::SparesExhausted.into()))
}

#[test]
fn a_blocking_wait_for_one_that_has_exited_is_not_refused_for_its_lane() {
    assert!(set_wait_hook(Some(announce)).is_none());
    let result = with_one_that_has_exited(|first| first.get_timeout(Duration::from_secs(60)));
    assert!(set_wait_hook(None).is_some());
    let cause = match result {
        Some(Err(TokenError::WouldDeadlock { cause, .. })) => cause,
        other => panic!("not refused at all: {other:?}"),
    };
    assert_eq!(cause, DeadlockCause::SparesExhausted);
}
