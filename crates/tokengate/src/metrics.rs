//! Feeds the stats of gates to the recorder of the `metrics` crate; with the cargo feature `metrics`.
//!
//! Counters and gauges are set from [`Stats`] now and then; histograms get each timed token when it
//! ends. Nothing is registered or sent before somebody asks for it.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `tokengate_tokens_created_total` | counter | gate, operation | tokens made |
//! | `tokengate_tokens_ended_total` | counter | gate, operation, outcome | tokens that have exited |
//! | `tokengate_tokens_outside_range_total` | counter | gate, operation | bound outside of their weight's range |
//! | `tokengate_undeclared_calls_total` | counter | gate, operation | calls of leads that do not declare them |
//! | `tokengate_parks_total`, `tokengate_unparks_total` | counter | gate | of workers |
//! | `tokengate_tokens_waiting`, `_executing`, `_suspended`, `_zombies` | gauge | gate, operation | of those in flight |
//! | `tokengate_domain_tokens_in_flight` | gauge | gate, domain | by domain, counted from 1 |
//! | `tokengate_occupancy`, `tokengate_cpu_parallelism` | gauge | gate | since the report before |
//! | `tokengate_paused`, `tokengate_pins`, `tokengate_waiting_in_lanes`, `tokengate_chains`, `tokengate_old_waits` | gauge | gate | as in [`Stats`] |
//! | `tokengate_wait_seconds`, `tokengate_run_seconds` | histogram | gate, operation | of timed tokens: a sample, unless every one is timed |
//!
//! ```
//! use std::time::Duration;
//! use tokengate::{Gate, metrics};
//!
//! let gate = Gate::builder().on_timed(metrics::histograms("main")).start()?;
//! let reporter = metrics::Reporter::start(gate.handle(), "main", Duration::from_secs(10))?;
//! gate.spawn("double", || 21 * 2).get()?;
//! gate.shutdown(Duration::from_secs(5));
//! drop(reporter); // reports once more
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::any::Any;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use metrics::{Label, counter, gauge, histogram};
use tokengate_scheduler::{Execution, Figures, Handle, Outcome, Stats};

const OUTCOMES: [Outcome; 6] = [
    Outcome::Value,
    Outcome::Error,
    Outcome::Panicked,
    Outcome::Killed,
    Outcome::TimedOut,
    Outcome::Rejected,
];

/// Reports the stats of a gate now and then, from a thread of its own; once more when it is dropped.
#[derive(Debug)]
pub struct Reporter {
    /// Dropped to end the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Reports now, and every so often; `name` is the label `gate`.
    ///
    /// Each report costs what [`Handle::stats`] does.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start(gate: Handle, name: impl Into<String>, every: Duration) -> io::Result<Self> {
        let (running, ended) = channel::<()>();
        let name = name.into();
        let run = move || {
            let mut last = None;
            loop {
                let stats = gate.stats();
                report(&stats, last.as_ref(), &name);
                last = Some(stats);
                match ended.recv_timeout(every) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            report(&gate.stats(), last.as_ref(), &name);
        };
        let thread = Builder::new().name("tokengate-metrics".to_owned());
        Ok(Self {
            running: Some(running),
            thread: Some(thread.spawn(run)?),
        })
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // A recorder that panicked has said so.
            let _: Result<(), Box<dyn Any + Send>> = thread.join();
        }
    }
}

/// A hook for [`Builder::on_timed`](crate::Builder::on_timed) that records waits and runs.
pub fn histograms(gate: impl Into<String>) -> impl Fn(&Execution) + Send + Sync + 'static {
    let gate = gate.into();
    move |execution| {
        let labels = || labels(&gate, execution.operation.label());
        histogram!("tokengate_wait_seconds", labels()).record(execution.wait);
        histogram!("tokengate_run_seconds", labels()).record(execution.run);
    }
}

/// Sets counters and gauges from these stats; figures of time are those since the ones before.
pub fn report(stats: &Stats, before: Option<&Stats>, gate: &str) {
    let of_gate = || vec![Label::new("gate", gate.to_owned())];
    for (operation, figures) in stats.operations() {
        report_operation(figures, gate, operation);
    }
    for (operation, count) in stats.undeclared() {
        counter!("tokengate_undeclared_calls_total", labels(gate, operation)).absolute(*count);
    }
    for (index, figures) in stats.domains().iter().enumerate() {
        let mut labels = of_gate();
        labels.push(Label::new("domain", (index + 1).to_string()));
        gauge!("tokengate_domain_tokens_in_flight", labels).set(figures.in_flight() as f64);
    }
    counter!("tokengate_parks_total", of_gate()).absolute(stats.parks());
    counter!("tokengate_unparks_total", of_gate()).absolute(stats.unparks());
    gauge!("tokengate_paused", of_gate()).set(stats.paused() as f64);
    gauge!("tokengate_pins", of_gate()).set(stats.pins() as f64);
    gauge!("tokengate_waiting_in_lanes", of_gate()).set(stats.waiting_in_lanes() as f64);
    gauge!("tokengate_chains", of_gate()).set(stats.chains() as f64);
    gauge!("tokengate_old_waits", of_gate()).set(stats.old_waits().len() as f64);
    let lately = before.map(|before| stats.since(before));
    let total = lately.as_ref().unwrap_or(stats).total();
    gauge!("tokengate_occupancy", of_gate()).set(total.occupancy());
    if let Some(parallelism) = total.cpu_parallelism() {
        gauge!("tokengate_cpu_parallelism", of_gate()).set(parallelism);
    }
}

fn report_operation(figures: &Figures, gate: &str, operation: &'static str) {
    let labels = || labels(gate, operation);
    counter!("tokengate_tokens_created_total", labels()).absolute(figures.created());
    counter!("tokengate_tokens_outside_range_total", labels()).absolute(figures.outside_range());
    for outcome in OUTCOMES {
        let mut labels = labels();
        labels.push(Label::new("outcome", outcome.to_string()));
        counter!("tokengate_tokens_ended_total", labels).absolute(figures.ended_as(outcome));
    }
    gauge!("tokengate_tokens_waiting", labels()).set(figures.waiting() as f64);
    gauge!("tokengate_tokens_executing", labels()).set(figures.executing() as f64);
    gauge!("tokengate_tokens_suspended", labels()).set(figures.suspended() as f64);
    gauge!("tokengate_tokens_zombies", labels()).set(figures.zombies() as f64);
}

fn labels(gate: &str, operation: &'static str) -> Vec<Label> {
    vec![
        Label::new("gate", gate.to_owned()),
        Label::from_static_parts("operation", operation),
    ]
}
