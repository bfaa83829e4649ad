//! A tracing span for each token, for gates that are asked for them.
//!
//! Made at the call, so that the caller's span is its parent; entered while the body runs or is polled;
//! closed when the token has exited. Without a subscriber that wants it no span is made.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokengate_scheduler::{Companion, CompanionHook, Outcome};
use tracing::Span;
use tracing::field::{Empty, display};

/// The span of one token, until it has exited.
struct TokenSpan(Mutex<Option<Span>>);

/// Gives each token its span.
pub(crate) fn hook() -> CompanionHook {
    Arc::new(|id, operation| {
        let span = tracing::info_span!(
            target: "tokengate::token",
            "token",
            operation = operation.label(),
            id = id.get(),
            outcome = Empty
        );
        let span = (!span.is_disabled()).then_some(span)?;
        Some(Arc::new(TokenSpan(Mutex::new(Some(span)))) as Arc<dyn Companion>)
    })
}

impl TokenSpan {
    fn lock(&self) -> MutexGuard<'_, Option<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Companion for TokenSpan {
    fn around(&self, run: &mut dyn FnMut()) {
        // Not under the lock: the token may end meanwhile.
        let span = self.lock().clone();
        let _entered = span.as_ref().map(Span::enter);
        run();
    }

    fn ended(&self, outcome: Outcome) {
        let span = self.lock().take();
        if let Some(span) = span {
            span.record("outcome", display(outcome));
        }
    }
}
