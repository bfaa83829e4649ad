//! How a token can end other than with a value.
//!
//! Made by the handle when the result is taken. Messages are lower case and name the operation and
//! the remedy; the body's own error is handed over as it is.

use std::any::Any;
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::Phase;

/// Why a token gave no value; `E` is the error of its body.
///
/// It is an [`std::error::Error`] for every `E` with `Debug` and `Display`, [`Infallible`] and
/// `anyhow::Error` among them, so `?` works into `anyhow::Result` and `Box<dyn Error>`.
///
/// ```
/// use tokengate_token::{create, Operation, Plain, TokenError};
/// static OP: Operation = Operation::new("example");
/// let (token, runnable) = create(&OP, Plain::new(|| 1));
/// drop(runnable); // abandoned: never run
/// assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenError<E = Infallible> {
    /// The body returned this error.
    Failed(E),
    /// The body panicked.
    Panicked(Panic),
    /// The token was killed, purged, or abandoned by whoever had to run it.
    Killed {
        /// What the killer said.
        reason: KillReason,
    },
    /// The token waited longer than its `ttl`, or its body took longer than its `timeout`.
    #[non_exhaustive]
    TimedOut {
        /// What it was at when the time was over.
        phase: Phase,
        /// Which attempt that was, or would have been, counted from 1.
        attempt: u32,
        /// The label of its operation.
        operation: &'static str,
    },
    /// The token was refused before it was queued; its body never ran.
    Rejected(Rejection),
    /// The wait could never have ended, or not without a worker that is not there.
    ///
    /// An outcome of the *wait*: the token is untouched and goes on. `get` has detached it, with
    /// `get_timeout` it stays usable.
    #[non_exhaustive]
    WouldDeadlock {
        /// Why the wait could not be.
        cause: DeadlockCause,
        /// The label of the operation that was waited for.
        operation: &'static str,
        /// The labels of the operations whose bodies wait for one another, that of the body that
        /// made this wait first; empty where nobody else takes part.
        through: Box<[&'static str]>,
    },
}

impl<E> TokenError<E> {
    /// The body's own error, if that is what ended the token.
    pub fn into_failed(self) -> Option<E> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for TokenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The alternate form: anyhow prints its causes there, and there is no `source` that
            // would, since `anyhow::Error` is no `Error`.
            Self::Failed(error) => write!(f, "the body failed: {error:#}"),
            Self::Panicked(panic) => panic.fmt(f),
            Self::Killed { reason } => reason.fmt(f),
            Self::TimedOut {
                phase: Phase::Waiting,
                operation,
                ..
            } => write!(
                f,
                "a token of operation `{operation}` was not started within its ttl; raise the \
                 `ttl`, or submit less at a time"
            ),
            Self::TimedOut {
                phase: Phase::Executing,
                attempt,
                operation,
            } => write!(
                f,
                "the body of operation `{operation}` took longer than its timeout, in attempt \
                 {attempt}; raise the `timeout`, or do less in one call"
            ),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::WouldDeadlock {
                cause,
                operation,
                through,
            } => {
                write!(
                    f,
                    "a body cannot wait for a token of operation `{operation}`: "
                )?;
                if !through.is_empty() {
                    write!(f, "`{}` would wait for itself; ", through.join("` for `"))?;
                }
                cause.fmt(f)
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for TokenError<E> {}

/// The token whose body asks has been ended from outside; see [`check`](crate::check).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its token has been ended from outside; return, as the result is dropped")
    }
}

impl std::error::Error for Cancelled {}

/// What a body panicked with.
pub struct Panic {
    operation: &'static str,
    message: Cow<'static, str>,
    // The lock makes the payload `Sync`; nobody ever waits for it.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panic {
    pub(crate) fn new(operation: &'static str, payload: Box<dyn Any + Send>) -> Self {
        Self {
            operation,
            message: panic_message(&*payload),
            payload: Mutex::new(payload),
        }
    }

    /// The panic's message, or a note that the payload is not text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, as `std::panic::catch_unwind` gave it.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on with the panic on this thread.
    ///
    /// # Panics
    ///
    /// Always: that is what it is for.
    pub fn resume(self) -> ! {
        std::panic::resume_unwind(self.into_payload())
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the body of operation `{}` panicked: {}",
            self.operation, self.message
        )
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("operation", &self.operation)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// The text of a panic payload, where it has one.
pub fn panic_message(payload: &(dyn Any + Send)) -> Cow<'static, str> {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        Cow::Borrowed(text)
    } else if let Some(text) = payload.downcast_ref::<String>() {
        Cow::Owned(text.clone())
    } else {
        Cow::Borrowed("a payload that is not text")
    }
}

/// Why a wait could not be, and who takes part; the outcome of a [`WaitHook`](crate::WaitHook).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlock {
    /// Why.
    pub cause: DeadlockCause,
    /// As in [`TokenError::WouldDeadlock`].
    pub through: Box<[&'static str]>,
}

impl From<DeadlockCause> for Deadlock {
    fn from(cause: DeadlockCause) -> Self {
        Self {
            cause,
            through: Box::default(),
        }
    }
}

/// Why a wait could not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadlockCause {
    /// The awaited token is behind the waiting body itself, or one below it on its stack, in the
    /// lane of their key.
    OwnLane,
    /// All permits that the awaited token could get are held by the waiting body itself, and those
    /// below it on its stack.
    OwnPermit,
    /// The awaited token cannot go on before bodies whose own blocking waits lead back here.
    Cycle,
    /// The waiting worker has nobody to take its place.
    SparesExhausted,
}

impl fmt::Display for DeadlockCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnLane => f.write_str(
                "it comes after this body in the lane of their serial key; ask for its result \
                 when the body has returned, or call it under another key",
            ),
            Self::OwnPermit => f.write_str(
                "it needs a permit of the limit under which this body executes, and there is no \
                 other; ask for its result when the body has returned, raise the `limit`, or give \
                 the two operations different ones",
            ),
            Self::Cycle => f.write_str(
                "these waits lead back to this body; take keys and permits in one order \
                 everywhere, or ask for the result when the body has returned",
            ),
            Self::SparesExhausted => f.write_str(
                "no spare is left to take the place of its worker; `.await` the token in an async \
                 body, block less deeply, or raise `max_spares`",
            ),
        }
    }
}

/// Who was killed, and why, in the killer's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillReason {
    operation: &'static str,
    text: Cow<'static, str>,
}

impl KillReason {
    pub(crate) fn new(operation: &'static str, text: Cow<'static, str>) -> Self {
        Self { operation, text }
    }

    /// What the killer said.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for KillReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token of operation `{}` was killed: {}",
            self.operation, self.text
        )
    }
}

/// Which token was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    operation: &'static str,
    cause: RejectCause,
}

impl Rejection {
    pub(crate) fn new(operation: &'static str, cause: RejectCause) -> Self {
        Self { operation, cause }
    }

    /// Why, to match on.
    pub fn cause(&self) -> &RejectCause {
        &self.cause
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a token of operation `{}` was rejected: {}",
            self.operation, self.cause
        )
    }
}

/// Why a token was refused before it was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectCause {
    /// There was no room, and neither the policy nor the submit form waits for it.
    Full {
        /// The capacity, in tokens that have not started.
        capacity: usize,
    },
    /// The gate was shut down, or is about to be.
    ShutDown,
    /// There is no gate to go to, since it could not be started.
    NotStarted(String),
    /// The call has a `timeout` or `ttl`, and the thread that watches them could not be started.
    NoTimer(String),
}

impl fmt::Display for RejectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(
                f,
                "all {capacity} places for tokens that have not started are taken; wait for some \
                 of them, submit with a form that waits, or raise the capacity"
            ),
            Self::ShutDown => f.write_str(
                "its gate is shut down; submit before the shutdown, or to a gate that runs",
            ),
            Self::NotStarted(why) => write!(
                f,
                "the gate could not be started ({why}); mend that, or enter a gate of your own"
            ),
            Self::NoTimer(why) => write!(
                f,
                "the thread that watches `timeout` and `ttl` could not be started ({why}); raise \
                 the limit of threads, or call without them"
            ),
        }
    }
}

impl std::error::Error for RejectCause {}

impl std::error::Error for Rejection {}

impl std::error::Error for KillReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_send_and_sync_where_the_bodys_error_is() {
        fn check<T: Send + Sync>() {}
        check::<TokenError>();
        check::<TokenError<std::io::Error>>();
    }

    #[test]
    fn messages_name_the_operation_and_the_remedy() {
        let rejection = Rejection::new("resize", RejectCause::Full { capacity: 8 });
        let error: TokenError = TokenError::Rejected(rejection);
        let text = error.to_string();
        assert!(text.contains("`resize`"), "{text}");
        assert!(text.contains("raise the capacity"), "{text}");
    }
}
