//! What a gate tells of itself: counts, times, what executes, and what is wrong.
//!
//! Workers and callers count in cells of their own; a report is put together when somebody asks.
//! Keeps: reading holds no worker up for more than moments, and figures are never mixed. It decides
//! nothing, and nothing is decided by it.
//!
//! | what | file |
//! |---|---|
//! | counting | `cells.rs`, `ledger.rs`, `calling.rs`, `working.rs` |
//! | times of timed tokens | `observing.rs`, `timed.rs` |
//! | the report | `report.rs`, `figures.rs`, `display.rs` |
//! | what executes now | `executing.rs`, `waits.rs` |
//! | what was done lately | `recent.rs` |
//! | all tokens that live | `tracking.rs` |

mod calling;
mod cells;
mod display;
mod executing;
mod figures;
mod ledger;
mod observing;
mod recent;
mod report;
mod timed;
mod tracking;
mod waits;
mod working;

pub use executing::{Executing, Zombie};
pub use figures::Figures;
pub use recent::Execution;
pub use report::Stats;
pub use tracking::TrackedToken;
pub use waits::OldWait;

pub(crate) use calling::CallCounts;
pub(crate) use ledger::Ledger;
pub(crate) use observing::CpuSampling;
pub(crate) use recent::Recent;
pub(crate) use tracking::Tracking;
pub(crate) use waits::Waiting;
pub(crate) use working::{WorkCounts, WorkTimes};
