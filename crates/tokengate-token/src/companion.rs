//! What a scheduler sends along with a token: something to be entered around each run of its body.
//!
//! Kept with the rare things of the token, so others pay nothing. The token itself calls none of it.

use crate::Outcome;

/// Goes with a token, such as a span of a tracing library.
///
/// Given by [`Runnable::set_companion`](crate::Runnable::set_companion); called by whoever runs the token.
pub trait Companion: Send + Sync + 'static {
    /// Calls `run`, which runs the body or polls it once, with whatever belongs around it.
    fn around(&self, run: &mut dyn FnMut());

    /// The token has exited, and ended so.
    fn ended(&self, outcome: Outcome);
}
