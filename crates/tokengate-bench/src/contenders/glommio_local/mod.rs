//! glommio: one pinned executor over io_uring, with the producer inside it.
//!
//! Its tasks and their handles never leave the thread, so results reach the caller together. It needs
//! Linux and the feature `glommio`, which compiles C code; elsewhere the contender is skipped.

#[cfg(not(all(feature = "glommio", target_os = "linux")))]
mod disabled;
#[cfg(all(feature = "glommio", target_os = "linux"))]
mod enabled;

#[cfg(not(all(feature = "glommio", target_os = "linux")))]
pub(crate) use disabled::GlommioLocal;
#[cfg(all(feature = "glommio", target_os = "linux"))]
pub(crate) use enabled::GlommioLocal;
