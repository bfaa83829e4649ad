//! The two clocks of timed tokens: time since the process began to measure, and thread CPU time.
//!
//! Read by the submit path and by workers, for timed tokens only.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static START: OnceLock<Instant> = OnceLock::new();

/// Nanoseconds since the first call; never 0.
pub(crate) fn now_ns() -> u64 {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos())
        .unwrap_or(u64::MAX)
        .saturating_add(1)
}

/// The moment that [`now_ns`] has called so.
pub(crate) fn instant(moment_ns: u64) -> Instant {
    *START.get_or_init(Instant::now) + Duration::from_nanos(moment_ns - 1)
}

/// The CPU time that this thread has used; none where the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn thread_cpu() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).ok()
}

/// The CPU time that this thread has used; none where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_cpu() -> Option<Duration> {
    None
}
