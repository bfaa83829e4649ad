//! Pinned workers in core domains: mailboxes, routing by weight, stealing inside a domain only.
//!
//! A [`Scheduler`] starts one thread for each CPU that the process may use and pins it. A call goes
//! to the mailbox of a core in the range of its weight; the workers of that core's domain execute
//! it. Work is stolen inside a domain, never across.
//!
//! Use it alone where you submit closures and futures yourself and want neither the attribute nor
//! an async runtime; guarded functions, timers and network come with the crate `tokengate`.
//!
//! | step of a call | file |
//! |---|---|
//! | the call | `handle.rs`, `submit.rs`, `batch.rs` |
//! | room | `admission.rs` |
//! | where it goes | `bind.rs`, `anchors.rs`, `router.rs` |
//! | the lane of a serial key | `lane.rs`, `lane/` |
//! | the permit of a limit | `permits/` |
//! | the mailbox | `mailbox.rs`, `domain.rs` |
//! | parked workers | `sleep/` |
//! | execution | `worker.rs`, `on_worker.rs`, `local/` |
//! | bodies that wait | `block/` |
//! | ends of tokens that have not started | `outsiders.rs` |
//! | tokens whose time is over | `deadlines/` |
//! | bodies that run again | `retry/` |
//! | chains carried elsewhere | `chain.rs` |
//! | orders for tokens that exist | `control/` |
//! | figures | `stats/`, `sampling.rs` |
//! | start and end | `config.rs`, `topology/`, `scheduler.rs`, `shared.rs` |

#![forbid(unsafe_code)]

mod admission;
mod anchored;
mod anchors;
mod batch;
mod bind;
mod block;
mod chain;
mod clock;
mod config;
mod contain;
mod control;
mod deadlines;
mod domain;
mod entered;
mod error;
mod explain;
mod handle;
mod label;
mod lane;

mod local;
mod mailbox;
#[cfg(tokengate_loom)]
#[doc(hidden)]
pub mod model;
mod on_worker;
mod outsiders;
mod permits;
mod pin;
mod retry;
mod router;
mod sampling;
mod scheduler;
mod shared;
mod shutdown;
mod sleep;
mod stats;
mod submit;
mod sync;
mod thread;
pub mod topology;
mod worker;

pub use anchored::{Conductor, LiveChain, PinnedKey, Sticky};
pub use batch::flush;
pub use chain::{Chain, EnteredChain, InChain};
pub use config::{
    CompanionHook, Config, FailureHook, Full, Hooks, Linger, MaxSpares, NameHook, OldWaitAge,
    Reactor, Recent, StartHook, TimedHook, Timing, WorkerInfo,
};
pub use entered::{Entered, Scope};
pub use error::StartError;
pub use explain::{Explanation, Reason};
pub use handle::{Call, Handle, Refused};
pub use permits::LimitState;
pub use pin::allow_cpus;
pub use scheduler::Scheduler;
pub use shutdown::{DrainReport, SHUTDOWN_GRACE, ShutdownReport, StuckThread};
pub use stats::{Executing, Execution, Figures, OldWait, Stats, TrackedToken, Zombie};
pub use submit::rejected;
pub use tokengate_anchor::{Key, KeyHasher, Seed};
pub use tokengate_token::*;
