//! Where bodies run, by the kernel's word: on the thread, and that thread on the CPU, of the plan.
//!
//! Also that weights stay in their ranges, what lending may do, that a loaded domain's work stays in
//! it, and that two workers of one domain share.

mod common;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Barrier, Mutex};

use common::threads::{allowed_by_proc, allowed_here, thread_id};
use common::{Held, Latch, elsewhere, lone_workers, outcome, value, wait_until};
use tokengate::{
    Call, Domains, Gate, Handle, Operation, Token, Weight, WeightRanges, WorkerInfo, get_all,
};

static HEAVY: Operation = Operation::new("heavy").with_weight(Weight::Heavy);
static MEDIUM: Operation = Operation::new("medium").with_weight(Weight::Medium);
static LIGHT: Operation = Operation::new("light").with_weight(Weight::Light);

/// What the kernel and the start hook say of the thread that a body runs on.
#[derive(Clone, Debug)]
struct Place {
    thread: i32,
    domain: usize,
}

/// The workers that said where they are, by their thread.
#[derive(Clone, Default)]
struct Workers(Arc<Mutex<HashMap<i32, WorkerInfo>>>);

impl Workers {
    fn start(&self, domains: Domains, ranges: WeightRanges) -> Gate {
        let workers = self.clone();
        Gate::builder()
            .domains(domains)
            .weight_ranges(ranges)
            .on_thread_start(move |info| {
                workers.0.lock().unwrap().insert(thread_id(), info);
            })
            .start()
            .unwrap()
    }

    fn info(&self, thread: i32) -> WorkerInfo {
        let workers = self.0.lock().unwrap();
        let info = workers.get(&thread).copied();
        info.expect("a body runs on the thread of a worker")
    }

    /// Where this body runs; its domain counted from 0.
    fn here(&self) -> Place {
        let thread = thread_id();
        Place {
            thread,
            domain: self.info(thread).domain,
        }
    }

    /// A call whose token gives its place.
    fn ask(&self, gate: &Handle, call: impl Into<Call>) -> Token<Place> {
        let workers = self.clone();
        gate.spawn(call, move || workers.here())
    }
}

/// Holds a worker of this domain, by a call that may go there.
fn hold_in(domain: usize, gate: &Handle, call: &'static Operation) -> Held {
    let mut there = None;
    wait_until("a call goes to the domain", || {
        let held = Held::new(gate, call);
        if held.domain == domain {
            there = Some(held);
        } else {
            held.release();
        }
        there.is_some()
    });
    there.expect("waited for")
}

#[test]
fn each_body_runs_on_the_thread_and_the_cpu_of_the_plan() {
    let workers = Workers::default();
    let gate = workers.start(Domains::Count(8), WeightRanges::strict());
    let plan = gate.plan();
    let tokens = (0..800).map(|_| {
        let workers = workers.clone();
        gate.spawn("where", move || {
            let before = rustix::thread::sched_getcpu();
            (workers.here(), allowed_here(), before)
        })
    });
    for token in tokens.collect::<Vec<_>>() {
        let routed = {
            wait_until("the token ran", || token.is_finished());
            token.status().domain
        };
        let (place, allowed, cpu) = value(token);
        assert_eq!(routed, Some(place.domain), "the token says where it went");
        let info = workers.info(place.thread);
        let mut planned = plan.domains()[info.domain].workers();
        // None where the system refused the pin; the plan says so, and nothing can be asked.
        let Some(planned) = planned.nth(info.worker).unwrap().cpu else {
            continue;
        };
        assert_eq!(info.cpu, Some(planned), "hook and plan agree");
        assert_eq!(cpu, planned, "the CPU that the body ran on");
        assert_eq!(allowed, [planned], "the affinity of its thread");
        assert_eq!(
            allowed_by_proc(place.thread),
            [planned],
            "the same from /proc"
        );
    }
}

#[test]
fn each_worker_is_a_thread_of_its_own() {
    let workers = Workers::default();
    let gate = workers.start(Domains::Count(8), WeightRanges::strict());
    let started = workers.0.lock().unwrap().clone();
    assert_eq!(started.len(), gate.plan().worker_count());
    let seats: BTreeSet<_> = started
        .values()
        .map(|info| (info.domain, info.worker))
        .collect();
    assert_eq!(seats.len(), started.len());
}

#[test]
fn weights_stay_in_their_ranges() {
    let workers = Workers::default();
    let gate = workers.start(Domains::Count(8), WeightRanges::strict());
    let ran_in = |call: &'static Operation| -> BTreeSet<usize> {
        // From several threads: each goes its own way round.
        let threads = (0..4).map(|_| {
            let (workers, handle) = (workers.clone(), gate.handle());
            std::thread::spawn(move || {
                let tokens: Vec<_> = (0..400).map(|_| workers.ask(&handle, call)).collect();
                tokens
                    .into_iter()
                    .map(|token| value(token).domain)
                    .collect()
            })
        });
        let threads: Vec<std::thread::JoinHandle<Vec<usize>>> = threads.collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    };
    assert!(
        ran_in(&HEAVY).contains(&0),
        "only heavy tokens may use core 1"
    );
    let medium = ran_in(&MEDIUM);
    assert!(!medium.contains(&0), "medium begins at core 2: {medium:?}");
    assert!(
        medium.contains(&1),
        "no lighter token uses core 2: {medium:?}"
    );
    let light = ran_in(&LIGHT);
    assert_eq!(
        light,
        (2..8).collect(),
        "light uses core 3 and up, all of them"
    );
}

#[test]
fn a_lent_domain_is_used_only_while_it_is_empty_and_parked() {
    let workers = Workers::default();
    let gate = workers.start(lone_workers(4), WeightRanges::default());
    let handle = gate.handle();
    let heavy = hold_in(0, &handle, &HEAVY);
    let medium = hold_in(1, &handle, &MEDIUM);
    for _ in 0..300 {
        let place = value(workers.ask(&handle, &LIGHT));
        assert!(place.domain >= 2, "lent though busy: {place:?}");
    }
    heavy.release();
    let mut lent = None;
    wait_until("a parked domain is lent", || {
        lent = Some(value(workers.ask(&handle, &LIGHT)).domain);
        lent == Some(0)
    });
    for _ in 0..300 {
        let place = value(workers.ask(&handle, &LIGHT));
        assert_ne!(place.domain, 1, "the other one is still busy");
    }
    medium.release();
}

#[test]
fn work_of_a_loaded_domain_runs_nowhere_else() {
    let workers = Workers::default();
    // All but heavy tokens go to domain 4.
    let ranges = WeightRanges::new(1, 4, 4).with_lending(false);
    let gate = workers.start(Domains::Count(4), ranges);
    let threads = (0..3).map(|_| {
        let (workers, handle) = (workers.clone(), gate.handle());
        std::thread::spawn(move || load(&workers, &handle))
    });
    let places: Vec<Place> = threads
        .collect::<Vec<_>>()
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    assert!(places.len() > 9_000);
    let wrong = places.iter().find(|place| place.domain != 3);
    assert!(wrong.is_none(), "{wrong:?}");
    wait_until("a heavy token goes to another domain", || {
        value(workers.ask(&gate.handle(), &HEAVY)).domain < 3
    });
}

/// Loads one domain in all ways that there are; where the bodies ran.
fn load(workers: &Workers, handle: &Handle) -> Vec<Place> {
    let plain: Vec<_> = (0..1_000).map(|_| workers.ask(handle, &LIGHT)).collect();
    let batch: Vec<_> = handle.batch(|| (0..1_000).map(|_| workers.ask(handle, &MEDIUM)).collect());
    let with_child = (0..500).map(|_| {
        let (workers, handle) = (workers.clone(), handle.clone());
        handle.clone().spawn(&LIGHT, move || {
            (workers.here(), workers.ask(&handle, &MEDIUM))
        })
    });
    let with_child: Vec<_> = with_child.collect();
    let asleep = (0..200).map(|_| {
        let workers = workers.clone();
        handle.spawn_async(&LIGHT, async move {
            let mut places = vec![workers.here()];
            for _ in 0..3 {
                tokio::task::yield_now().await;
                tokio::time::sleep(std::time::Duration::from_micros(50)).await;
                places.push(workers.here());
            }
            places
        })
    });
    let asleep: Vec<_> = asleep.collect();
    let mut places: Vec<Place> = plain.into_iter().chain(batch).map(value).collect();
    for token in with_child {
        let (parent, child) = value(token);
        places.extend([parent, value(child)]);
    }
    places.extend(asleep.into_iter().flat_map(value));
    places
}

#[test]
fn two_workers_of_a_domain_share_its_work() {
    let cpus: Vec<usize> = tokengate_scheduler::topology::Machine::detect()
        .cpus()
        .iter()
        .map(|cpu| cpu.id)
        .collect();
    let [first, second, ..] = cpus[..] else {
        println!("skipped: two workers of a domain need two CPUs, this process may use {cpus:?}");
        return;
    };
    let workers = Workers::default();
    let domains = Domains::Custom(vec![vec![first, second]]);
    let gate = workers.start(domains, WeightRanges::default());
    if gate.plan().worker_count() < 2 {
        println!("skipped: the CPU quota leaves one worker");
        return;
    }
    for _ in 0..50 {
        // Neither can go on alone, though one worker takes both out of the mailbox.
        let met = Arc::new(Barrier::new(2));
        let meet = || {
            let (met, workers) = (met.clone(), workers.clone());
            gate.spawn("meet", move || {
                met.wait();
                workers.here()
            })
        };
        let tokens = gate.batch(|| [meet(), meet()]);
        let [one, other] = tokens.map(value);
        assert_ne!(one.thread, other.thread);
        assert_eq!((one.domain, other.domain), (0, 0));
    }
}

#[test]
fn a_held_worker_hides_nothing_from_its_sibling() {
    let cpus = tokengate_scheduler::topology::Machine::detect();
    let [first, second, ..] = cpus.cpus() else {
        println!("skipped: two workers of a domain need two CPUs");
        return;
    };
    let domains = Domains::Custom(vec![vec![first.id, second.id]]);
    let workers = Workers::default();
    let gate = workers.start(domains, WeightRanges::default());
    if gate.plan().worker_count() < 2 {
        println!("skipped: the CPU quota leaves one worker");
        return;
    }
    // The body waits for what was queued behind it, in its worker's own queue.
    let done = Latch::new();
    let tokens = gate.batch(|| {
        let wait = done.clone();
        let first = gate.spawn("hold", move || wait.wait());
        let rest: Vec<_> = (0..500).map(|n| gate.spawn("queued", move || n)).collect();
        (first, rest)
    });
    let (first, rest) = tokens;
    let sum = elsewhere(move || get_all(rest).into_iter().map(Result::unwrap).sum::<u32>());
    assert_eq!(sum, 500 * 499 / 2);
    done.open();
    outcome(first).unwrap();
    // And what it calls itself.
    let (workers_here, handle) = (workers.clone(), gate.handle());
    let parent = gate.spawn("parent", move || {
        let ran = Latch::new();
        let child = {
            let ran = ran.clone();
            handle.spawn("child", move || {
                ran.open();
                workers_here.here().thread
            })
        };
        ran.wait();
        (thread_id(), child)
    });
    let (parent, child) = value(parent);
    assert_ne!(value(child), parent);
}
