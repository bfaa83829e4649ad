//! The one trait to implement for an executor that wants to be measured.
//!
//! Implemented by each file of `contenders/` and by users. A contender runs every job exactly once and
//! gives every result back; it does not measure, check or count, the harness does.

use std::fmt;

use tokengate::Weight;

/// An executor that can be measured: it runs jobs and gives their results back.
///
/// Keep threads and pools in the value and start them in the closure given to
/// [`Bench::contender`](crate::Bench::contender): `run` is what the clock sees.
pub trait Contender {
    /// Submits each job on its own, then hands each outcome to `take`.
    ///
    /// `jobs` yields the next job when it is asked for it, and that moment counts as the job's
    /// submission. The order of the calls of `take` does not matter; their number does: one for
    /// each job. Take each result through a handle of its own where the executor has one, and
    /// say so with [`Handles::Each`].
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    );

    /// The executor's own figures for the tokens since the last call.
    ///
    /// The default is that it has none; the harness then takes the time inside each body itself.
    fn own_figures(&mut self) -> Option<OwnFigures> {
        None
    }
}

/// One piece of work: what a token executes.
pub trait Job: Send + 'static {
    /// What the work gives back.
    type Output: Send + 'static;

    /// How heavy the work is, for executors that route by weight.
    fn weight(&self) -> Weight {
        Weight::Medium
    }

    /// Does the work.
    fn run(self) -> Self::Output;
}

/// What became of one job.
pub type Outcome<T> = Result<T, Failed>;

/// A job gave no result; the reason is shown and the run fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub String);

impl Failed {
    /// Takes the executor's own error as the reason.
    pub fn because(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A contender cannot run on this machine; it is listed as skipped, with this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unable(pub String);

/// Whether the results come back through a handle each.
///
/// Only contenders with a handle for each token are compared as equals in `submit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handles {
    /// Each token has a handle of its own, and its result is taken through it.
    Each,
    /// Results come back together, or as they finish.
    None,
}

/// What an executor measured itself, see [`Contender::own_figures`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnFigures {
    /// Wall time inside bodies over elapsed time.
    pub occupancy: f64,
    /// Thread CPU time inside bodies over elapsed time, where the system tells it.
    pub cpu_parallelism: Option<f64>,
    /// Median time from submission to result, in nanoseconds.
    pub latency_p50_ns: f64,
    /// 99th percentile of the time from submission to result, in nanoseconds.
    pub latency_p99_ns: f64,
}
