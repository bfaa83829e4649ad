//! A system that refuses pins: workers and spares run without, and the plan and a warning say so.
//!
//! The refusal is a seccomp filter, as a sandbox has it, on the threads of one gate only.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod common;

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};

use common::threads::allowed_here;
use common::{elsewhere, lone_workers, value};
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use tokengate::{Gate, TokenError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// The number of the system call, from the kernel's tables.
const SCHED_SETAFFINITY: i64 = if cfg!(target_arch = "x86_64") {
    203
} else {
    122
};

/// From now on the system refuses all pins by this thread and those that it starts; `false` if it
/// does not let itself be told so.
fn forbid_pins() -> bool {
    let filter = SeccompFilter::new(
        BTreeMap::from([(SCHED_SETAFFINITY, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::PERM.raw_os_error() as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    apply_filter(&program).is_ok()
}

/// The warnings of the whole process, each with the name of its thread.
static WARNINGS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Writes the warnings down.
struct Listener;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        WARNINGS.lock().unwrap().push((thread, text.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Listener).unwrap());
}

/// The warnings of the gate whose threads have this name.
fn warnings(thread: &str) -> Vec<String> {
    let warnings = WARNINGS.lock().unwrap();
    let own = warnings.iter().filter(|(name, _)| name == thread);
    own.map(|(_, text)| text.clone()).collect()
}

#[test]
fn workers_whose_pins_are_refused_run_without_and_say_so() {
    listen();
    elsewhere(|| {
        let all = allowed_here();
        if !forbid_pins() {
            println!("skipped: the system takes no seccomp filter");
            return;
        }
        let hook_cpus = Arc::new(Mutex::new(Vec::new()));
        let told = hook_cpus.clone();
        let gate = Gate::builder()
            .domains(lone_workers(3))
            .thread_name(|_| "no pins".into())
            .on_thread_start(move |info| told.lock().unwrap().push(info.cpu))
            .start()
            .unwrap();
        assert_eq!(*hook_cpus.lock().unwrap(), [None; 3]);
        let plan = gate.plan();
        assert_eq!(plan.worker_count(), 3);
        let mut workers = plan.domains().iter().flat_map(|domain| domain.workers());
        assert!(workers.all(|worker| worker.cpu.is_none()), "{plan}");
        assert_eq!(plan.refused_pins().len(), 3);
        let warnings = warnings("no pins");
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        for refused in plan.refused_pins() {
            let (domain, cpu) = (refused.domain + 1, refused.cpu.unwrap());
            let line = format!("worker 1 of domain {domain}, its pin to CPU {cpu} was refused");
            assert!(plan.to_string().contains(&line), "{plan}");
            let fields = format!("domain={domain} worker=1 cpu={cpu}");
            let told = warnings.iter().any(|warning| warning.contains(&fields));
            assert!(told, "{fields} is not in {warnings:?}");
        }
        let sync: Vec<_> = (0..100).map(|_| gate.spawn("sync", allowed_here)).collect();
        let suspended = (0..100).map(|_| {
            gate.spawn_async("async", async {
                tokio::task::yield_now().await;
                allowed_here()
            })
        });
        let suspended: Vec<_> = suspended.collect();
        for token in sync.into_iter().chain(suspended) {
            assert_eq!(value(token), all);
        }
        assert!(gate.shutdown(common::HANG).drained);
    });
}

#[test]
fn a_spare_whose_pin_is_refused_says_so() {
    listen();
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .thread_name(|_| "one pin".into())
        // The worker has its pin by now.
        .on_thread_start(|_| {
            forbid_pins();
        })
        .start()
        .unwrap();
    if !gate.plan().refused_pins().is_empty() || !elsewhere(forbid_pins) {
        println!("skipped: the system refuses pins itself, or takes no seccomp filter");
        return;
    }
    let handle = gate.handle();
    let waits = gate.spawn("waits", move || -> Result<(), TokenError> {
        handle.spawn_async("on a spare", async {}).get()
    });
    value(waits).unwrap();
    let plan = gate.plan();
    let [refused] = plan.refused_pins() else {
        panic!("{plan}");
    };
    assert!(refused.worker >= plan.worker_count(), "{plan}");
    assert_eq!(warnings("one pin").len(), 1);
}
