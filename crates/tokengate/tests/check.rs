//! A running body can ask whether its token has been ended, and return early.

mod common;

use common::{Latch, outcome, small_gate};
use tokengate::{Cancelled, TokenError, check};

#[test]
fn a_body_that_checks_returns_early_when_its_token_is_killed() {
    let gate = small_gate();
    let entered = Latch::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let token = {
        let entered = entered.clone();
        gate.try_spawn("test.checks", move || -> Result<(), Cancelled> {
            entered.open();
            let checked = loop {
                if let Err(error) = check() {
                    break error;
                }
                std::thread::yield_now();
            };
            sender.send(()).unwrap();
            Err(checked)
        })
    };
    entered.wait();
    assert!(token.kill("test"));
    receiver.recv_timeout(common::HANG).expect("it returns");
    assert!(matches!(outcome(token), Err(TokenError::Killed { .. })));
    assert_eq!(check(), Ok(()), "outside of a body nothing is cancelled");
}
