//! A system that refuses a spare its thread: the wait says so, and a later one gets it.
//!
//! In a binary of its own, as it lowers a limit of the process for a moment.

#![cfg(target_os = "linux")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use common::{Latch, lone_workers, outcome, value};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokengate::{Call, DeadlockCause, Domains, Gate, Handle, Key, Operation, TokenError};
use tokengate_scheduler::topology::Machine;

/// More than the process leaves below the limit.
const STACK_BYTES: usize = 1 << 30;

/// Held by each test, as the limit is that of all of them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

static BLOCKING: Operation = Operation::new("test.blocking").blocking();
static SERIAL: Operation = Operation::new("test.serial").blocking().serial();

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
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Two workers hand over a body each, and neither spare starts: the last of them runs the oldest body,
/// which is not the one that it has taken itself.
#[test]
fn a_lane_goes_on_if_its_body_is_run_by_the_worker_that_took_another() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let machine = Machine::detect();
    let cpus: Vec<_> = machine.cpus().iter().map(|cpu| cpu.id).take(2).collect();
    if cpus.len().min(machine.quota_cpus().unwrap_or(usize::MAX)) < 2 {
        // One worker has nobody to meet.
        return;
    }
    let (both, first_is_back) = (Latch::new(), Latch::new());
    let (meet, starts) = ((both, first_is_back.clone()), AtomicUsize::new(0));
    let gate = Gate::builder()
        .domains(Domains::Custom(vec![cpus]))
        .thread_stack_size(STACK_BYTES)
        .max_spares(4)
        .thread_name(move |info| {
            if info.worker >= 2 {
                match starts.fetch_add(1, SeqCst) {
                    0 => meet.0.wait(),
                    1 => {
                        meet.0.open();
                        meet.1.wait();
                    }
                    _ => {}
                }
            }
            String::new()
        })
        .start()
        .unwrap();
    let serial = || Call::new(&SERIAL).with_key(Key::of("test", &1));
    without_memory(|| {
        let first = gate.spawn(serial(), || 1);
        let next = gate.spawn(serial(), || 2);
        let other = gate.spawn(&BLOCKING, || 3);
        let back = gate.spawn("back", move || first_is_back.open());
        value(back);
        assert_eq!((value(first), value(other), value(next)), (1, 3, 2));
    });
}
