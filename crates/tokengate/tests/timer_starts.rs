//! A system that refuses the timer its thread: calls with limits say so, and later ones get it.
//!
//! In a binary of its own, as it lowers a limit of the process for a moment.

#![cfg(target_os = "linux")]

mod common;

use std::time::Duration;

use common::{outcome, small_gate, value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokengate::{Call, Gate, Operation, RejectCause, Token, TokenError};

/// Less than a thread's stack.
const LITTLE_BYTES: u64 = 1 << 19;

static OP: Operation = Operation::new("test.limited").with_ttl(Duration::from_secs(3_600));

/// Calls `f` while the process can map hardly anything more.
fn without_memory<R>(f: impl FnOnce() -> R) -> R {
    let before = getrlimit(Resource::As);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = size.and_then(|size| size.trim().strip_suffix(" kB"));
    let used_bytes = size.unwrap().parse::<u64>().unwrap() << 10;
    let little = Rlimit {
        current: Some(used_bytes + LITTLE_BYTES),
        ..before
    };
    setrlimit(Resource::As, little).unwrap();
    let returned = f();
    setrlimit(Resource::As, before).unwrap();
    returned
}

fn unlimited(gate: &Gate) -> Token<u64> {
    gate.spawn("test.unlimited", || 7)
}

fn limited(gate: &Gate) -> Token<u64> {
    gate.spawn(Call::new(&OP), || 7)
}

#[test]
fn a_call_whose_limits_nobody_could_keep_is_rejected() {
    let gate = small_gate();
    assert_eq!(value(unlimited(&gate)), 7);
    let refused = without_memory(|| limited(&gate));
    let Err(TokenError::Rejected(rejection)) = outcome(refused) else {
        panic!("it has no limits");
    };
    assert!(matches!(rejection.cause(), RejectCause::NoTimer(_)));
    assert!(rejection.to_string().contains("`test.limited`"));
    assert_eq!(value(unlimited(&gate)), 7);
    assert_eq!(value(limited(&gate)), 7);
}
