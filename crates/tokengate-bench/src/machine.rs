//! What the benchmark runs on: allowed CPUs, pins, and the facts that the report states.
//!
//! The contenders ask it for workers and pins, the JSON for its facts. A fact that cannot be read is left
//! out; a pin that the system refuses is no error.

use std::fs;
use std::io::Read;
use std::num::NonZeroU64;

use core_affinity::CoreId;
use serde_json::{Map, Value, json};

/// Workers for every contender: the CPUs that this process may use.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A CPU for each worker; `None` where the system does not tell.
pub(crate) fn worker_cpus() -> Vec<Option<CoreId>> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    (0..workers()).map(|i| allowed.get(i).copied()).collect()
}

/// Pins the calling thread; false if it runs unpinned.
pub(crate) fn pin(cpu: Option<CoreId>) -> bool {
    cpu.is_some_and(core_affinity::set_for_current)
}

/// Lets the calling thread wake from sleep as soon as its time is over, until this is dropped.
///
/// Linux puts off a wake by up to 50 µs, which is more than some rests that are asked for. A thread that
/// is started meanwhile takes it over. Elsewhere nothing changes.
pub(crate) struct SharpSleep(());

impl SharpSleep {
    pub(crate) fn begin() -> Self {
        set_timer_slack(NonZeroU64::new(1));
        Self(())
    }
}

impl Drop for SharpSleep {
    fn drop(&mut self) {
        set_timer_slack(None);
    }
}

/// Nanoseconds; `None` is what the thread began with. Refused, sleep is only less exact.
fn set_timer_slack(slack_ns: Option<NonZeroU64>) {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(slack_ns);
    #[cfg(not(target_os = "linux"))]
    let _ = slack_ns;
}

/// Resident memory of this process in bytes, where the system tells it exactly.
///
/// Allocates nothing: a buffer on top of the heap would keep the allocator from giving back what is below.
pub(crate) fn resident_bytes() -> Option<u64> {
    // `statm` and `status` have counters that may lag behind for each thread.
    let mut file = fs::File::open("/proc/self/smaps_rollup").ok()?;
    let mut text = [0; 4096];
    let length = file.read(&mut text).ok()?;
    rolled_up_resident(str::from_utf8(&text[..length]).ok()?)
}

fn rolled_up_resident(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup.lines().find_map(|l| l.strip_prefix("Rss:"))?;
    kibibytes_u64(line.trim().strip_suffix(" kB")?)
}

/// The facts for the report.
pub(crate) fn facts() -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("workers".into(), json!(workers()));
    facts.insert("pins".into(), json!(pins_are_granted()));
    facts.insert("os".into(), json!(std::env::consts::OS));
    facts.insert("arch".into(), json!(std::env::consts::ARCH));
    facts.insert("allocator".into(), json!(crate::allocator::NAME));
    facts.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    facts.insert("optimised".into(), json!(!cfg!(debug_assertions)));
    let read = |path| fs::read_to_string(path).ok();
    let found = [
        (
            "cpu_model",
            read("/proc/cpuinfo").and_then(|text| cpu_model(&text)),
        ),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").map(|text| json!(text.trim())),
        ),
        (
            "memory_bytes",
            read("/proc/meminfo").and_then(|text| memory_bytes(&text)),
        ),
        (
            "l2_bytes",
            read("/sys/devices/system/cpu/cpu0/cache/index2/size")
                .and_then(|text| kibibytes(text.trim().strip_suffix('K')?)),
        ),
    ];
    for (name, fact) in found {
        if let Some(fact) = fact {
            facts.insert(name.into(), fact);
        }
    }
    #[cfg(target_arch = "x86_64")]
    facts.insert(
        "sha_instructions".into(),
        json!(std::arch::is_x86_feature_detected!("sha")),
    );
    facts
}

/// Tries it on a thread that is thrown away.
fn pins_are_granted() -> bool {
    std::thread::spawn(|| worker_cpus().into_iter().all(pin))
        .join()
        .unwrap_or(false)
}

fn cpu_model(cpuinfo: &str) -> Option<Value> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(json!(line.split_once(':')?.1.trim()))
}

fn memory_bytes(meminfo: &str) -> Option<Value> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    kibibytes(line.trim().strip_suffix(" kB")?)
}

fn kibibytes(number: &str) -> Option<Value> {
    Some(json!(kibibytes_u64(number)?))
}

fn kibibytes_u64(number: &str) -> Option<u64> {
    Some(number.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_facts_from_recorded_text() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n";
        assert_eq!(cpu_model(cpuinfo), Some(json!("A CPU @ 2 GHz")));
        assert_eq!(
            memory_bytes("MemTotal:       2048 kB\n"),
            Some(json!(2 << 20))
        );
        assert_eq!(memory_bytes("MemFree: 1 kB"), None);
        let rollup = "55-77 ---p 0 00:00 0 [rollup]\nRss:      1680 kB\nPss:  9 kB\n";
        assert_eq!(rolled_up_resident(rollup), Some(1680 << 10));
    }

    #[test]
    fn there_is_a_worker_and_a_cpu_for_it() {
        assert!(workers() > 0);
        assert_eq!(worker_cpus().len(), workers());
    }
}
