//! Reads resident memory while tokens are held, in a process that does nothing else.
//!
//! The scenario starts this binary again with a hidden subcommand; the bench then calls [`read`] and prints
//! the reading. Any contender can be read, because each drops its jobs when it has submitted all of them:
//! at that moment every handle exists and no result has been taken.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Value, json};
use tokengate::Weight;

use crate::contender::{Contender, Job};
use crate::machine;
use crate::tally::Tally;

/// What has become of the tokens that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Held {
    /// All have run, and no result has been taken.
    Executed,
    /// None has started: bodies hold the workers.
    Unstarted,
}

impl Held {
    /// The name in keys, tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Unstarted => "unstarted",
        }
    }
}

/// Resident memory of a process at three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    /// When the contender has run a few tokens.
    pub(crate) start_bytes: u64,
    /// While it holds all.
    pub(crate) held_bytes: u64,
    /// When all are dropped.
    pub(crate) dropped_bytes: u64,
}

impl Reading {
    pub(super) fn held_growth_bytes(&self) -> f64 {
        self.held_bytes.saturating_sub(self.start_bytes) as f64
    }

    pub(super) fn left_behind_bytes(&self) -> f64 {
        self.dropped_bytes.saturating_sub(self.start_bytes) as f64
    }

    /// The line that the process prints.
    pub(crate) fn line(&self) -> String {
        json!({
            "start_bytes": self.start_bytes,
            "held_bytes": self.held_bytes,
            "dropped_bytes": self.dropped_bytes,
        })
        .to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        let figures: Value = serde_json::from_str(line).ok()?;
        let bytes = |name: &str| figures[name].as_u64();
        Some(Self {
            start_bytes: bytes("start_bytes")?,
            held_bytes: bytes("held_bytes")?,
            dropped_bytes: bytes("dropped_bytes")?,
        })
    }
}

/// Starts this binary again to read a contender; no reading where there is none, see [`read`].
///
/// # Errors
///
/// If the process cannot be started or fails; with what it said.
pub(super) fn in_a_fresh_process(
    contender: &str,
    tokens: usize,
    held: Held,
) -> Result<Option<Reading>, String> {
    let binary = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(binary)
        .args(["resident", contender, &tokens.to_string(), held.name()])
        .output()
        .map_err(|error| format!("no process: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}", output.status, said.trim()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.lines().last().and_then(Reading::parse))
}

/// Room to ask for so that this many tokens may wait for their start, with those that hold the workers and
/// what each thread draws in advance; none if they are to run at once.
pub(crate) fn room(tokens: usize, held: Held) -> Option<usize> {
    let spare = holders() + 64 * (machine::workers() + 1);
    (held == Held::Unstarted).then_some(tokens + spare)
}

/// Tokens before the first reading: threads have their stacks by then, and next to no cells.
const WARM_UP: usize = 64;

/// Time for workers to give back what they hold.
const SETTLE: Duration = Duration::from_millis(100);

/// Above glibc's threshold of 64 KiB, below that of a mapping of its own.
const OCCASION_BYTES: usize = 100 << 10;

/// Longest wait for tokens to run.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens that have run, for all bodies of the process: a body of a word refers to nothing else.
static EXECUTED: AtomicU64 = AtomicU64::new(0);

/// Workers that a body holds.
static HOLDING: AtomicUsize = AtomicUsize::new(0);

/// Whether the held workers may go on.
static RELEASED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// A token that gives its number back; a negative one holds its worker first.
struct Body(i64);

impl Job for Body {
    type Output = i64;

    /// The holders have all weights, so that they reach all workers.
    fn weight(&self) -> Weight {
        match self.0 {
            ..0 if self.0 % 3 == 0 => Weight::Heavy,
            ..0 if self.0 % 3 == -1 => Weight::Light,
            _ => Weight::Medium,
        }
    }

    fn run(self) -> i64 {
        if self.0 >= 0 {
            EXECUTED.fetch_add(1, Ordering::Relaxed);
        } else {
            HOLDING.fetch_add(1, Ordering::Relaxed);
            let released = RELEASED.0.lock().expect("no body panics");
            let waits = RELEASED.1.wait_while(released, |released| !*released);
            drop(waits.expect("no body panics"));
        }
        self.0
    }
}

/// More than there are workers: where each one goes is the contender's affair.
fn holders() -> usize {
    8 * machine::workers()
}

/// Yields first the bodies that hold workers, if any, then the others, and reads memory when the contender
/// has submitted all and drops it.
struct Watched {
    next: i64,
    tokens: i64,
    held: Held,
    /// Resident bytes, where the system tells them, and tokens that had run.
    seen: Arc<OnceLock<(Option<u64>, u64)>>,
}

impl Iterator for Watched {
    type Item = Body;

    fn next(&mut self) -> Option<Body> {
        if self.next == self.tokens {
            return None;
        }
        if self.next == 0 && self.held == Held::Unstarted {
            wait_until(|| HOLDING.load(Ordering::Relaxed) >= machine::workers());
        }
        let body = Body(self.next);
        self.next += 1;
        Some(body)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.tokens - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Watched {}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.held == Held::Executed {
            wait_until(|| EXECUTED.load(Ordering::Relaxed) >= self.tokens as u64);
        }
        let executed = EXECUTED.load(Ordering::Relaxed);
        // There is one such iterator for a reading.
        let _ = self.seen.set((machine::resident_bytes(), executed));
        *RELEASED.0.lock().expect("no body panics") = true;
        RELEASED.1.notify_all();
    }
}

/// Reads a contender, once in a process: no reading where the system does not tell, or the contender does
/// not come into the state that is asked for.
///
/// # Errors
///
/// If the results are not right.
pub(crate) fn read<C: Contender>(
    contender: &mut C,
    tokens: usize,
    held: Held,
) -> Result<Option<Reading>, String> {
    contender.run((0..WARM_UP).map(|number| Body(number as i64)), |_| {});
    EXECUTED.store(0, Ordering::Relaxed);
    let start_bytes = machine::resident_bytes();
    let (tally, seen) = run_watched(contender, tokens, held);
    thread::sleep(SETTLE);
    provoke_release();
    let dropped_bytes = machine::resident_bytes();
    if !tally.is_flawless() {
        return Err(tally.line());
    }
    let Some((held_bytes, executed)) = seen else {
        return Ok(None);
    };
    let wanted = match held {
        Held::Executed => tokens as u64,
        Held::Unstarted => 0,
    };
    if executed != wanted {
        return Ok(None);
    }
    let all = start_bytes.zip(held_bytes).zip(dropped_bytes);
    Ok(
        all.map(|((start_bytes, held_bytes), dropped_bytes)| Reading {
            start_bytes,
            held_bytes,
            dropped_bytes,
        }),
    )
}

/// Gives the allocator an occasion to hand memory back. glibc keeps small freed blocks apart until somebody
/// asks for a larger one, and looks at the top of the heap when a larger one is freed.
fn provoke_release() {
    drop(black_box(Vec::<u8>::with_capacity(OCCASION_BYTES)));
}

fn run_watched<C: Contender>(
    contender: &mut C,
    tokens: usize,
    held: Held,
) -> (Tally, Option<(Option<u64>, u64)>) {
    let holding = match held {
        Held::Executed => 0,
        Held::Unstarted => holders(),
    };
    let seen = Arc::new(OnceLock::new());
    let bodies = Watched {
        next: -(holding as i64),
        tokens: tokens as i64,
        held,
        seen: seen.clone(),
    };
    let mut tally = Tally::expecting(holding + tokens);
    let mut sum = 0;
    contender.run(bodies, |outcome| {
        sum += tally.count(outcome).unwrap_or(0);
    });
    let expected = (-(holding as i64)..tokens as i64).sum();
    tally.check(&sum, &expected, i64::to_string);
    let seen = seen.get().copied();
    (tally, seen)
}

fn wait_until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_survives_its_line() {
        let reading = Reading {
            start_bytes: 1,
            held_bytes: 3,
            dropped_bytes: 2,
        };
        assert_eq!(Reading::parse(&reading.line()), Some(reading));
        assert_eq!(Reading::parse("no reading"), None);
        assert_eq!(reading.held_growth_bytes(), 2.0);
        assert_eq!(reading.left_behind_bytes(), 1.0);
    }

    #[test]
    fn bodies_that_hold_come_first_with_every_weight() {
        let weights: Vec<Weight> = (-3..0).map(|number| Body(number).weight()).collect();
        assert_eq!(weights, [Weight::Heavy, Weight::Medium, Weight::Light]);
        assert_eq!(Body(3).weight(), Weight::Medium);
    }
}
