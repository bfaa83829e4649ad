//! Post, sleep and unpark under the model checker: nothing is lost, and nobody sleeps for ever.
//!
//! Run by `cargo xtask loom`. The domains and workers are the real ones, see `src/model.rs`; a
//! worker that sleeps for ever is reported as a deadlock. Counters are plain atomics of std: they
//! add no steps to the model.

#![cfg(tokengate_loom)]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use tokengate_scheduler::model::{Domain, Engaged, Worker};
use tokengate_scheduler::{NoHome, Operation, Plain, Ran, Runnable, RunnableList, Token, create};

static OP: Operation = Operation::new("loom.operation");

fn run(runnable: Runnable) {
    assert!(matches!(runnable.run(&NoHome::shared()), Ran::Completed));
}

/// A stop flag with the domains that it stops.
#[derive(Clone)]
struct Stop {
    flag: Arc<AtomicBool>,
    domains: Vec<Domain>,
}

impl Stop {
    fn of(domains: &[Domain]) -> Self {
        Self {
            flag: Arc::new(AtomicBool::new(false)),
            domains: domains.to_vec(),
        }
    }

    /// As `Shared::stop`.
    fn stop(&self) {
        self.flag.store(true, Release);
        for domain in &self.domains {
            domain.stop();
        }
    }

    fn is_set(&self) -> bool {
        self.flag.load(Acquire)
    }
}

/// Calls whose bodies count; the last one of them to run stops the workers.
#[derive(Clone)]
struct Calls {
    left: Arc<AtomicUsize>,
    stop: Stop,
}

impl Calls {
    fn new(count: usize, stop: &Stop) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(count)),
            stop: stop.clone(),
        }
    }

    fn one(&self) -> Runnable {
        self.with(|| ())
    }

    fn with<R>(&self, body: impl FnOnce() -> R + Send + 'static) -> Runnable {
        let calls = self.clone();
        let body = move || {
            body();
            if calls.left.fetch_sub(1, SeqCst) == 1 {
                calls.stop.stop();
            }
        };
        create(&OP, Plain::new(body)).1
    }

    fn list(&self, count: usize) -> RunnableList {
        let mut list = RunnableList::new();
        (0..count).for_each(|_| list.push_front(self.one()));
        list
    }

    fn assert_all_ran(&self) {
        assert_eq!(self.left.load(SeqCst), 0);
    }
}

/// Works as a worker does, until it is stopped.
fn work(worker: &mut Worker, stop: &Stop) {
    work_and_tell(worker, stop, || ());
}

/// As `work`, and tells when it is about to park.
fn work_and_tell(worker: &mut Worker, stop: &Stop, tell: impl Fn()) {
    while !stop.is_set() {
        if let Some(runnable) = worker.next() {
            run(runnable);
        } else if !worker.sleep(|| {
            tell();
            stop.is_set()
        }) {
            // There is work that it did not get: a sibling has the drain role at the moment.
            thread::yield_now();
        }
    }
}

fn start(mut worker: Worker, stop: &Stop) -> JoinHandle<()> {
    let stop = stop.clone();
    thread::spawn(move || {
        work(&mut worker, &stop);
        worker.end();
    })
}

/// Starts all workers but one, which works on this thread when `before` is done.
fn work_all(mut workers: Vec<Worker>, stop: &Stop, before: impl FnOnce()) {
    let last = workers.pop();
    let threads: Vec<_> = workers
        .into_iter()
        .map(|worker| start(worker, stop))
        .collect();
    before();
    if let Some(mut last) = last {
        work(&mut last, stop);
        last.end();
    }
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}

/// Posts to the cores in turn, one by one.
fn post(domain: &Domain, cores: usize, runnables: impl IntoIterator<Item = Runnable>) {
    for (at, runnable) in runnables.into_iter().enumerate() {
        domain.post(at % cores, runnable).expect("open");
    }
}

/// Lets two threads meet: whoever waits here waits for the other.
#[derive(Default)]
struct Meeting {
    came: Mutex<usize>,
    both: Condvar,
}

impl Meeting {
    fn come(&self) {
        *self.came.lock().unwrap() += 1;
        self.both.notify_all();
    }

    /// Waits until so many have come; how many have.
    fn wait_for(&self, count: usize) -> usize {
        let mut came = self.came.lock().unwrap();
        while *came < count {
            came = self.both.wait(came).unwrap();
        }
        *came
    }

    fn meet(&self) {
        self.come();
        self.wait_for(2);
    }
}

#[test]
fn a_worker_misses_no_post() {
    loom::model(|| {
        let (domain, mut workers) = Domain::new(1, 1);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(2, &stop);
        let worker = start(workers.remove(0), &stop);
        post(&domain, 1, [calls.one(), calls.one()]);
        worker.join().unwrap();
        calls.assert_all_ran();
    });
}

#[test]
fn a_worker_misses_neither_of_two_posters() {
    loom::model(|| {
        let (domain, mut workers) = Domain::new(1, 1);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(3, &stop);
        let poster = {
            let (domain, calls) = (domain.clone(), calls.clone());
            thread::spawn(move || post(&domain, 1, [calls.one()]))
        };
        let worker = start(workers.remove(0), &stop);
        domain.post_list(0, calls.list(2)).expect("open");
        poster.join().unwrap();
        worker.join().unwrap();
        calls.assert_all_ran();
    });
}

#[test]
fn two_workers_share_a_mailbox_and_miss_nothing() {
    loom::model(|| {
        let (domain, workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(2, &stop);
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| start(worker, &stop))
            .collect();
        post(&domain, 1, [calls.one(), calls.one()]);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        calls.assert_all_ran();
    });
}

#[test]
fn two_posters_and_two_workers_miss_nothing() {
    loom::model(|| {
        let (domain, workers) = Domain::new(2, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(2, &stop);
        let poster = {
            let (domain, calls) = (domain.clone(), calls.clone());
            thread::spawn(move || post(&domain, 1, [calls.one()]))
        };
        work_all(workers, &stop, || {
            domain.post(1, calls.one()).expect("open");
        });
        poster.join().unwrap();
        calls.assert_all_ran();
    });
}

#[test]
fn a_list_wakes_more_than_one_worker() {
    loom::model(|| {
        let (domain, workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(2, &stop);
        let meeting = Arc::new(Meeting::default());
        let mut list = RunnableList::new();
        for _ in 0..2 {
            let meeting = meeting.clone();
            // Neither body ends before the other one has started: one worker alone is stuck.
            list.push_front(calls.with(move || meeting.meet()));
        }
        work_all(workers, &stop, || {
            domain.post_list(0, list).expect("open");
        });
        calls.assert_all_ran();
    });
}

#[test]
fn what_a_drain_leaves_in_the_mailbox_wakes_a_sibling() {
    loom::model(|| {
        let (domain, workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(4, &stop);
        let meeting = Arc::new(Meeting::default());
        // The first of four waits for the last, which is beyond one batch.
        let (waits, comes) = (meeting.clone(), meeting.clone());
        let mut list = RunnableList::new();
        list.push_front(calls.with(move || waits.wait_for(1)));
        list.push_front(calls.one());
        list.push_front(calls.one());
        list.push_front(calls.with(move || comes.come()));
        work_all(workers, &stop, || {
            domain.post_list(0, list).expect("open");
        });
        calls.assert_all_ran();
    });
}

/// A busy worker with two runnables in its queue, of which the first waits for the second, and two
/// parked hands that have to share them.
fn two_hands_share_a_queue(
    hands_of: impl Fn(&Domain, Vec<Worker>) -> [Worker; 2] + Sync + Send + 'static,
    workers: usize,
) {
    let mut model = loom::model::Builder::new();
    // Three threads: one preemption is enough to find the fault, and takes seconds, where two would
    // take an hour.
    model.preemption_bound = Some(1);
    model.max_branches = 10_000;
    model.check(move || {
        let (domain, mut each) = Domain::with_spares(1, workers, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(3, &stop);
        let meeting = Arc::new(Meeting::default());
        let (waits, comes) = (meeting.clone(), meeting.clone());
        let mut list = RunnableList::new();
        list.push_front(calls.one());
        list.push_front(calls.with(move || waits.wait_for(1)));
        list.push_front(calls.with(move || comes.come()));
        let mut busy = each.remove(0);
        let hands = hands_of(&domain, each).map(|hand| start(hand, &stop));
        while domain.parked() < 2 {
            thread::yield_now();
        }
        domain.post_list(0, list).expect("open");
        if let Some(first) = busy.next() {
            run(first);
        }
        // In a body until the second hand has run the last of them.
        meeting.wait_for(1);
        hands.into_iter().for_each(|hand| hand.join().unwrap());
        busy.end();
        calls.assert_all_ran();
    });
}

#[test]
fn what_a_thief_leaves_wakes_another_sibling() {
    two_hands_share_a_queue(|_, siblings| siblings.try_into().ok().expect("two"), 3);
}

#[test]
fn what_a_spare_leaves_wakes_another_hand() {
    let spare = |domain: &Domain| match domain.engage() {
        Engaged::Start(spare) => spare,
        _ => panic!("there is a fresh one"),
    };
    two_hands_share_a_queue(move |domain, _| [spare(domain), spare(domain)], 1);
}

#[test]
fn a_body_that_waits_for_its_children_finds_them_run_by_a_sibling() {
    loom::model(|| {
        let (domain, mut workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let calls = Calls::new(2, &stop);
        let mut parent = workers.remove(0);
        let sibling = start(workers.remove(0), &stop);
        let meeting = Arc::new(Meeting::default());
        for _ in 0..2 {
            let meeting = meeting.clone();
            parent.push(calls.with(move || meeting.come()));
        }
        meeting.wait_for(2);
        sibling.join().unwrap();
        parent.end();
        calls.assert_all_ran();
    });
}

#[test]
fn a_stop_ends_all_workers() {
    loom::model(|| {
        let (domain, workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| start(worker, &stop))
            .collect();
        stop.stop();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// A call that may be killed or refused; what became of it is read from the token.
fn fallible_call() -> (Token<()>, Runnable) {
    create(&OP, Plain::new(|| ()))
}

#[test]
fn a_domain_that_closes_keeps_nothing() {
    loom::model(|| {
        let (domain, workers) = Domain::new(1, 2);
        let stop = Stop::of(std::slice::from_ref(&domain));
        let poster = {
            let domain = domain.clone();
            thread::spawn(move || {
                let (tokens, runnables): (Vec<_>, Vec<_>) = (0..2).map(|_| fallible_call()).unzip();
                // Dropped if it is refused, which resolves the token as well.
                runnables
                    .into_iter()
                    .for_each(|runnable| drop(domain.post(0, runnable)));
                tokens
            })
        };
        work_all(workers, &stop, || stop.stop());
        let tokens = poster.join().unwrap();
        assert!(tokens.iter().all(Token::is_finished));
    });
}

/// A body in one domain calls one in the other, while a drain looks at both in this order.
fn a_drain_looks_at_two_domains(
    order: impl Fn(Domain, Domain) -> [Domain; 2] + Sync + Send + 'static,
) {
    loom::model(move || {
        let (first, mut first_workers) = Domain::new(1, 1);
        let (second, mut second_workers) = Domain::new(1, 1);
        let domains = order(first.clone(), second.clone());
        let stop = Stop::of(&domains);
        let threads = [&mut first_workers, &mut second_workers]
            .map(|workers| start(workers.remove(0), &stop));
        let done = Arc::new(AtomicUsize::new(0));
        let (parent_done, child_done) = (done.clone(), done.clone());
        let child = create(
            &OP,
            Plain::new(move || {
                child_done.fetch_add(1, SeqCst);
            }),
        );
        let parent = create(
            &OP,
            Plain::new(move || {
                // Refused and dropped if it was stopped by now.
                drop(second.post(0, child.1));
                parent_done.fetch_add(1, SeqCst);
            }),
        );
        first.post(0, parent.1).expect("open");
        if Domain::all_quiet(&domains) {
            assert_eq!(done.load(SeqCst), 2, "quiet while a token is in flight");
        }
        stop.stop();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn quiet_means_that_nothing_is_left_to_do() {
    a_drain_looks_at_two_domains(|caller, called| [caller, called]);
}

/// It may be counted and not be there yet when the first look passes by: the second one finds it.
#[test]
fn a_call_to_a_domain_that_was_looked_at_already_is_not_missed() {
    a_drain_looks_at_two_domains(|caller, called| [called, caller]);
}

#[test]
fn a_drain_that_looks_while_a_post_is_under_way_hears_of_its_end() {
    loom::model(|| {
        let (domain, mut workers) = Domain::new(1, 1);
        let domains = [domain.clone()];
        let stop = Stop::of(&domains);
        let parks = Arc::new(Meeting::default());
        let worker = {
            let (mut worker, stop, parks) = (workers.remove(0), stop.clone(), parks.clone());
            thread::spawn(move || {
                work_and_tell(&mut worker, &stop, || parks.come());
                worker.end();
            })
        };
        let post = move || {
            let (token, runnable) = fallible_call();
            drop(domain.post(0, runnable));
            token
        };
        // The second one to come is no edge: it calls nobody.
        let poster = thread::spawn(post.clone());
        let token = post();
        // As `Shared::drain`: looks again whenever a worker has told that it parks.
        let mut seen = 0;
        while !Domain::all_quiet(&domains) {
            seen = parks.wait_for(seen + 1);
        }
        stop.stop();
        worker.join().unwrap();
        assert!(token.is_finished() && poster.join().unwrap().is_finished());
    });
}
