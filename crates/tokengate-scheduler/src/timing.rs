//! Four honest figures: occupancy, CPU parallelism, throughput, and latency quantiles.
//!
//! Each worker records what it ran into a recorder of its own; a report merges them. Keeps: the
//! figures are never mixed, and reading them stops no worker. Speed-up needs a serial loop to
//! compare with, which is the caller's to run.

use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use hdrhistogram::Histogram;

use crate::sync::atomic::AtomicU64;
use crate::sync::atomic::Ordering::Relaxed;

/// Latencies up to this are told apart; longer ones count as this.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// What one worker counted. Written by the worker, read by anybody.
#[derive(Default)]
pub(crate) struct Recorder {
    counts: CachePadded<Counts>,
    timed: Mutex<Option<Timed>>,
}

#[derive(Default)]
struct Counts {
    tokens: AtomicU64,
    failed: AtomicU64,
    parks: AtomicU64,
}

/// What is known of timed tokens.
#[derive(Clone)]
struct Timed {
    in_bodies: Duration,
    /// Those whose CPU time was measured too: all of them, or a sample.
    measured: Measured,
    latency_ns: Histogram<u64>,
}

/// Wall and CPU time of the same bodies.
#[derive(Clone, Copy, Default)]
struct Measured {
    wall: Duration,
    cpu: Duration,
}

/// Adds one to a counter that only this thread writes: no read-modify-write is needed.
fn count(counter: &AtomicU64) {
    // Relaxed: a figure, which orders nothing.
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

impl Recorder {
    /// A token is done.
    #[inline]
    pub(crate) fn finished(&self, failed: bool) {
        count(&self.counts.tokens);
        if failed {
            count(&self.counts.failed);
        }
    }

    pub(crate) fn parked(&self) {
        count(&self.counts.parks);
    }

    /// Time that a timed token spent in its body, all of it or one poll; with its CPU time if that
    /// was measured.
    pub(crate) fn ran(&self, wall: Duration, cpu: Option<Duration>) {
        self.record(|timed| {
            timed.in_bodies += wall;
            if let Some(cpu) = cpu {
                timed.measured.wall += wall;
                timed.measured.cpu += cpu;
            }
        });
    }

    /// The time from submit to resolve of a timed token.
    pub(crate) fn resolved(&self, latency_ns: u64) {
        self.record(|timed| timed.latency_ns.saturating_record(latency_ns));
    }

    fn record(&self, note: impl FnOnce(&mut Timed)) {
        // Contended only by a reader that merges.
        let mut timed = self.timed.lock().unwrap_or_else(PoisonError::into_inner);
        note(timed.get_or_insert_with(Timed::new));
    }
}

impl Timed {
    fn new() -> Self {
        Self {
            in_bodies: Duration::ZERO,
            measured: Measured::default(),
            latency_ns: Histogram::new_with_max(LONGEST_NS, 3).expect("3 digits are allowed"),
        }
    }

    fn add(&mut self, other: &Self) {
        self.in_bodies += other.in_bodies;
        self.measured.wall += other.measured.wall;
        self.measured.cpu += other.measured.cpu;
        self.latency_ns
            .add(&other.latency_ns)
            .expect("all histograms have the same range");
    }
}

/// What a gate did from its start, or between two reports, to the moment of asking.
#[derive(Clone)]
pub struct TimingReport {
    taken: Instant,
    elapsed: Duration,
    tokens: u64,
    failed: u64,
    parks: u64,
    unparks: u64,
    stride: u32,
    timed: Timed,
}

impl TimingReport {
    pub(crate) fn new<'a>(
        started: Instant,
        stride: u32,
        unparks: u64,
        recorders: impl Iterator<Item = &'a Recorder>,
    ) -> Self {
        let taken = Instant::now();
        let mut report = Self {
            taken,
            elapsed: taken - started,
            tokens: 0,
            failed: 0,
            parks: 0,
            unparks,
            stride,
            timed: Timed::new(),
        };
        for recorder in recorders {
            report.tokens += recorder.counts.tokens.load(Relaxed);
            report.failed += recorder.counts.failed.load(Relaxed);
            report.parks += recorder.counts.parks.load(Relaxed);
            let timed = recorder
                .timed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(timed) = &*timed {
                report.timed.add(timed);
            }
        }
        report
    }

    /// What came after an earlier report of the same gate.
    ///
    /// # Panics
    ///
    /// If `earlier` is not an earlier report of the same gate.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut timed = self.timed.clone();
        timed.in_bodies -= earlier.timed.in_bodies;
        timed.measured.wall -= earlier.timed.measured.wall;
        timed.measured.cpu -= earlier.timed.measured.cpu;
        timed
            .latency_ns
            .subtract(&earlier.timed.latency_ns)
            .expect("an earlier report of the same gate");
        Self {
            taken: self.taken,
            elapsed: self.taken - earlier.taken,
            tokens: self.tokens - earlier.tokens,
            failed: self.failed - earlier.failed,
            parks: self.parks - earlier.parks,
            unparks: self.unparks - earlier.unparks,
            stride: self.stride,
            timed,
        }
    }

    /// The time covered.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// How many tokens' bodies ended, however they did.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// How many of them returned an error or panicked.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Throughput: tokens per second of elapsed time.
    pub fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.elapsed.as_secs_f64()
    }

    /// How many tokens were timed; the figures below are theirs.
    pub fn timed_tokens(&self) -> u64 {
        self.timed.latency_ns.len()
    }

    /// Wall time in bodies by elapsed time: how many bodies were under way, on average.
    ///
    /// Time in which a body's thread was not running counts too, so this can exceed the CPUs.
    /// Scaled up from the sample unless every token is timed; 0 when none is.
    pub fn occupancy(&self) -> f64 {
        self.timed.in_bodies.as_secs_f64() * f64::from(self.stride) / self.elapsed.as_secs_f64()
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

    /// The time from submit to resolve that this share of the timed tokens did not exceed.
    ///
    /// `quantile` is from 0 to 1: 0.5 is the median. None if no token was timed.
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        (self.timed_tokens() > 0)
            .then(|| Duration::from_nanos(self.timed.latency_ns.value_at_quantile(quantile)))
    }

    /// How often a worker parked.
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// How often a worker was unparked.
    pub fn unparks(&self) -> u64 {
        self.unparks
    }
}

impl fmt::Display for TimingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tokens in {:.3?}: {:.0} tokens/s, {} failed",
            self.tokens,
            self.elapsed,
            self.tokens_per_s(),
            self.failed
        )?;
        if let (Some(p50), Some(p99)) = (self.latency(0.5), self.latency(0.99)) {
            write!(f, "occupancy {:.2}, ", self.occupancy())?;
            if let Some(parallelism) = self.cpu_parallelism() {
                write!(f, "CPU parallelism {parallelism:.2}, ")?;
            }
            writeln!(
                f,
                "latency p50 {p50:.3?} p99 {p99:.3?} ({} timed)",
                self.timed_tokens()
            )?;
        }
        write!(f, "{} parks, {} unparks", self.parks, self.unparks)
    }
}

impl fmt::Debug for TimingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimingReport")
            .field("elapsed", &self.elapsed)
            .field("tokens", &self.tokens)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
