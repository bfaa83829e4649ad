//! What the tests of a gate's end share: how tokens end with it, and workers held until then.
//!
//! Used by the test files about shutdown and drop.

use std::time::Duration;

use tokengate::{Gate, RejectCause, Token, TokenError};

use super::{Latch, outcome, wait_until};

/// Whether it was rejected because its gate ends or has ended.
pub(crate) fn rejected<T, E>(result: &Result<T, TokenError<E>>) -> bool {
    match result {
        Err(TokenError::Rejected(rejection)) => *rejection.cause() == RejectCause::ShutDown,
        _ => false,
    }
}

/// Whether it was killed, by whomever.
pub(crate) fn killed<T, E>(result: &Result<T, TokenError<E>>) -> bool {
    matches!(result, Err(TokenError::Killed { .. }))
}

/// Checks that a body which executed at the end has returned, or was cancelled by a shutdown.
pub(crate) fn ended(token: Token<()>) {
    let result = outcome(token);
    assert!(result.is_ok() || killed(&result), "{result:?}");
}

/// Holds every worker until its gate stops: then the calls of a body are rejected.
pub(crate) fn hold_until_the_stop(gate: &Gate) -> Vec<Token<()>> {
    let plan = gate.plan();
    let workers = plan.domains().iter().map(|domain| domain.workers().count());
    let mut free: Vec<usize> = workers.collect();
    let mut held = Vec::new();
    wait_until("all workers are held", || {
        let (entered, handle) = (Latch::new(), gate.handle());
        let entering = entered.clone();
        let token = gate.spawn("hold", move || {
            entering.open();
            wait_until("the stop", || {
                rejected(&outcome_now(handle.spawn("probe", || ())))
            });
        });
        let domain = token.status().domain.unwrap();
        if free[domain] == 0 {
            // It is queued behind one of them.
            token.kill("not needed");
        } else {
            free[domain] -= 1;
            entered.wait();
            held.push(token);
        }
        held.len() == plan.worker_count()
    });
    held
}

/// The outcome, if it is there.
fn outcome_now<T>(mut token: Token<T>) -> Result<Option<T>, TokenError> {
    token.get_timeout(Duration::ZERO).transpose()
}
