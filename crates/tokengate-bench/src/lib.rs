//! Benchmarks tokengate and its peers side by side: scenarios, contenders, recorder, report.
//!
//! `cargo xtask bench` runs the binary of this crate. A run takes every contender of a scenario in
//! turn, round after round, drops the first round, keeps the median of the others and checks what
//! the contenders computed. Ratios are formed inside one run only; figures of two runs, or of two
//! machines, do not belong beside each other.
//!
//! # Scenarios
//!
//! | name | question |
//! |---|---|
//! | `waves` | what does mixed work of 0.3 to 9 µs cost in 15 waves that double from 4 to 65,536 tokens? |
//! | `submit` | what does one empty token cost, with 1,000 to 1,000,000 outstanding? |
//! | `latency` | how long are one token and its result on their way, back to back and after a rest? |
//! | `keyed` | what does it cost to have the state of a key to oneself, evenly drawn and by Zipf's law? |
//! | `locality` | what is it worth that a key, with a state as large as caches are, stays with a core? |
//! | `chain` | what does a child cost that a body creates and takes the result of? |
//! | `skew` | what does one hot key do to the latency of the others? |
//! | `scale` | what does a token cost in time and memory, with 1,000 to 10,000,000 outstanding? |
//! | `flights` | is every row of real data hashed exactly once, in order within a key, and how fast? |
//!
//! # An executor of your own
//!
//! Implement [`Contender`], one method, and hand it to [`Bench::contender`]: it then takes part in
//! every scenario but `chain` beside the built-in ones, with the same checks, options and reports; where
//! tokens have keys it takes a mutex for each key. A complete program is `examples/own_executor.rs`; run
//! it with `cargo run --release -p tokengate-bench --example own_executor -- --quick`.
//!
//! ```
//! use tokengate_bench::{Bench, Contender, Handles, Job, Outcome};
//!
//! struct Inline;
//!
//! impl Contender for Inline {
//!     fn run<J: Job>(
//!         &mut self,
//!         jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
//!         mut take: impl FnMut(Outcome<J::Output>),
//!     ) {
//!         for job in jobs {
//!             take(Ok(job.run()));
//!         }
//!     }
//! }
//!
//! let bench = Bench::new().contender("inline", Handles::None, || Ok(Inline));
//! // bench.main() reads the command line, runs, prints and gives the exit code.
//! # drop(bench);
//! ```
//!
//! # What is measured, and what is not
//!
//! * Elapsed time includes submission, execution and taking each result. Files are read and parsed
//!   before; the bodies of `waves` make their inputs themselves, from seeds.
//! * Latency runs from a token's submission to its result, in quantiles. In `latency` it ends when the
//!   caller has the result, in `waves` when the body has returned.
//! * Occupancy is the wall time inside bodies over the elapsed time; time-slicing inflates it beyond
//!   the CPUs. CPU parallelism is the CPU time inside bodies over the elapsed time; it cannot
//!   exceed them.
//! * A repetition during which the hypervisor took more than 1 % of the CPU time is taken again, a
//!   bounded number of times. Other processes only cause a warning: close them and run again.

mod allocator;
mod bench;
mod cli;
mod contender;
mod contenders;
mod cpu_time;
mod effort;
mod keyed;
mod machine;
mod probe;
mod progress;
mod random;
mod recorder;
mod report;
mod roster;
mod scenarios;
mod spin;
mod spread;
mod tally;
mod zipf;

pub use crate::bench::Bench;
pub use crate::contender::{Contender, Failed, Handles, Job, Outcome, OwnFigures, Unable};
pub use tokengate::Weight;
