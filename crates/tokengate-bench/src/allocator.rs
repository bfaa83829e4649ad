//! Names the allocator that every contender of this build uses.
//!
//! The command line and the report call this. The allocator is chosen when the crate is built (feature
//! `mimalloc`), so that all contenders share it; nothing here switches at run time.

/// Serves every contender of a build with the feature `mimalloc`.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator of this build, as the option `--allocator` spells it.
pub(crate) const NAME: &str = if cfg!(feature = "mimalloc") {
    "mimalloc"
} else {
    "system"
};
