//! The kernel's word on threads and the CPUs that they may use.
//!
//! Used by the test files about places. Linux only.

use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_setaffinity};
use tokengate_scheduler::topology::{Machine, cpulist};

/// The CPUs of this process.
pub(crate) fn cpus() -> Vec<usize> {
    let machine = Machine::detect();
    machine.cpus().iter().map(|cpu| cpu.id).collect()
}

/// The kernel's number for this thread.
pub(crate) fn thread_id() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// The CPUs of a thread, as `/proc` has them.
pub(crate) fn allowed_by_proc(thread: i32) -> Vec<usize> {
    let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    cpulist::parse(line.unwrap().trim()).unwrap()
}

/// The CPUs of this thread, as the system call has them.
pub(crate) fn allowed_here() -> Vec<usize> {
    let mask = sched_getaffinity(None).unwrap();
    (0..CpuSet::MAX_CPU)
        .filter(|&cpu| mask.is_set(cpu))
        .collect()
}

/// Lets a thread run on this CPU alone; `false` if the system refuses.
pub(crate) fn bind(thread: i32, cpu: usize) -> bool {
    let mut mask = CpuSet::new();
    mask.set(cpu);
    sched_setaffinity(Pid::from_raw(thread), &mask).is_ok()
}
