//! What keeps a plan from being made, each with its remedy.
//!
//! Returned by [`Plan::new`](super::Plan::new) and [`cpulist::parse`](super::cpulist::parse). These
//! are mistakes in what was asked for; what could not be learnt about the machine is no error and
//! goes into the notes of the plan.

use tokengate_token::Weight;

/// Why [`Plan::new`](super::Plan::new) refused the options it was given.
///
/// Each message says what to change. Domains and CPUs are named as the caller wrote them: domains
/// counted from 1, CPUs by the system's ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The machine has no CPU for this process.
    #[error("no CPU is left to plan for: allow the process at least one CPU that is online")]
    NoCpu,
    /// `Count(0)` or an empty `Custom` list.
    #[error("no domain was asked for: use Count(1) or more, list a domain, or use PerCore")]
    NoDomain,
    /// `Count(n)` beyond [`MAX_CPUS`](super::MAX_CPUS).
    #[error("{asked} domains were asked for: ask for {most} at most")]
    TooManyDomains {
        /// The number that was asked for.
        asked: usize,
        /// The largest number that is accepted.
        most: usize,
    },
    /// A `Custom` domain without CPUs.
    #[error("domain {domain} lists no CPU: remove it or name some of the allowed {allowed}")]
    EmptyDomain {
        /// The domain, counted from 1.
        domain: usize,
        /// The CPUs that could be named, such as `CPUs 0-7`.
        allowed: String,
    },
    /// A CPU that `Custom` names twice.
    #[error("CPU {cpu} is listed in domain {first} and again in domain {second}: list it once")]
    RepeatedCpu {
        /// The CPU's id.
        cpu: usize,
        /// The domain that named it first, counted from 1.
        first: usize,
        /// The domain that named it again; may be the same one.
        second: usize,
    },
    /// A CPU in a `Custom` domain that this process may not use.
    #[error("CPU {cpu} of domain {domain} is not allowed here: choose among {allowed}")]
    CpuNotAllowed {
        /// The CPU's id.
        cpu: usize,
        /// The domain that names it, counted from 1.
        domain: usize,
        /// The CPUs that could be named, such as `CPUs 0-7`.
        allowed: String,
    },
    /// A weight range that starts at core 0.
    #[error("the {weight} range starts at core 0, but cores are numbered from 1: use 1 for all")]
    CoreZero {
        /// The weight whose range it is.
        weight: Weight,
    },
}

/// Why a text is not a CPU list; names the item at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuListError {
    /// An item that is none of `N`, `N-M` and `N-M:USED/GROUP`.
    #[error("\"{item}\" is no CPU, range or pattern: write it like 3, 0-7 or 0-31:2/8")]
    NotAnItem {
        /// The item as it stands in the list.
        item: String,
    },
    /// A range that ends before it starts.
    #[error("the range \"{item}\" ends before it starts: write the lower CPU first")]
    Backwards {
        /// The item as it stands in the list.
        item: String,
    },
    /// A pattern with an empty group, or that uses more of a group than it has.
    #[error("the pattern \"{item}\" uses more CPUs than its group has: write it like 0-31:2/8")]
    BadPattern {
        /// The item as it stands in the list.
        item: String,
    },
    /// A CPU id that no machine has.
    #[error("\"{item}\" names a CPU beyond the {most} that a machine can have: use lower ids")]
    TooLarge {
        /// The item as it stands in the list.
        item: String,
        /// The first id that is refused.
        most: usize,
    },
}
