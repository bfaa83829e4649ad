//! What is known of the tokens of a gate, of a domain, or of an operation.
//!
//! Made by `report.rs`, read by users. Counts are of tokens that have exited, and exact once nothing
//! is in flight; the figures of time are those of the timed tokens, and never mixed.

use std::fmt;
use std::time::Duration;

use tokengate_token::Outcome;

use crate::stats::ledger::{OUTCOMES, place_of};
use crate::stats::timed::{Measured, Timed, quantile};

/// Counts and times of a gate, of one domain, or of one operation.
#[derive(Clone, Default)]
pub struct Figures {
    pub(crate) elapsed: Duration,
    /// For how many tokens each timed one stands.
    pub(crate) stride: u32,
    pub(crate) created: u64,
    pub(crate) in_flight: u64,
    pub(crate) ended: [u64; OUTCOMES],
    pub(crate) outside: u64,
    pub(crate) executing: u64,
    pub(crate) suspended: u64,
    pub(crate) zombies: u64,
    pub(crate) timed: Timed,
}

impl Figures {
    /// How many tokens were made.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// How many of them have exited: their bodies and arguments are gone.
    pub fn ended(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// How many ended so.
    pub fn ended_as(&self, outcome: Outcome) -> u64 {
        self.ended[place_of(outcome)]
    }

    /// How many returned a value.
    pub fn completed(&self) -> u64 {
        self.ended_as(Outcome::Value)
    }

    /// How many returned an error.
    pub fn failed(&self) -> u64 {
        self.ended_as(Outcome::Error)
    }

    /// How many panicked.
    pub fn panicked(&self) -> u64 {
        self.ended_as(Outcome::Panicked)
    }

    /// How many were killed: by their handles, by an order, or by the end of the gate.
    pub fn killed(&self) -> u64 {
        self.ended_as(Outcome::Killed)
    }

    /// How many ended because their `ttl` or `timeout` was over.
    pub fn timed_out(&self) -> u64 {
        self.ended_as(Outcome::TimedOut)
    }

    /// How many were refused. Calls that gave their request back have made no token.
    pub fn rejected(&self) -> u64 {
        self.ended_as(Outcome::Rejected)
    }

    /// How many have not exited, zombies among them.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }

    /// How many of those in flight have not been started: in mailboxes, queues, lanes and open
    /// batches, set aside, or about to be tried again; and tombstones that no worker has come to.
    pub fn waiting(&self) -> u64 {
        let started = self.executing + self.suspended;
        self.in_flight.saturating_sub(started)
    }

    /// How many bodies are on the stack of a thread, those that wait for others included.
    pub fn executing(&self) -> u64 {
        self.executing
    }

    /// How many async bodies have been suspended, and are not being polled.
    pub fn suspended(&self) -> u64 {
        self.suspended
    }

    /// How many of those that execute were killed or timed out: their handles have resolved.
    pub fn zombies(&self) -> u64 {
        self.zombies
    }

    /// How many were bound to a domain outside of the range of their weight, by a key or a chain.
    pub fn outside_range(&self) -> u64 {
        self.outside
    }

    /// Throughput: tokens ended per second of elapsed time.
    pub fn tokens_per_s(&self) -> f64 {
        self.ended() as f64 / self.elapsed.as_secs_f64()
    }

    /// How many tokens that resolved by their bodies were timed; the figures below are theirs.
    pub fn timed_tokens(&self) -> u64 {
        self.timed.latency_ns.len()
    }

    /// The time from submission to start that this share of the timed tokens did not exceed.
    ///
    /// `share` is from 0 to 1: 0.5 is the median. Two digits are kept. None if none was timed.
    pub fn wait(&self, share: f64) -> Option<Duration> {
        quantile(&self.timed.wait_ns, share)
    }

    /// As [`wait`](Self::wait), from the start to the end of the body, suspended or not.
    pub fn run(&self, share: f64) -> Option<Duration> {
        quantile(&self.timed.run_ns, share)
    }

    /// As [`wait`](Self::wait), from submission to outcome, of tokens that their bodies resolved.
    pub fn latency(&self, share: f64) -> Option<Duration> {
        quantile(&self.timed.latency_ns, share)
    }

    /// Wall time in bodies by elapsed time: how many bodies were under way, on average.
    ///
    /// Time in which a body's thread was not running counts too, so this can exceed the CPUs.
    /// Scaled up from the sample unless every token is timed; 0 when none is.
    pub fn occupancy(&self) -> f64 {
        let in_bodies = self.timed.in_bodies.as_secs_f64();
        in_bodies * f64::from(self.stride) / self.elapsed.as_secs_f64()
    }

    /// CPU time in bodies by elapsed time: how many CPUs computed. Cannot exceed the CPUs.
    ///
    /// None where the system does not tell a thread's CPU time, or before anything was measured.
    /// With [`Timing::Sampled`](crate::Timing::Sampled) one in 16 of the timed tokens is measured,
    /// and the others are taken to be like it; with `Every` it is exact.
    pub fn cpu_parallelism(&self) -> Option<f64> {
        let Measured { wall, cpu } = self.timed.measured;
        (wall > Duration::ZERO).then(|| self.occupancy() * (cpu.as_secs_f64() / wall.as_secs_f64()))
    }

    /// Takes off what an earlier report counted; what is in flight stays as it is.
    pub(crate) fn subtract(&mut self, earlier: &Self) {
        self.created -= earlier.created;
        for (own, earlier) in self.ended.iter_mut().zip(earlier.ended) {
            *own -= earlier;
        }
        self.outside -= earlier.outside;
        self.timed.subtract(&earlier.timed);
    }
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures")
            .field("created", &self.created)
            .field("completed", &self.completed())
            .field("failed", &self.failed())
            .field("panicked", &self.panicked())
            .field("killed", &self.killed())
            .field("timed_out", &self.timed_out())
            .field("rejected", &self.rejected())
            .field("executing", &self.executing)
            .field("suspended", &self.suspended)
            .finish_non_exhaustive()
    }
}
