//! The gate of calls that are made outside of any other.
//!
//! Started with defaults by the first such call, or installed before that; stopped by
//! `shutdown_global` only.

use std::sync::OnceLock;
use std::time::Duration;

use tokengate_scheduler::{Handle, RejectCause, ShutdownReport};

use crate::{Gate, InstallError, StartError};

static GLOBAL: OnceLock<Result<Gate, StartError>> = OnceLock::new();

pub(crate) fn get() -> Result<&'static Gate, &'static StartError> {
    GLOBAL.get_or_init(Gate::start).as_ref()
}

pub(crate) fn install(
    start: impl FnOnce() -> Result<Gate, StartError>,
) -> Result<&'static Gate, InstallError> {
    let mut failed = None;
    let mut installed = false;
    if GLOBAL.get().is_none() {
        // Started first, so that a failure leaves the place free.
        match start() {
            Ok(gate) => installed = GLOBAL.set(Ok(gate)).is_ok(),
            Err(error) => failed = Some(error),
        }
    }
    match (failed, installed, GLOBAL.get()) {
        (Some(error), ..) => Err(InstallError::Start(error)),
        (None, true, Some(Ok(gate))) => Ok(gate),
        _ => Err(InstallError::Present),
    }
}

/// Shuts the global gate down, if there is one: drains for at most this long, purges, cancels.
///
/// For the end of a program, whose exit would abandon the gate's tokens. Calls that go to the global
/// gate from now on are rejected. See [`Gate::shutdown`]; gives nothing if no call ever started it.
///
/// ```
/// use std::time::Duration;
/// let token = Gate::global()?.spawn("last", || 1);
/// let report = tokengate::shutdown_global(Duration::from_secs(5));
/// assert!(report.is_some_and(|report| report.drained));
/// assert_eq!(token.get()?, 1);
/// # use tokengate::Gate;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn shutdown_global(limit: Duration) -> Option<ShutdownReport> {
    let gate = GLOBAL.get()?.as_ref().ok()?;
    Some(gate.shutdown_in_place(limit))
}

/// Calls `f` with the gate of a call made here: the innermost entered, else the global one.
#[inline]
pub(crate) fn with_gate<R>(f: impl FnOnce(Result<&Handle, RejectCause>) -> R) -> R {
    Handle::with_current(|current| match current {
        Some(handle) => f(Ok(handle)),
        None => match GLOBAL.get_or_init(Gate::start) {
            Ok(gate) => f(Ok(gate.handle_ref())),
            Err(error) => f(Err(RejectCause::NotStarted(error.to_string()))),
        },
    })
}
