//! Pins a thread to a CPU, or frees it again.
//!
//! Called by workers when they start, and for helper threads that a pinned thread started: those
//! inherit its pin. It decides nothing: which CPU is the plan's affair.

/// CPU ids that fit into the system's fixed-size masks.
const MASK_BITS: usize = 1_024;

/// Pins the calling thread to this CPU; `false` if the system refuses, or knows no pins.
pub(crate) fn pin_current(cpu: usize) -> bool {
    // The call below indexes a mask of this size.
    cpu < MASK_BITS && core_affinity::set_for_current(core_affinity::CoreId { id: cpu })
}

/// Lets the calling thread run on all these CPUs; `false` if the system refuses, or knows no pins.
///
/// For threads started by a worker, which inherit its pin. One system call.
///
/// ```
/// use tokengate_scheduler::{allow_cpus, topology::Machine};
/// let machine = Machine::detect();
/// // On Linux this is true, unless a sandbox forbids it.
/// let _ = allow_cpus(machine.cpus().iter().map(|cpu| cpu.id));
/// ```
#[cfg(target_os = "linux")]
pub fn allow_cpus(cpus: impl IntoIterator<Item = usize>) -> bool {
    let mut mask = rustix::thread::CpuSet::new();
    for cpu in cpus.into_iter().filter(|&cpu| cpu < MASK_BITS) {
        mask.set(cpu);
    }
    rustix::thread::sched_setaffinity(None, &mask).is_ok()
}

/// Lets the calling thread run on all these CPUs; `false` if the system refuses, or knows no pins.
#[cfg(not(target_os = "linux"))]
pub fn allow_cpus(_cpus: impl IntoIterator<Item = usize>) -> bool {
    false
}
