//! Why a scheduler could not be started, with the remedy.

use crate::topology::PlanError;

/// Why a scheduler could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The options contradict themselves or the machine.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A capacity of 0 would refuse every call.
    #[error("the capacity is 0, so every call would be refused or wait for ever; give at least 1")]
    NoCapacity,
    /// One token in 0 cannot be timed.
    #[error("`Timing::Sampled(0)` times nothing; use `Timing::Off`, or at least 1")]
    NoSample,
    /// Too many schedulers.
    #[error("16,384 gates live in this process; drop some, and their handles")]
    TooMany,
    /// The system did not start a thread.
    #[error(
        "the system started {started} worker threads and refused another: {source}; raise the \
         limit of threads (`ulimit -u`, or the container's), or ask for fewer domains"
    )]
    Thread {
        /// How many had been started; they are ended again.
        started: usize,
        /// What the system said.
        source: std::io::Error,
    },
}
