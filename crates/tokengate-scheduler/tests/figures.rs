//! What the stats say of time: exact where it promises so, never mixed, and by difference.

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::{LONG, OP, get, lone_workers, one_worker, start};
use tokengate_scheduler::{Config, Full, Scheduler, StartError, Timing, get_all};

fn timed(timing: Timing) -> Scheduler {
    start(Config {
        timing,
        ..one_worker()
    })
}

/// Runs so many tokens, and waits until all workers have counted them.
fn run(scheduler: &Scheduler, count: usize) {
    let handle = scheduler.handle();
    let before = handle.stats().total().ended();
    let tokens: Vec<_> = (0..count).map(|_| handle.spawn(&OP, || ())).collect();
    assert!(get_all(tokens).iter().all(Result::is_ok));
    // A token is counted after it resolves.
    while handle.stats().total().ended() < before + count as u64 {
        thread::yield_now();
    }
}

#[test]
fn every_token_is_timed_also_by_a_thread_that_calls_another_scheduler_in_between() {
    let (exact, sampled) = (timed(Timing::Every), timed(Timing::Sampled(1_000)));
    for _ in 0..200 {
        run(&exact, 1);
        run(&sampled, 1);
    }
    assert_eq!(exact.handle().stats().total().timed_tokens(), 200);
    assert!(sampled.handle().stats().total().timed_tokens() < 20);
}

#[test]
fn a_sample_stands_for_all() {
    let scheduler = timed(Timing::Sampled(10));
    run(&scheduler, 20_000);
    let timed = scheduler.handle().stats().total().timed_tokens();
    assert!((1_500..2_500).contains(&timed), "{timed} of 20,000");
}

#[test]
fn nothing_is_timed_when_timing_is_off() {
    let scheduler = timed(Timing::Off);
    run(&scheduler, 1_000);
    let report = scheduler.handle().stats();
    assert_eq!(
        (report.total().ended(), report.total().timed_tokens()),
        (1_000, 0)
    );
    assert_eq!(report.total().latency(0.5), None);
    assert!(report.total().occupancy() <= 0.0);
    assert_eq!(report.total().cpu_parallelism(), None);
}

#[test]
fn failures_panics_and_kills_are_counted_apart() {
    let scheduler = timed(Timing::Every);
    let handle = scheduler.handle().clone();
    let failed = handle.try_spawn(&OP, || Err::<(), _>("no"));
    assert!(get(failed).is_err());
    let panicked = handle.spawn(&OP, || panic!("on purpose"));
    assert!(get::<(), _>(panicked).is_err());
    let killed = handle.batch(|| {
        let token = handle.spawn(&OP, || ());
        assert!(token.kill("not needed") || token.is_finished());
        token
    });
    let was_killed = get(killed).is_err();
    assert!(scheduler.shutdown(LONG).drained);
    let report = handle.stats();
    let total = report.total();
    assert_eq!((total.failed(), total.panicked()), (1, 1));
    assert_eq!(
        (total.killed(), total.completed()),
        if was_killed { (1, 0) } else { (0, 1) }
    );
}

#[test]
fn a_report_since_another_covers_what_came_after() {
    let scheduler = timed(Timing::Every);
    run(&scheduler, 50);
    let first = scheduler.handle().stats();
    let slow = Duration::from_millis(20);
    let token = scheduler.handle().spawn(&OP, move || thread::sleep(slow));
    assert!(get(token).is_ok());
    run(&scheduler, 1);
    let second = scheduler.handle().stats();
    let between = second.since(&first);
    assert_eq!(
        (between.total().ended(), between.total().timed_tokens()),
        (2, 2)
    );
    assert!(between.elapsed() >= slow && between.elapsed() < second.elapsed());
    assert!(between.total().latency(1.0).unwrap() >= slow);
    assert!(between.total().occupancy() > 0.0);
    let nothing = second.since(&second);
    assert_eq!(
        (nothing.total().ended(), nothing.total().timed_tokens()),
        (0, 0)
    );
    assert_eq!(nothing.total().latency(0.99), None);
}

#[test]
fn quantiles_are_ordered_and_within_what_was_seen() {
    let scheduler = timed(Timing::Every);
    let began = Instant::now();
    let pause = Duration::from_millis(5);
    for n in 0..20 {
        let token = scheduler.handle().spawn(&OP, move || {
            if n == 0 {
                thread::sleep(pause);
            }
        });
        assert!(get(token).is_ok());
    }
    run(&scheduler, 1);
    let report = scheduler.handle().stats();
    let quantiles =
        [0.0, 0.5, 0.9, 0.99, 1.0].map(|quantile| report.total().latency(quantile).unwrap());
    assert!(quantiles.is_sorted());
    assert!(quantiles[4] >= pause);
    // Two digits are kept.
    assert!(quantiles[4] <= began.elapsed().mul_f64(1.01));
}

#[test]
fn cpu_time_is_not_wall_time() {
    let scheduler = timed(Timing::Every);
    for _ in 0..3 {
        let token = scheduler
            .handle()
            .spawn(&OP, || thread::sleep(Duration::from_millis(20)));
        assert!(get(token).is_ok());
    }
    run(&scheduler, 1);
    let report = scheduler.handle().stats();
    if let Some(parallelism) = report.total().cpu_parallelism() {
        assert!(parallelism < report.total().occupancy(), "{report}");
    }
}

#[test]
fn workers_park_when_there_is_nothing_and_every_park_is_ended_by_an_unpark() {
    let scheduler = start(lone_workers(2));
    let handle = scheduler.handle();
    let mut tokens = 0;
    let parks = loop {
        run(&scheduler, 1);
        tokens += 1;
        match handle.stats().parks() {
            0..2 => thread::yield_now(),
            parks => break parks,
        }
    };
    let unparks = handle.stats().unparks();
    assert!(parks <= unparks, "{parks} parks, {unparks} unparks");
    assert!(unparks <= tokens, "{unparks} unparks for {tokens} tokens");
}

#[test]
fn options_that_make_no_sense_are_refused_with_the_remedy() {
    let refused = |config| Scheduler::start(config).unwrap_err();
    let no_sample = refused(Config {
        timing: Timing::Sampled(0),
        ..one_worker()
    });
    assert!(matches!(no_sample, StartError::NoSample));
    assert!(no_sample.to_string().contains("Timing::Off"));
    let no_room = refused(Config {
        capacity: Some(0),
        full: Full::Reject,
        ..one_worker()
    });
    assert!(matches!(no_room, StartError::NoCapacity));
    assert!(no_room.to_string().contains("at least 1"));
}
