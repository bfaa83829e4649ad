//! The scheduler used alone: no attribute, no async runtime.
//!
//! Run it with `cargo run --release -p tokengate-scheduler --example alone`. It prints the plan of
//! this machine, counts primes in many small calls, and shows weights, room, async bodies, panics,
//! and an orderly end.

use std::error::Error;
use std::time::Duration;

use tokengate_scheduler::{
    Call, Config, Full, Operation, Plain, Scheduler, Timing, TokenError, Weight, get_all,
};

/// What is called: static, with a label that shows in errors and figures.
static COUNT: Operation = Operation::new("count_primes").with_weight(Weight::Light);

fn count_primes(from: u64, to: u64) -> usize {
    let is_prime = |n: &u64| {
        *n > 1
            && (2..)
                .take_while(|d| d * d <= *n)
                .all(|d| !n.is_multiple_of(d))
    };
    (from..to).filter(is_prime).count()
}

fn main() -> Result<(), Box<dyn Error>> {
    let scheduler = Scheduler::start(Config {
        timing: Timing::Every,
        full: Full::Wait,
        ..Config::default()
    })?;
    let handle = scheduler.handle();
    println!("{}", handle.plan());

    // Many calls, published 64 at a time; this thread is woken once, for all results.
    let tokens = handle.batch(|| {
        let calls = (0..200).map(|n| {
            let body = Plain::new(move || count_primes(n * 500, (n + 1) * 500));
            handle.submit(&COUNT, body)
        });
        calls.collect::<Vec<_>>()
    });
    let counts: Result<Vec<usize>, TokenError> = get_all(tokens).into_iter().collect();
    println!("{} primes below 100,000", counts?.iter().sum::<usize>());

    // A heavier call of the same operation: it may use every core, and says where it would go.
    let heavy = Call::new(&COUNT).with_weight(Weight::Heavy);
    println!("{}", handle.explain(heavy));
    let token = handle.submit(heavy, Plain::new(|| count_primes(0, 10_000)));
    println!("{} primes below 10,000", token.get()?);

    // Bodies may call: their children need no room, and stay with the worker where they can.
    let caller = handle.clone();
    let parent = handle.spawn("parent", move || {
        let children = (0..4).map(|n| caller.spawn("child", move || n * n));
        get_all(children.collect::<Vec<_>>())
    });
    let squares: Result<Vec<i32>, TokenError> = parent.get()?.into_iter().collect();
    println!("squares by children: {:?}", squares?);

    // Async bodies need a reactor for timers and network only; waiting for tokens needs none.
    let caller = handle.clone();
    let sum = handle.spawn_async("sum", async move {
        let [one, two] = [1, 2].map(|n| caller.spawn("part", move || n));
        Ok::<_, TokenError>(one.await? + two.await?)
    });
    println!("sum of awaited parts: {}", sum.get()??);

    // A panic stays inside its token.
    let panicked = handle.spawn("careless", || -> usize { panic!("dropped the ball") });
    if let Err(error) = panicked.get() {
        println!("{error}");
    }

    println!("{}", handle.stats());
    let report = scheduler.shutdown(Duration::from_secs(5));
    println!("everything had finished: {}", report.drained);
    Ok(())
}
