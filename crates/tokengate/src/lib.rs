//! Pinned workers for when it matters where work runs.
//!
//! A function under [`#[task_token_guard]`](task_token_guard) does not run when it is called: the
//! call returns a [`Token`]. The token is routed by its weight class to the mailbox of a core and
//! is executed there by a thread that is really pinned. Work may be stolen inside a core domain,
//! never across domains. Await the token in async code, or block on it.
//!
//! ```
//! use std::time::Duration;
//! use tokengate::{Gate, task_token_guard};
//!
//! #[task_token_guard(operation_type = "my_op", tags(weight = "medium"))]
//! fn my_operation(n: u64) -> u64 { n * 2 }
//!
//! #[task_token_guard(operation_type = "fetch", tags(weight = "light"))]
//! async fn fetch(id: u64) -> std::io::Result<String> {
//!     tokio::time::sleep(Duration::from_millis(1)).await;
//!     Ok(format!("record {id}"))
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let gate = Gate::builder().start()?; // without it the first call starts Gate::global()
//!     let entered = gate.enter(); // calls on this thread go to this gate
//!     let token = my_operation(21); // returns at once
//!     assert_eq!(token.get()?, 42); // or: token.await? in async code
//!     assert_eq!(fetch(7).get()?, "record 7");
//!     drop(entered);
//!     gate.shutdown(Duration::from_secs(5));
//!     Ok(())
//! }
//! ```
//!
//! This crate is the one to depend on; it adds to `tokengate-scheduler` the attribute, the global
//! gate, and tokio's timers and network for async bodies. A gate costs a thread for each CPU that
//! the process may use; they are parked while there is nothing to do.
//!
//! The cargo feature `metrics` adds the module `metrics`, which feeds a gate's [stats](Gate::stats) to the
//! crate of that name.

#![forbid(unsafe_code)]

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod builder;
mod coordination;
mod error;
mod gate;
mod global;
#[cfg(feature = "metrics")]
pub mod metrics;
mod request;
mod spans;

pub use builder::Builder;
pub use error::InstallError;
pub use gate::Gate;
pub use global::shutdown_global;
pub use request::{RefusedRequest, Request};
#[doc(inline)]
pub use tokengate_macros::task_token_guard;
pub use tokengate_scheduler::topology::{Domains, Plan, PlanError, WeightRanges};
pub use tokengate_scheduler::{
    Attempt, Body, Call, Cancelled, Chain, Conductor, DeadlockCause, DrainReport, Entered,
    EnteredChain, Executing, Execution, Explanation, Failure, FailureKind, Figures, Full, Handle,
    InChain, JoinAll, Key, KeyHasher, KillOnDrop, KillReason, Killer, LimitState, Linger,
    LiveChain, OldWait, Operation, Outcome, Panic, Phase, PinnedKey, Reason, RejectCause,
    Rejection, Retried, Retry, SHUTDOWN_GRACE, Scope, Seed, ShutdownReport, StartError, Stats,
    Status, Sticky, StuckThread, Timing, Token, TokenError, TokenId, TokenState, TrackedToken,
    Weight, WorkerInfo, Zombie, cancelled, check, flush, get_all, join_all,
};

/// The chain that calls from here belong to, to carry to another thread or task.
///
/// That of the lead whose body runs here, at whatever depth; none outside of chains.
///
/// ```
/// use tokengate::{Gate, Token, chain, task_token_guard};
/// #[task_token_guard(operation_type = "child_op")]
/// fn child_op(n: u64) -> u64 { n + 1 }
///
/// static LEAD: tokengate::Operation =
///     tokengate::Operation::new("lead_op").with_external_calls(&["child_op"]);
///
/// let gate = Gate::start()?;
/// let lead = gate.spawn(&LEAD, || {
///     let chain = chain().expect("a lead has one");
///     std::thread::spawn(move || chain.run(|| child_op(1)))
/// });
/// let child = lead.get()?.join().expect("no panic");
/// assert_eq!(child.get()?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn chain() -> Option<Chain> {
    Chain::current()
}

/// The README's example, compiled and run as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
