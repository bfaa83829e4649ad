//! The times of timed tokens: sums, and quantiles of the wait, the run and the latency.
//!
//! One for each worker and operation, merged for a report. Keeps two digits of each time.

use std::time::Duration;

use hdrhistogram::Histogram;

/// What is known of timed tokens.
#[derive(Clone)]
pub(crate) struct Timed {
    pub(crate) in_bodies: Duration,
    /// Those whose CPU time was measured too: all of them, or a sample.
    pub(crate) measured: Measured,
    /// From the submission to the start.
    pub(crate) wait_ns: Histogram<u32>,
    /// From the start to the end of the body, suspended or not.
    pub(crate) run_ns: Histogram<u32>,
    /// From the submission to the outcome.
    pub(crate) latency_ns: Histogram<u32>,
}

/// Wall and CPU time of the same bodies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Grows with the longest time: 7 KiB for one of a millisecond, some 20 KiB for one of an hour.
fn histogram() -> Histogram<u32> {
    Histogram::new(2).expect("2 digits are allowed")
}

impl Default for Timed {
    fn default() -> Self {
        Self {
            in_bodies: Duration::ZERO,
            measured: Measured::default(),
            wait_ns: histogram(),
            run_ns: histogram(),
            latency_ns: histogram(),
        }
    }
}

impl Timed {
    /// Time spent in a body, all of it or one poll; with its CPU time if that was measured.
    pub(crate) fn ran(&mut self, wall: Duration, cpu: Option<Duration>) {
        self.in_bodies += wall;
        if let Some(cpu) = cpu {
            self.measured.wall += wall;
            self.measured.cpu += cpu;
        }
    }

    /// A body has ended that waited and ran for so long.
    pub(crate) fn ended(&mut self, wait_ns: u64, run_ns: u64) {
        record(&mut self.wait_ns, wait_ns);
        record(&mut self.run_ns, run_ns);
    }

    /// A token has resolved by its body, so long after its submission.
    pub(crate) fn resolved(&mut self, latency_ns: u64) {
        record(&mut self.latency_ns, latency_ns);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.in_bodies += other.in_bodies;
        self.measured.wall += other.measured.wall;
        self.measured.cpu += other.measured.cpu;
        self.each_with(other, |own, other| {
            own.add(other).expect("it grows as needed");
        });
    }

    /// Takes off what an earlier look at the same times found.
    pub(crate) fn subtract(&mut self, earlier: &Self) {
        self.in_bodies -= earlier.in_bodies;
        self.measured.wall -= earlier.measured.wall;
        self.measured.cpu -= earlier.measured.cpu;
        self.each_with(earlier, |own, earlier| {
            let subtracted = own.subtract(earlier);
            subtracted.expect("an earlier report of the same gate");
        });
    }

    fn each_with(&mut self, other: &Self, with: impl Fn(&mut Histogram<u32>, &Histogram<u32>)) {
        with(&mut self.wait_ns, &other.wait_ns);
        with(&mut self.run_ns, &other.run_ns);
        with(&mut self.latency_ns, &other.latency_ns);
    }
}

fn record(histogram: &mut Histogram<u32>, value_ns: u64) {
    // Not within 64 bits of nanoseconds.
    histogram.record(value_ns).expect("it grows as needed");
}

/// The time that this share of the tokens did not exceed.
pub(crate) fn quantile(histogram: &Histogram<u32>, share: f64) -> Option<Duration> {
    let any = !histogram.is_empty();
    any.then(|| Duration::from_nanos(histogram.value_at_quantile(share)))
}
