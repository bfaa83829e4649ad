//! tokengate with its defaults: guarded functions, each call a token.
//!
//! Three forms of the same gate: call by call, calls in a batch, and a batch whose results are taken in one
//! wait. A job becomes a call of the guarded function of its weight.

use std::fmt::Display;

use tokengate::{Domains, Gate, Stats, Timing, Token, TokenError, Weight, task_token_guard};

use crate::contender::{Contender, Failed, Job, Outcome, OwnFigures, Unable};

#[task_token_guard(operation_type = "bench.heavy", tags(weight = "heavy"))]
fn heavy<J: Job>(job: J) -> J::Output {
    job.run()
}

#[task_token_guard(operation_type = "bench.medium", tags(weight = "medium"))]
fn medium<J: Job>(job: J) -> J::Output {
    job.run()
}

#[task_token_guard(operation_type = "bench.light", tags(weight = "light"))]
fn light<J: Job>(job: J) -> J::Output {
    job.run()
}

/// How the calls are made and their results taken.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Each call on its own, then each token's result.
    OneByOne,
    /// The calls in a batch, then each token's result.
    Batch,
    /// The calls in a batch, then all results with one wait.
    GetAll,
}

/// A gate in one form of use.
pub(crate) struct Tokengate {
    gate: Gate,
    form: Form,
    read: Stats,
}

impl Tokengate {
    /// A gate with its defaults.
    pub(crate) fn start(form: Form) -> Result<Self, Unable> {
        Self::with(form, Gate::builder())
    }

    /// The same, timing every token.
    pub(crate) fn start_timing_all(form: Form) -> Result<Self, Unable> {
        Self::with(form, Gate::builder().timing(Timing::Every))
    }

    /// The same in a single domain, where any worker may run any token.
    pub(crate) fn start_free_routing(form: Form) -> Result<Self, Unable> {
        Self::with(form, Gate::builder().domains(Domains::Count(1)))
    }

    /// The same with room for so many tokens that have not started.
    pub(crate) fn start_with_room(form: Form, tokens: usize) -> Result<Self, Unable> {
        Self::with(form, Gate::builder().capacity(tokens))
    }

    fn with(form: Form, builder: tokengate::Builder) -> Result<Self, Unable> {
        let gate = builder.start().map_err(|error| Unable(error.to_string()))?;
        let read = gate.stats();
        Ok(Self { gate, form, read })
    }

    /// Makes the calls in this form, and takes their results. Each step of the iterator is a call.
    pub(super) fn take_all<T, E>(
        &self,
        calls: impl Iterator<Item = Token<T, E>>,
        mut take: impl FnMut(Outcome<T>),
    ) where
        TokenError<E>: Display,
    {
        let _entered = self.gate.enter();
        let calls = || calls.collect::<Vec<_>>();
        let tokens = match self.form {
            Form::OneByOne => calls(),
            Form::Batch | Form::GetAll => self.gate.batch(calls),
        };
        let mut take = |result: Result<_, _>| take(result.map_err(Failed::because));
        match self.form {
            Form::OneByOne | Form::Batch => tokens.into_iter().for_each(|t| take(t.get())),
            Form::GetAll => tokengate::get_all(tokens).into_iter().for_each(take),
        }
    }
}

fn call<J: Job>(job: J) -> Token<J::Output> {
    match job.weight() {
        Weight::Heavy => heavy(job),
        Weight::Medium => medium(job),
        Weight::Light => light(job),
    }
}

impl Contender for Tokengate {
    fn run<J: Job>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        take: impl FnMut(Outcome<J::Output>),
    ) {
        self.take_all(jobs.map(call), take);
    }

    fn own_figures(&mut self) -> Option<OwnFigures> {
        let now = self.gate.stats();
        let since = now.since(&self.read);
        self.read = now;
        let since = since.total();
        Some(OwnFigures {
            occupancy: since.occupancy(),
            cpu_parallelism: since.cpu_parallelism(),
            latency_p50_ns: since.latency(0.5)?.as_nanos() as f64,
            latency_p99_ns: since.latency(0.99)?.as_nanos() as f64,
        })
    }
}
