//! What this machine is and how its CPUs become domains, cores, workers and weight ranges.
//!
//! Called once when a scheduler starts, and by whoever prints its plan. Everything here decides and
//! nothing acts: no thread is started and none is pinned. `sysfs.rs` alone reads files, and a
//! plan depends on nothing but the [`Machine`] and the two options given to [`Plan::new`].
//!
//! | file | role |
//! |---|---|
//! | `sysfs.rs` | reads the kernel's description of CPUs, caches and nodes |
//! | `cpulist.rs` | the kernel's notation for sets of CPUs, both ways |
//! | `groups.rs` | places the CPUs in cores, caches and nodes, and stands in for what is unknown |
//! | `machine.rs` | what is known of the machine: CPUs, quota and notes |
//! | `domains.rs` | cuts the CPUs into domains of cores with their workers |
//! | `ranges.rs` | which domains a weight may use, and which it may borrow |
//! | `plan.rs`, `render.rs` | all of it together, with the reasons, and printed for people |
//! | `error.rs` | what cannot be planned, and the remedy |
//!
//! ```
//! use tokengate_scheduler::topology::{Domains, Machine, Plan, WeightRanges};
//!
//! let plan = Plan::new(&Machine::flat(4), &Domains::PerCore, &WeightRanges::default())?;
//! assert_eq!(plan.domains().len(), 4);
//! println!("{plan}");
//! # Ok::<(), tokengate_scheduler::topology::PlanError>(())
//! ```

pub mod cpulist;
mod domains;
mod error;
mod groups;
mod machine;
mod plan;
mod ranges;
mod render;
mod sysfs;

pub use domains::{Domains, PlannedCore, PlannedDomain, PlannedWorker};
pub use error::{CpuListError, PlanError};
pub use machine::{Cpu, CpuClass, Machine};
pub use plan::{Plan, RefusedPin};
pub use ranges::{Ranges, WeightRanges};

/// How many CPUs one machine may have: the most that Linux can be built for.
///
/// Source: the upper bound of `NR_CPUS` in Linux's x86 configuration. CPU ids at or above it in a
/// list, and more domains than this, are refused as nonsense instead of exhausting memory.
pub const MAX_CPUS: usize = 8_192;
