//! The end of the global gate, which a process has once: one test in a binary of its own.

mod common;

use common::{HANG, elsewhere, outcome, value};
use tokengate::{Gate, TokenError, shutdown_global, task_token_guard};

#[task_token_guard(operation_type = "double")]
fn double(n: u64) -> u64 {
    2 * n
}

#[test]
fn it_ends_once_and_calls_are_rejected_from_then_on() {
    assert!(shutdown_global(HANG).is_none(), "no call has started it");
    let before = double(21);
    let suspended = Gate::global()
        .unwrap()
        .spawn_async("yields", tokio::task::yield_now());
    let report = elsewhere(|| shutdown_global(HANG)).expect("it was started");
    assert!(report.drained && report.stuck.is_empty(), "{report:?}");
    assert!(before.is_finished() && suspended.is_finished());
    assert_eq!(value(before), 42);
    value(suspended);
    // It is not started again, and a second end finds nothing to do.
    assert!(matches!(outcome(double(1)), Err(TokenError::Rejected(_))));
    let again = elsewhere(|| shutdown_global(HANG)).expect("it is there");
    assert!(again.stuck.is_empty(), "{again:?}");
}
