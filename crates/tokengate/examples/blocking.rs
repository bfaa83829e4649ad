//! How long light tokens wait beside bodies that sleep, with and without the tag `blocking`.
//!
//! One worker, 200 bodies that sleep for 50 ms each, and a light token every millisecond until they are done:
//! `cargo run --release -p tokengate --example blocking`.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tokengate::{Domains, Gate, Token, get_all, task_token_guard};

const BODIES: usize = 200;
const NAP: Duration = Duration::from_millis(50);

#[task_token_guard(operation_type = "nap")]
fn nap() {
    sleep(NAP);
}

#[task_token_guard(operation_type = "nap_beside", tags(blocking))]
fn nap_beside() {
    sleep(NAP);
}

#[task_token_guard(operation_type = "light", tags(weight = "light"))]
fn light() -> Instant {
    Instant::now()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "start of a light token after its call, beside {BODIES} bodies of {NAP:?} on one worker"
    );
    measure("without the tag", nap)?;
    measure("with `blocking`", nap_beside)
}

/// Prints the quantiles of what light tokens wait while the bodies sleep.
fn measure(what: &str, body: fn() -> Token<()>) -> Result<(), Box<dyn std::error::Error>> {
    let gate = Gate::builder().domains(one_worker()).start()?;
    let _entered = gate.enter();
    let start = Instant::now();
    let bodies: Vec<_> = (0..BODIES).map(|_| body()).collect();
    let mut calls = Vec::new();
    while !bodies.iter().all(Token::is_finished) {
        calls.push((Instant::now(), light()));
        sleep(Duration::from_millis(1));
    }
    let took = start.elapsed();
    get_all(bodies).into_iter().collect::<Result<(), _>>()?;
    let mut waited = Vec::new();
    for (called, token) in calls {
        waited.push(token.get()?.duration_since(called));
    }
    waited.sort_unstable();
    let quantile = |of: usize| waited[(waited.len() - 1) * of / 100];
    println!(
        "{what:16} p50 {:>10.1?}  p99 {:>10.1?}  of {:5} light tokens; all bodies in {took:.1?}",
        quantile(50),
        quantile(99),
        waited.len(),
    );
    Ok(())
}

/// The first CPU that the process may use.
fn one_worker() -> Domains {
    let machine = tokengate_scheduler::topology::Machine::detect();
    Domains::Custom(vec![vec![machine.cpus()[0].id]])
}
