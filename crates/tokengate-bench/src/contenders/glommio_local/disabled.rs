//! The twin of `enabled.rs` for builds without glommio: it never starts, and says why.

use std::convert::Infallible;

use crate::contender::{Contender, Job, Outcome, Unable};

/// No value of it exists.
pub(crate) struct GlommioLocal(Infallible);

impl GlommioLocal {
    pub(crate) fn start() -> Result<Self, Unable> {
        Err(Unable(
            if cfg!(target_os = "linux") {
                "not in this build: `cargo run --release -p tokengate-bench --features glommio` has it"
            } else {
                "it needs Linux with io_uring"
            }
            .to_owned(),
        ))
    }
}

impl Contender for GlommioLocal {
    fn run<J: Job>(
        &mut self,
        _jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        _take: impl FnMut(Outcome<J::Output>),
    ) {
        match self.0 {}
    }
}
