//! The load of `skew`: tokens that arrive at times of their own, whether or not earlier ones are done.
//!
//! The scenario makes one for each rate. The iterator of jobs waits until the next one is due, so that a
//! contender which submits what it is given submits at that time. The caller sleeps: a loop would take a CPU
//! from the workers. Sleep ends late, and what has become due meanwhile comes at once; how late is kept.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::contender::Job;
use crate::keyed::{KeyedContender, KeyedJob, Sequence, Slot};
use crate::random::Random;
use crate::spin::Spin;
use crate::tally::Tally;

/// The key that takes half of the tokens, where there is one.
const HOT: u32 = 0;

/// When tokens arrive, and which key each has.
#[derive(Clone)]
pub(crate) struct Arrivals {
    slots: &'static [Slot<Sequence>],
    tokens: Arc<[Due]>,
    spin: Spin,
}

#[derive(Debug, Clone, Copy)]
struct Due {
    after: Duration,
    key: u32,
}

impl Arrivals {
    /// Draws keys and times: at random with so many a second on average, or all at once without a rate.
    pub(super) fn draw(
        slots: &'static [Slot<Sequence>],
        tokens: usize,
        rate_per_s: Option<f64>,
        hot_key: bool,
        spin: Spin,
    ) -> Self {
        let mut random = Random::new(5);
        let mut after = Duration::ZERO;
        let others = slots.len() as u32 - 1;
        let due = |_| {
            if let Some(rate_per_s) = rate_per_s {
                // Gaps of a Poisson process.
                let gap_s = -(1.0 - random.fraction()).ln() / rate_per_s;
                after += Duration::from_secs_f64(gap_s);
            }
            let hot = hot_key && random.next() >> 63 == 0;
            let other = 1 + random.below(others);
            Due {
                after,
                key: if hot { HOT } else { other },
            }
        };
        Self {
            slots,
            tokens: (0..tokens).map(due).collect(),
            spin,
        }
    }

    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }

    fn jobs(&self) -> impl ExactSizeIterator<Item = Arrival> + Send + use<> {
        let Self {
            slots,
            tokens,
            spin,
        } = self.clone();
        let mut began = None;
        (0..tokens.len()).map(move |number| {
            let Due { after, key } = tokens[number];
            let due = *began.get_or_insert_with(Instant::now) + after;
            let submitted = wait_until(due);
            Arrival {
                key,
                slot: &slots[key as usize],
                number: number as u64,
                spin,
                late: submitted - due,
                submitted,
            }
        })
    }
}

/// Waits until this time, and tells the time when it is over.
fn wait_until(due: Instant) -> Instant {
    loop {
        let now = Instant::now();
        match due.checked_duration_since(now) {
            Some(rest) if !rest.is_zero() => thread::sleep(rest),
            _ => return now,
        }
    }
}

/// A token of a key.
struct Arrival {
    key: u32,
    slot: &'static Slot<Sequence>,
    number: u64,
    spin: Spin,
    late: Duration,
    submitted: Instant,
}

/// What a token tells of itself.
struct Done {
    hot: bool,
    late: Duration,
    latency: Duration,
}

impl Job for Arrival {
    type Output = Done;

    fn run(self) -> Done {
        self.slot.state.see(self.number + 1);
        self.spin.run();
        Done {
            hot: self.key == HOT,
            late: self.late,
            latency: self.submitted.elapsed(),
        }
    }
}

impl KeyedJob for Arrival {
    fn key(&self) -> usize {
        self.key as usize
    }

    fn lock(&self) -> &'static Mutex<()> {
        &self.slot.lock
    }
}

/// One repetition; all times are sorted.
pub(crate) struct ArrivalSample {
    pub(super) elapsed_s: f64,
    /// From submission to the end of the body, of all keys but the hot one.
    pub(super) others_ns: Vec<u64>,
    /// The same of the hot key.
    pub(super) hot_ns: Vec<u64>,
    /// From the time when a token was due to its submission.
    pub(super) late_ns: Vec<u64>,
    pub(super) steps_back: u64,
    pub(super) tally: Tally,
}

/// Runs all tokens on a contender as they arrive.
pub(crate) fn repetition<C: KeyedContender>(
    contender: &mut C,
    arrivals: &Arrivals,
) -> ArrivalSample {
    arrivals.slots.iter().for_each(|slot| slot.state.reset());
    let tokens = arrivals.tokens();
    let mut tally = Tally::expecting(tokens);
    let mut done = Vec::with_capacity(tokens);
    let started = Instant::now();
    contender.run_keyed(arrivals.jobs(), |outcome| done.extend(tally.count(outcome)));
    let elapsed_s = started.elapsed().as_secs_f64();
    let sorted = |mut times: Vec<u64>| {
        times.sort_unstable();
        times
    };
    let latencies = |hot| {
        let of_kind = done.iter().filter(|done| done.hot == hot);
        sorted(of_kind.map(|done| nanoseconds(done.latency)).collect())
    };
    ArrivalSample {
        elapsed_s,
        others_ns: latencies(false),
        hot_ns: latencies(true),
        late_ns: sorted(done.iter().map(|done| nanoseconds(done.late)).collect()),
        steps_back: arrivals.slots.iter().map(|s| s.state.steps_back()).sum(),
        tally,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::hash_channels::HashChannels;
    use crate::contenders::serial::Serial;
    use crate::keyed;

    fn arrivals(tokens: usize, rate_per_s: Option<f64>, hot_key: bool) -> Arrivals {
        let slots = keyed::slots(100, |_| Sequence::default());
        Arrivals::draw(slots, tokens, rate_per_s, hot_key, Spin::NONE)
    }

    #[test]
    fn the_hot_key_takes_half_and_the_others_take_the_rest_alike() {
        let counts = |hot_key| {
            let mut counts = vec![0; 100];
            let arrivals = arrivals(20_000, None, hot_key);
            arrivals
                .tokens
                .iter()
                .for_each(|due| counts[due.key as usize] += 1);
            counts
        };
        let with = counts(true);
        assert!((9_500..10_500).contains(&with[0]), "{}", with[0]);
        assert!(with[1..].iter().all(|count| (50..160).contains(count)));
        assert_eq!(counts(false)[0], 0);
    }

    #[test]
    fn tokens_arrive_at_the_rate_and_never_early() {
        let arrivals = arrivals(2_000, Some(1e6), false);
        let last = arrivals.tokens.last().unwrap().after;
        assert!((last.as_secs_f64() / 2e-3 - 1.0).abs() < 0.1, "{last:?}");
        let sample = repetition(&mut Serial, &arrivals);
        assert!(sample.elapsed_s >= last.as_secs_f64());
    }

    #[test]
    fn every_token_is_counted_under_its_kind() {
        let mut channels = HashChannels::start().unwrap();
        let sample = repetition(&mut channels, &arrivals(1_000, None, true));
        assert!(sample.tally.is_flawless(), "{}", sample.tally.line());
        assert_eq!(sample.steps_back, 0);
        assert_eq!(sample.others_ns.len() + sample.hot_ns.len(), 1_000);
        assert!(sample.others_ns.is_sorted() && sample.late_ns.len() == 1_000);
    }
}
