//! Figures: exact counts, CPU parallelism within the CPUs, occupancy, latencies, parks and unparks.
//!
//! No figure is compared with a time, only with what must hold on any machine.

mod common;

use std::time::{Duration, Instant};

use common::{HANG, Held, elsewhere, lone_workers, outcome, value, wait_until};
use tokengate::{Gate, Handle, Stats, Timing, Token, get_all};

fn gate_with(timing: Timing, workers: usize) -> Gate {
    Gate::builder()
        .domains(lone_workers(workers))
        .timing(timing)
        .start()
        .unwrap()
}

/// The figures after everything has ended: a token resolves a moment before it is counted.
fn ended(gate: Gate) -> Stats {
    let handle = gate.handle();
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    handle.stats()
}

/// Uses the CPU for a moment.
fn compute() -> u64 {
    let start = Instant::now();
    let mut sum = 0_u64;
    while start.elapsed() < Duration::from_micros(200) {
        sum = (0..100).fold(sum, |sum, n| std::hint::black_box(sum.wrapping_mul(31) + n));
    }
    sum
}

#[test]
fn counts_are_exact() {
    for timing in [Timing::Off, Timing::Sampled(7), Timing::Every] {
        let gate = gate_with(timing, 2);
        let good: Vec<_> = (0..500).map(|n| gate.spawn("good", move || n)).collect();
        let slept: Vec<_> = (0..100)
            .map(|n| {
                gate.spawn_async("good", async move {
                    tokio::task::yield_now().await;
                    n
                })
            })
            .collect();
        let failed: Vec<_> = (0..50)
            .map(|_| gate.try_spawn("bad", || Err::<(), _>(7)))
            .collect();
        let panicked: Vec<Token<()>> = (0..20)
            .map(|_| gate.spawn("bad", || panic!("as asked")))
            .collect();
        // Never started.
        let held = Held::new(&gate.handle(), "hold");
        let killed = gate.spawn("killed", || ());
        let was_killed = killed.kill("not needed");
        held.release();
        assert!(get_all(good).into_iter().all(|result| result.is_ok()));
        assert!(get_all(slept).into_iter().all(|result| result.is_ok()));
        assert!(get_all(failed).into_iter().all(|result| result.is_err()));
        assert!(get_all(panicked).into_iter().all(|result| result.is_err()));
        let was_killed = was_killed && outcome(killed).is_err();
        let report = ended(gate);
        let total = report.total();
        assert_eq!((total.created(), total.ended()), (672, 672), "{timing:?}");
        assert_eq!(total.killed(), u64::from(was_killed), "{timing:?}");
        assert_eq!((total.failed(), total.panicked()), (50, 20), "{timing:?}");
    }
}

#[test]
fn cpu_parallelism_does_not_exceed_the_workers_or_the_cpus() {
    let gate = gate_with(Timing::Every, 2);
    let before = gate.stats();
    let tokens: Vec<_> = gate.batch(|| (0..200).map(|_| gate.spawn("compute", compute)).collect());
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    let report = gate.stats().since(&before);
    assert!(report.total().occupancy() > 0.0, "{report}");
    // Two clocks are compared, hence the hundredth.
    if let Some(parallelism) = report.total().cpu_parallelism() {
        let cpus = std::thread::available_parallelism().unwrap().get();
        let most = cpus.min(gate.plan().worker_count()) as f64;
        assert!(parallelism > 0.0 && parallelism <= most * 1.01, "{report}");
    }
}

#[test]
fn every_token_has_a_latency() {
    let gate = gate_with(Timing::Every, 2);
    let tokens: Vec<_> = (0..300).map(|_| gate.spawn("timed", compute)).collect();
    let slept = gate.spawn_async("timed", async {
        tokio::time::sleep(Duration::from_millis(2)).await;
    });
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    value(slept);
    let report = ended(gate);
    assert_eq!(report.total().timed_tokens(), report.total().ended());
    let quantiles = [0.5, 0.99, 1.0].map(|quantile| report.total().latency(quantile).unwrap());
    assert!(quantiles.is_sorted(), "{quantiles:?}");
    // Two digits are kept.
    assert!(
        quantiles[2] >= Duration::from_micros(1_980),
        "{quantiles:?}"
    );
    let text = report.to_string();
    assert!(
        text.contains("301 tokens") && text.contains("p99"),
        "{text}"
    );
}

#[test]
fn nothing_is_timed_when_off() {
    let gate = gate_with(Timing::Off, 2);
    let tokens: Vec<_> = (0..300).map(|_| gate.spawn("untimed", compute)).collect();
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    let report = ended(gate);
    assert_eq!(
        (report.total().ended(), report.total().timed_tokens()),
        (300, 0)
    );
    assert_eq!(report.total().latency(0.5), None);
    assert_eq!(report.total().occupancy(), 0.0);
}

#[test]
fn a_sample_is_about_as_large_as_asked_for() {
    let gate = gate_with(Timing::Sampled(64), 2);
    for _ in 0..64 {
        let tokens: Vec<_> = (0..1_000)
            .map(|n| gate.spawn("sampled", move || n))
            .collect();
        assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    }
    let report = ended(gate);
    assert_eq!(report.total().ended(), 64_000);
    // 1,000 are expected, with a deviation of some 18.
    let timed = report.total().timed_tokens();
    assert!((800..1_200).contains(&timed), "{timed} timed");
}

#[test]
fn a_report_since_another_covers_what_came_between() {
    let gate = gate_with(Timing::Every, 2);
    let run = |count: u64| {
        let before = gate.stats().total().ended();
        let tokens: Vec<_> = (0..count).map(|n| gate.spawn("run", move || n)).collect();
        assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
        wait_until("all are counted", || {
            gate.stats().total().ended() == before + count
        });
    };
    run(100);
    let before = gate.stats();
    run(50);
    let report = gate.stats().since(&before);
    assert_eq!(
        (report.total().ended(), report.total().timed_tokens()),
        (50, 50)
    );
    assert!(report.elapsed() < gate.stats().elapsed());
}

/// Waits until the workers are parked; their figures then.
fn at_rest(gate: &Handle) -> Stats {
    let mut last = gate.stats();
    let mut same = 0;
    wait_until("the workers park", || {
        let now = gate.stats();
        let unchanged = (now.parks(), now.unparks(), now.total().ended())
            == (last.parks(), last.unparks(), last.total().ended());
        same = if unchanged { same + 1 } else { 0 };
        last = now;
        same == 20
    });
    last
}

#[test]
fn a_busy_worker_is_not_unparked() {
    let gate = gate_with(Timing::Off, 1);
    let held = Held::new(&gate.handle(), "hold");
    let before = gate.stats();
    let tokens: Vec<_> = (0..1_000)
        .map(|n| gate.spawn("queued", move || n))
        .collect();
    assert_eq!(gate.stats().since(&before).unparks(), 0);
    held.release();
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
}

#[test]
fn a_batch_unparks_a_parked_domain_a_few_times_at_most() {
    let gate = gate_with(Timing::Off, 1);
    value(gate.spawn("warm up", || ()));
    let before = at_rest(&gate.handle());
    let tokens: Vec<_> = gate.batch(|| {
        (0..1_000)
            .map(|n| gate.spawn("batched", move || n))
            .collect()
    });
    assert!(get_all(tokens).into_iter().all(|result| result.is_ok()));
    let report = at_rest(&gate.handle()).since(&before);
    assert!(report.unparks() >= 1, "it was parked");
    // At most once for each publication of 64, and the caller's end of the scope.
    assert!(report.unparks() <= 16, "{report}");
    assert!(report.parks() <= report.unparks(), "{report}");
}

#[test]
fn children_of_a_lone_worker_unpark_nobody() {
    let gate = gate_with(Timing::Off, 1);
    value(gate.spawn("warm up", || ()));
    let before = at_rest(&gate.handle());
    let handle = gate.handle();
    let parent = gate.spawn("parent", move || {
        (0..1_000)
            .map(|n| handle.spawn("child", move || n))
            .collect::<Vec<_>>()
    });
    assert!(
        get_all(value(parent))
            .into_iter()
            .all(|result| result.is_ok())
    );
    let report = at_rest(&gate.handle()).since(&before);
    assert!(report.unparks() <= 1, "{report}");
}

#[test]
fn an_idle_gate_does_nothing() {
    let gate = gate_with(Timing::Off, 2);
    let before = at_rest(&gate.handle());
    std::thread::sleep(Duration::from_millis(20));
    let report = gate.stats().since(&before);
    assert_eq!((report.parks(), report.unparks()), (0, 0));
}
