//! A gate on less than the whole machine: an affinity mask, a CPU quota, CPUs that are taken away.
//!
//! All of it for real, by the kernel. A process that has one CPU, or that may not make a cgroup, says
//! so and tests what is left.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::threads::{allowed_by_proc, allowed_here, bind, cpus, thread_id};
use common::{HANG, elsewhere, lone_workers, value};
use tokengate::{Domains, Gate, StartError, Token, TokenError, WeightRanges};
use tokengate_scheduler::topology::{Machine, Plan, PlanError};

/// The CPUs of a plan's workers, in order.
fn planned_cpus(plan: &Plan) -> Vec<Option<usize>> {
    let workers = plan.domains().iter().flat_map(|domain| domain.workers());
    workers.map(|worker| worker.cpu).collect()
}

/// Every CPU in one domain, and every CPU in its own.
fn listed(cpus: &[usize]) -> [Domains; 2] {
    let each = cpus.iter().map(|&cpu| vec![cpu]);
    [
        Domains::Custom(vec![cpus.to_vec()]),
        Domains::Custom(each.collect()),
    ]
}

#[test]
fn a_thread_bound_to_one_cpu_starts_gates_on_that_cpu_alone() {
    let all = cpus();
    // The last one: CPU 0 could be named by chance.
    let cpu = *all.last().unwrap();
    // Threads inherit the mask as processes do.
    elsewhere(move || {
        if !bind(thread_id(), cpu) {
            println!("skipped: the system refuses an affinity mask");
            return;
        }
        for domains in [Domains::PerCore, Domains::PerNuma, Domains::Count(3)] {
            let gate = Gate::builder().domains(domains).start().unwrap();
            let plan = gate.plan();
            let workers = planned_cpus(&plan);
            assert!(
                workers.iter().all(|&planned| planned == Some(cpu)),
                "{plan}"
            );
            let here = || (allowed_here(), allowed_by_proc(thread_id()));
            let sync: Vec<_> = (0..20).map(|_| gate.spawn("sync", here)).collect();
            let suspended = (0..20).map(|_| {
                gate.spawn_async("async", async move {
                    tokio::time::sleep(Duration::from_micros(50)).await;
                    here()
                })
            });
            for token in sync.into_iter().chain(suspended.collect::<Vec<_>>()) {
                assert_eq!(value(token), (vec![cpu], vec![cpu]));
            }
        }
        let Some(&other) = all.iter().find(|&&other| other != cpu) else {
            return;
        };
        let beyond = Domains::Custom(vec![vec![other]]);
        let refused = Gate::builder().domains(beyond).start();
        let Err(StartError::Plan(PlanError::CpuNotAllowed { cpu: named, .. })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(named, other);
    });
}

/// A cgroup with one CPU's worth of time; it goes when this value does.
struct OneCpu(PathBuf);

impl OneCpu {
    /// None where this process may not make one.
    fn new() -> Option<Self> {
        let version_1 = [
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "100000"),
        ];
        let version_2 = [("cpu.max", "100000 100000")];
        Self::with("/sys/fs/cgroup/cpu", &version_1)
            .or_else(|| Self::with("/sys/fs/cgroup/cpu,cpuacct", &version_1))
            .or_else(|| Self::with("/sys/fs/cgroup", &version_2))
    }

    fn with(parent: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let folder = Path::new(parent).join(format!("tokengate-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        // Elsewhere than in a cgroup file system, files would come into being by writing.
        let is_group = group.0.join("cgroup.procs").exists();
        let set = |(file, content): &(&str, &str)| fs::write(group.0.join(file), content).is_ok();
        (is_group && settings.iter().all(set)).then_some(group)
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Names the cgroup that a child of the test below is to enter.
const CGROUP: &str = "TOKENGATE_TEST_CGROUP";

#[test]
fn a_quota_of_one_cpu_leaves_one_worker() {
    if let Some(group) = std::env::var_os(CGROUP) {
        in_the_group(Path::new(&group));
        return;
    }
    // The rule itself, on these CPUs.
    plans_have_one_worker(&Machine::from_sysfs(Path::new("/sys"), &cpus(), Some(1)));
    let Some(group) = OneCpu::new() else {
        println!("skipped: this process may not make a cgroup with a quota");
        return;
    };
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_quota_of_one_cpu_leaves_one_worker",
            "--nocapture",
        ])
        .env(CGROUP, &group.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let error = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}{error}");
    if let Some(skipped) = said.lines().find(|line| line.contains("skipped: ")) {
        println!("{skipped}");
    }
}

/// The child: moves itself, then starts gates.
fn in_the_group(group: &Path) {
    if let Err(error) = fs::write(group.join("cgroup.procs"), std::process::id().to_string()) {
        println!("skipped: this process may not enter a cgroup: {error}");
        return;
    }
    let machine = Machine::detect();
    // A quota is one only where there are more CPUs than it gives.
    let expected = (machine.cpus().len() > 1).then_some(1);
    assert_eq!(machine.quota_cpus(), expected);
    plans_have_one_worker(&machine);
    for domains in listed(&cpus()) {
        let gate = Gate::builder().domains(domains).start().unwrap();
        let plan = gate.plan();
        assert_eq!(plan.worker_count(), 1, "{plan}");
        let tokens: Vec<_> = (0..100).map(|_| gate.spawn("where", thread_id)).collect();
        let mut threads: Vec<i32> = tokens.into_iter().map(value).collect();
        threads.dedup();
        assert_eq!(threads.len(), 1, "all run on the one worker");
    }
}

fn plans_have_one_worker(machine: &Machine) {
    let cpus: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.id).collect();
    let known = [Domains::PerCore, Domains::PerL3, Domains::PerNuma];
    for domains in known.into_iter().chain(listed(&cpus)) {
        let plan = Plan::new(machine, &domains, &WeightRanges::default()).unwrap();
        assert_eq!(plan.worker_count(), 1, "{plan}");
    }
}

/// One call of each kind: plain, suspended, and waiting for another in its body.
fn calls(gate: &Gate) -> [Token<u64>; 3] {
    let handle = gate.handle();
    [
        gate.spawn("plain", || 1),
        gate.spawn_async("suspended", async {
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_micros(50)).await;
            1
        }),
        gate.spawn("waits", move || {
            let child = handle.spawn_async("child", async { 1 });
            child
                .get()
                .unwrap_or_else(|error: TokenError| panic!("{error}"))
        }),
    ]
}

#[test]
fn workers_go_on_when_their_cpu_is_taken_away() {
    let all = cpus();
    let [first, second, ..] = all[..] else {
        println!("skipped: a worker cannot lose its CPU where there is only one");
        return;
    };
    let threads = Arc::new(Mutex::new(Vec::new()));
    let started = threads.clone();
    let gate = Gate::builder()
        .domains(lone_workers(3))
        .on_thread_start(move |info| started.lock().unwrap().push((thread_id(), info)))
        .start()
        .unwrap();
    let workers = threads.lock().unwrap().clone();
    let mut tokens = Vec::new();
    for round in 0..60 {
        // Below what the spares of one domain can take, should all of them wait there.
        tokens.extend(calls(&gate));
        let (thread, info) = workers[round % workers.len()];
        // Away and back, and in the second half away for good.
        let elsewhere = if info.cpu == Some(first) {
            second
        } else {
            first
        };
        let back = info.cpu.filter(|_| round < 30 && round % 6 >= 3);
        if !bind(thread, back.unwrap_or(elsewhere)) {
            println!("skipped: the system refuses to move a thread");
            return;
        }
    }
    let count = tokens.len() as u64;
    assert_eq!(tokens.into_iter().map(value).sum::<u64>(), count);
    // They are where they were put, and work there.
    for (thread, info) in workers {
        assert!(!allowed_by_proc(thread).contains(&info.cpu.unwrap()));
    }
    let tokens: Vec<_> = (0..30).flat_map(|_| calls(&gate)).collect();
    assert_eq!(tokens.into_iter().map(value).sum::<u64>(), 90);
    let report = gate.shutdown(HANG);
    assert!(report.drained && report.stuck.is_empty(), "{report:?}");
}
