//! Why a gate could not be installed, with the remedy.

use crate::StartError;

/// Why a gate could not be made the global one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// There is one already.
    #[error(
        "there is a global gate already; install yours before the first call that is made outside \
         of an entered gate, or enter it"
    )]
    Present,
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
}
