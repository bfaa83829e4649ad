//! A system that refuses a spare its thread: the wait says so, and a later one gets it.
//!
//! In a binary of its own, as it lowers a limit of the process for a moment.

#![cfg(target_os = "linux")]

mod common;

use common::{lone_workers, outcome, value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokengate::{DeadlockCause, Gate, Handle, TokenError};

/// More than the process leaves below the limit.
const STACK_BYTES: usize = 1 << 30;

/// Calls `f` while the process can map hardly anything more.
fn without_memory<R>(f: impl FnOnce() -> R) -> R {
    let before = getrlimit(Resource::As);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = size.and_then(|size| size.trim().strip_suffix(" kB"));
    let used_bytes = size.unwrap().parse::<u64>().unwrap() << 10;
    let little = Rlimit {
        current: Some(used_bytes + STACK_BYTES as u64 / 2),
        ..before
    };
    setrlimit(Resource::As, little).unwrap();
    let returned = f();
    setrlimit(Resource::As, before).unwrap();
    returned
}

/// Blocks, in a body, on one that cannot run in place.
fn wait_for_another(handle: &Handle) -> Result<(), TokenError> {
    handle.spawn_async("yields", std::future::ready(())).get()
}

#[test]
fn a_wait_whose_spare_cannot_start_says_so_and_a_later_one_gets_it() {
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .thread_stack_size(STACK_BYTES)
        .max_spares(1)
        .start()
        .unwrap();
    // So that the runtime of async bodies is there before memory runs out.
    value(gate.spawn_async("first", std::future::ready(())));
    let handle = gate.handle();
    let waits = gate.spawn("waits", move || {
        let refused = without_memory(|| wait_for_another(&handle));
        (refused, wait_for_another(&handle))
    });
    let (refused, granted) = outcome(waits).unwrap();
    let Err(TokenError::WouldDeadlock { cause, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(cause, DeadlockCause::SparesExhausted);
    assert!(granted.is_ok(), "the spare was lost: {granted:?}");
}
