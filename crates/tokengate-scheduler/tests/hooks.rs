//! What users hang in: reactors, hooks and labels, also those that panic.

mod common;

use std::cell::RefCell;
use std::panic::panic_any;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use common::{LONG, OP, OnDrop, Trace, door, get, lone_workers, one_worker, start};
use tokengate_scheduler::{
    Async, Call, Companion, Config, Handle, Hooks, Killer, Outcome, Plain, Reactor, Scheduler,
    Weight, get_all,
};

fn with_reactor(reactor: impl Reactor) -> Scheduler {
    start(Config {
        reactor: Some(Arc::new(reactor)),
        ..one_worker()
    })
}

fn with_hooks(change: impl FnOnce(&mut Hooks)) -> Scheduler {
    let mut config = one_worker();
    change(&mut config.hooks);
    start(config)
}

/// Notes when it is entered and left.
struct Noting(Trace);

impl Reactor for Noting {
    fn run_inside(&self, work: &mut dyn FnMut()) {
        self.0.note("in");
        work();
        self.0.note("out");
    }
}

#[test]
fn a_worker_enters_the_reactor_once_before_its_first_async_body() {
    let trace = Trace::default();
    let scheduler = with_reactor(Noting(trace.clone()));
    let handle = scheduler.handle();
    for name in ["sync", "async", "sync", "async"] {
        let trace = trace.clone();
        let ran = if name == "sync" {
            get(handle.spawn(&OP, move || trace.note(name)))
        } else {
            get(handle.spawn_async(&OP, async move { trace.note(name) }))
        };
        assert!(ran.is_ok());
    }
    drop(scheduler);
    assert_eq!(
        trace.noted(),
        ["sync", "in", "async", "sync", "async", "out"]
    );
}

#[test]
fn the_body_that_asked_for_the_reactor_keeps_its_place() {
    let trace = Trace::default();
    let scheduler = with_reactor(Noting(trace.clone()));
    let handle = scheduler.handle();
    let (door, held) = door();
    handle.spawn(&OP, move || held.wait()).detach();
    door.wait_for_body();
    let note = |name: String| {
        let trace = trace.clone();
        move || trace.note(name)
    };
    let asks = note("first".into());
    let mut tokens = vec![handle.submit(&OP, Async::new(async move { asks() }))];
    tokens.extend((0..300).map(|n| handle.submit(&OP, Plain::new(note(n.to_string())))));
    door.open();
    assert!(get_all(tokens).iter().all(Result::is_ok));
    assert_eq!(trace.noted()[..3], ["in", "first", "0"]);
}

#[test]
fn a_reactor_that_panics_loses_no_token() {
    struct Panicking {
        works: bool,
    }
    impl Reactor for Panicking {
        fn run_inside(&self, work: &mut dyn FnMut()) {
            if self.works {
                work();
            }
            panic_any(OnDrop::new(|| panic!("on purpose")));
        }
    }
    for works in [false, true] {
        let scheduler = with_reactor(Panicking { works });
        let handle = scheduler.handle().clone();
        assert_eq!(get(handle.spawn_async(&OP, async { 7 })).unwrap(), 7);
        assert_eq!(get(handle.spawn(&OP, || 8)).unwrap(), 8);
        assert!(scheduler.shutdown(LONG).stuck.is_empty());
        assert!(get(handle.spawn(&OP, || ())).is_err());
    }
}

#[test]
fn a_start_hook_that_panics_costs_no_worker() {
    let scheduler = with_hooks(|hooks| {
        hooks.thread_start = Arc::new(|_| panic_any(OnDrop::new(|| panic!("on purpose"))));
        hooks.thread_name = Arc::new(|_| panic_any(OnDrop::new(|| panic!("on purpose"))));
    });
    assert_eq!(get(scheduler.handle().spawn(&OP, || 7)).unwrap(), 7);
    assert!(scheduler.shutdown(LONG).drained);
}

#[test]
fn hooks_see_each_worker_and_may_call() {
    let (sender, started) = channel();
    let sender = Mutex::new(sender);
    let mut config = lone_workers(3);
    config.hooks.thread_name = Arc::new(|info| format!("worker {}\0", info.domain));
    config.hooks.thread_start = Arc::new(move |info| {
        let name = thread::current().name().map(str::to_owned);
        let handle = Handle::current().expect("inside its scheduler");
        let token = handle.spawn(&OP, || 7);
        let sender = sender.lock().unwrap();
        sender.send((info.domain, name, token)).unwrap();
    });
    let scheduler = start(config);
    let mut domains: Vec<usize> = started
        .try_iter()
        .map(|(domain, name, token)| {
            assert_eq!(name, Some(format!("worker {domain}")));
            assert_eq!(get(token).unwrap(), 7);
            domain
        })
        .collect();
    domains.sort_unstable();
    assert_eq!(domains, [0, 1, 2]);
    drop(scheduler);
}

#[test]
fn failures_that_nobody_reads_reach_the_hook_which_may_call() {
    let (sender, heard) = channel();
    let sender = Mutex::new(sender);
    let scheduler = with_hooks(|hooks| {
        hooks.unobserved = Arc::new(move |failure| {
            let handle = Handle::current().expect("on a worker");
            let token = handle.spawn(&OP, || 7);
            let sender = sender.lock().unwrap();
            sender.send((failure.to_string(), token)).unwrap();
            panic!("on purpose");
        });
    });
    let (door, held) = door();
    let token = scheduler.handle().try_spawn("a label", move || {
        held.wait();
        Err::<(), _>("no")
    });
    door.wait_for_body();
    token.detach();
    door.open();
    let (failure, token) = heard.recv_timeout(LONG).unwrap();
    assert!(failure.contains("`a label`"), "{failure}");
    assert_eq!(get(token).unwrap(), 7);
}

#[test]
fn a_label_is_one_operation_for_the_whole_process() {
    let threads = [(); 4].map(|()| thread::spawn(|| Call::from("interned").operation()));
    let operations = threads.map(|thread| thread.join().unwrap());
    assert!(
        operations
            .iter()
            .all(|&other| ptr::eq(other, operations[0]))
    );
    assert_eq!(operations[0].label(), "interned");
    assert_eq!(Call::from("interned").weight(), Weight::Medium);
    let other = Call::from(String::from("interned too").as_str());
    assert!(!ptr::eq(other.operation(), operations[0]));
}

#[test]
fn calls_go_to_the_scheduler_entered_last_whatever_the_order_of_leaving() {
    let [outer, inner] = [(); 2].map(|()| start(one_worker()));
    assert!(Handle::current().is_none());
    let is_current = |scheduler: &Scheduler| {
        let token = Handle::current()
            .expect("entered")
            .spawn(&OP, || thread::current().id());
        let here = get(scheduler.handle().spawn(&OP, || thread::current().id())).unwrap();
        get(token).unwrap() == here
    };
    let first = outer.handle().enter();
    let second = inner.handle().enter();
    assert!(is_current(&inner));
    drop(first);
    assert!(is_current(&inner));
    let third = outer.handle().enter();
    assert!(is_current(&outer));
    drop(second);
    drop(third);
    assert!(Handle::current().is_none());
}

#[test]
fn calls_made_while_a_thread_ends_run_and_leave_nothing_behind() {
    static RUN: AtomicUsize = AtomicUsize::new(0);
    type Late = OnDrop<Box<dyn FnOnce()>>;
    thread_local! {
        static LATE: RefCell<Option<Late>> = const { RefCell::new(None) };
    }
    let scheduler = start(Config {
        capacity: Some(64),
        ..one_worker()
    });
    for early in [false, true] {
        let handle = scheduler.handle().clone();
        thread::spawn(move || {
            let call = move || {
                let tokens =
                    (0..3).map(|_| handle.batch(|| handle.spawn(&OP, || RUN.fetch_add(1, SeqCst))));
                assert!(tokens.into_iter().all(|token| get(token).is_ok()));
            };
            let call: Box<dyn FnOnce()> = Box::new(call);
            // Registered before or after this crate's own state: dropped after or before it.
            if early {
                LATE.with(|late| late.replace(Some(OnDrop::new(call))));
                Handle::current();
            } else {
                Handle::current();
                LATE.with(|late| late.replace(Some(OnDrop::new(call))));
            }
        })
        .join()
        .unwrap();
    }
    assert_eq!(RUN.load(SeqCst), 6);
}

/// Ends its token before its body runs, if it is one of these.
struct Ends(Arc<Mutex<Vec<Killer>>>, Arc<AtomicUsize>);

impl Companion for Ends {
    fn around(&self, run: &mut dyn FnMut()) {
        let killers = std::mem::take(&mut *self.0.lock().unwrap());
        killers
            .iter()
            .for_each(|killer| _ = killer.kill("at the last moment"));
        run();
    }

    fn ended(&self, _: Outcome) {
        self.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_token_that_ends_just_before_its_waiter_runs_it_is_counted_once() {
    let (killers, ended) = (
        Arc::<Mutex<Vec<Killer>>>::default(),
        Arc::<AtomicUsize>::default(),
    );
    let scheduler = with_hooks(|hooks| {
        let (killers, ended) = (killers.clone(), ended.clone());
        hooks.companion = Some(Arc::new(move |_, _| {
            Some(Arc::new(Ends(killers.clone(), ended.clone())))
        }));
    });
    let handle = scheduler.handle().clone();
    let waits = {
        let handle = handle.clone();
        handle.clone().spawn(&OP, move || {
            let child = handle.spawn(&OP, || ());
            killers.lock().unwrap().push(child.killer());
            child.get().is_err()
        })
    };
    assert!(get(waits).unwrap(), "it was killed");
    scheduler.shutdown(LONG);
    let total = handle.stats().total().clone();
    assert_eq!((total.created(), total.ended()), (2, 2));
    assert_eq!(ended.load(SeqCst), 2);
}
