//! The caller's half of a call: await it, block on it, kill it, drop it.
//!
//! Wraps the handle of the cell in what users see. Needs no executor: it wakes a std `Waker`, or
//! parks the thread. It never runs the body.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::cell::Header;
use crate::cell::handle::{Handle, Taken};
use crate::cell::kill;
use crate::error::{Deadlock, DeadlockCause, KillReason, Panic, Rejection};
use crate::extras::Ending;
use crate::state::Outcome;
use crate::wait::Awaited;
use crate::{Killer, Operation, Place, TokenError, TokenId, context, deadlock, wait};

/// The caller's half of a call; it resolves exactly once, whatever happens.
///
/// Await it under any executor, or block with [`get`](Self::get). Dropping it detaches the call:
/// fire and forget works. A pointer in size; `Send` and `Sync` where `T` and `E` are.
///
/// # Cancel safety
///
/// Dropping a future that awaits `&mut token` loses nothing; dropping the token detaches it.
///
/// # Examples
///
/// Any executor will do, as here one that runs each body on the calling thread:
///
/// ```
/// use std::sync::{Arc, Mutex, PoisonError};
/// use tokengate_token::{create, Async, Body, Home, Operation, Plain, Runnable, Token};
///
/// #[derive(Default)]
/// struct Executor(Mutex<Vec<Runnable>>);
/// impl Home for Executor {
///     fn post(&self, runnable: Runnable) { self.0.lock().unwrap().push(runnable) }
/// }
/// fn spawn<B: Body>(to: &Executor, body: B) -> Token<B::Output, B::Error> {
///     static OP: Operation = Operation::new("example");
///     let (token, runnable) = create(&OP, body);
///     to.post(runnable);
///     token
/// }
/// fn run_all(executor: &Arc<Executor>) {
///     let home: Arc<dyn Home> = executor.clone();
///     while let Some(runnable) = { let next = executor.0.lock().unwrap().pop(); next } {
///         let _ = runnable.run(&home);
///     }
/// }
///
/// let executor = Arc::new(Executor::default());
/// let sum = spawn(&executor, Plain::new(|| 40 + 2));
/// let text = spawn(&executor, Async::new(async { "later" }));
/// run_all(&executor);
/// assert_eq!(sum.get()?, 42);
/// assert_eq!(text.get()?, "later");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Token<T, E = Infallible> {
    handle: Handle<T, E>,
}

/// Where a token is in its life; derived from the state word and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenState {
    /// Made, and not yet posted: its batch is still open.
    Created,
    /// Behind others in the lane of its key, posted or not; or set aside by a worker, as it may not
    /// start yet; or it has failed, and its next attempt is not due yet.
    Waiting,
    /// In the mailbox of a core, or with a worker that has not started it.
    Admitted,
    /// The start is claimed; an async body may be suspended.
    Executing,
    /// The body returned a value.
    Completed,
    /// The body returned an error or panicked.
    Failed,
    /// Killed, purged, or abandoned.
    Killed,
    /// Its `ttl` or `timeout` was over.
    TimedOut,
    /// Refused before it was queued.
    Rejected,
}

impl TokenState {
    pub(crate) fn of(header: &Header) -> Self {
        let now = header.state().load();
        match now.outcome() {
            Some(Outcome::Value) => Self::Completed,
            Some(Outcome::Error | Outcome::Panicked) => Self::Failed,
            Some(Outcome::Killed) => Self::Killed,
            Some(Outcome::TimedOut) => Self::TimedOut,
            Some(Outcome::Rejected) => Self::Rejected,
            None if now.started() => Self::Executing,
            None if header.is_behind_others() => Self::Waiting,
            None => match header.place() {
                Place { aside: true, .. } => Self::Waiting,
                Place {
                    published: true, ..
                } => Self::Admitted,
                _ => Self::Created,
            },
        }
    }

    /// Whether the token has its outcome.
    pub const fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Failed | Self::Killed | Self::TimedOut | Self::Rejected
        )
    }
}

/// A look at a token, taken at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Where it is in its life.
    pub state: TokenState,
    /// The index of its domain, counted from 0; none before it was routed.
    pub domain: Option<usize>,
    /// The number of the attempt that runs or comes next, or was the last one; counted from 1.
    pub attempt: u32,
}

impl<T, E> Token<T, E> {
    pub(crate) fn new(handle: Handle<T, E>) -> Self {
        Self { handle }
    }

    /// The token's id, unique in the process.
    pub fn id(&self) -> TokenId {
        self.handle.header().id()
    }

    /// The operation it is a call of.
    pub fn operation(&self) -> &'static Operation {
        self.handle.header().operation()
    }

    /// Where the token is in its life. One load, and a look into its lane if it is one of a serial key that
    /// has not started; the answer may be old when it arrives.
    pub fn state(&self) -> TokenState {
        TokenState::of(self.handle.header())
    }

    /// State, domain and attempt of the token.
    pub fn status(&self) -> Status {
        Status {
            state: self.state(),
            domain: self.handle.header().place().domain.map(usize::from),
            attempt: self.handle.header().state().load().attempt(),
        }
    }

    /// Whether the token has its outcome, so that [`get`](Self::get) does not wait.
    #[inline]
    pub fn is_finished(&self) -> bool {
        self.handle.header().state().load().resolved()
    }

    /// Blocks this thread until the token resolves, and gives its result.
    ///
    /// Costs a few nanoseconds if it is resolved, else the parking and waking of a thread.
    ///
    /// # Errors
    ///
    /// Whatever ended the token other than a value; see [`TokenError`].
    ///
    /// # Panics
    ///
    /// If the result was taken before, through `&mut token`.
    #[inline]
    pub fn get(mut self) -> Result<T, TokenError<E>> {
        if !self.is_finished() {
            self.block()?;
        }
        self.take()
    }

    /// As [`get`](Self::get), but waits at most this long; `None` if it is not resolved by then.
    ///
    /// With a limit of zero it only looks. The token stays usable after `None`, and after
    /// [`TokenError::WouldDeadlock`]; after any other answer its result is gone.
    ///
    /// # Panics
    ///
    /// If the result was taken before.
    pub fn get_timeout(&mut self, limit: Duration) -> Option<Result<T, TokenError<E>>> {
        if !self.is_finished()
            && let Err(deadlock) = wait::block_on(&mut self.handle, Some(limit))
        {
            return Some(Err(self.would_deadlock(deadlock)));
        }
        self.is_finished().then(|| self.take())
    }

    /// Blocks until the token is resolved.
    #[cold]
    fn block(&mut self) -> Result<(), TokenError<E>> {
        wait::block_on(&mut self.handle, None).map_err(|deadlock| self.would_deadlock(deadlock))
    }

    pub(crate) fn would_deadlock(&self, deadlock: Deadlock) -> TokenError<E> {
        TokenError::WouldDeadlock {
            cause: deadlock.cause,
            operation: self.label(),
            through: deadlock.through,
        }
    }

    /// Why the token cannot start before the body that runs on this thread exits, if that is so.
    pub(crate) fn is_held_up_here(&self) -> Option<DeadlockCause> {
        if self.operation().is_plain() {
            return None;
        }
        if context::is_behind_this_body(self.handle.header()) {
            return Some(DeadlockCause::OwnLane);
        }
        let by_permits = deadlock::is_permit_of_this_body(self.handle.cell());
        by_permits.then_some(DeadlockCause::OwnPermit)
    }

    /// Ends the token; `false` if it has an outcome already.
    ///
    /// If its body has not started it never will, and is dropped here and now. A suspended async
    /// body is dropped by its domain; one that is being polled, when that poll returns. A running
    /// sync body goes on, sees [`cancelled`](crate::cancelled), and its result is dropped. In every
    /// case the token resolves at once.
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        context::before_wait();
        self.end(Ending::Killed(reason.into()))
    }

    #[expect(unsafe_code, reason = "claims through the cell pointer")]
    fn end(&self, ending: Ending) -> bool {
        // SAFETY: the handle has not let go, so the cell is alive.
        unsafe { kill::claim(self.handle.cell(), ending) }.is_won()
    }

    /// A `Killer` of this token: cloneable, and does not keep the token. The first one allocates.
    pub fn killer(&self) -> Killer {
        Killer::of(self.handle.cell(), self.handle.header())
    }

    /// Lets the call go on without a handle, as dropping the token does.
    ///
    /// A failure of a detached token is reported to its home, never silent.
    pub fn detach(self) {
        drop(self);
    }

    /// Ties the call to the handle: dropped before it is resolved, it is killed.
    #[must_use = "dropping the result kills the call"]
    pub fn kill_on_drop(self) -> KillOnDrop<T, E> {
        KillOnDrop { token: self }
    }

    /// For waits for many.
    pub(crate) fn awaited(&mut self) -> &mut dyn Awaited {
        &mut self.handle
    }

    /// Leaves `waker` to be woken at the end; `false` if the token is resolved already.
    pub(crate) fn watch(&mut self, waker: &Waker) -> bool {
        self.handle.register(waker)
    }

    /// The result of a token that is known to be resolved.
    pub(crate) fn take_resolved(mut self) -> Result<T, TokenError<E>> {
        self.take()
    }

    #[inline(always)]
    fn take(&mut self) -> Result<T, TokenError<E>> {
        match self.handle.take() {
            Taken::Returned(Ok(value)) => Ok(value),
            Taken::Returned(Err(error)) => Err(TokenError::Failed(error)),
            Taken::Panicked(payload) => {
                Err(TokenError::Panicked(Panic::new(self.label(), payload)))
            }
            Taken::Ended(Ending::Killed(text)) => Err(TokenError::Killed {
                reason: KillReason::new(self.label(), text),
            }),
            Taken::Ended(Ending::Rejected(cause)) => {
                Err(TokenError::Rejected(Rejection::new(self.label(), cause)))
            }
            Taken::Ended(Ending::TimedOut { phase, attempt }) => Err(TokenError::TimedOut {
                phase,
                attempt,
                operation: self.label(),
            }),
        }
    }

    fn label(&self) -> &'static str {
        self.operation().label()
    }
}

impl<T, E> Unpin for Token<T, E> {}

impl<T, E> Future for Token<T, E> {
    type Output = Result<T, TokenError<E>>;

    /// Ready with [`TokenError::WouldDeadlock`] in a body that holds the token's lane, or all
    /// permits of its limit: the token stays usable then.
    ///
    /// # Panics
    ///
    /// If polled after it was ready, or if the waker's `clone` panics; the token stays usable then.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let token = self.get_mut();
        if !token.is_finished() {
            context::before_wait();
            if let Some(cause) = token.is_held_up_here() {
                return Poll::Ready(Err(token.would_deadlock(cause.into())));
            }
            if token.handle.register(context.waker()) {
                return Poll::Pending;
            }
        }
        Poll::Ready(token.take())
    }
}

impl<T, E> fmt::Debug for Token<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id().get())
            .field("operation", &self.operation().label())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// A token whose call ends with its handle; made by [`Token::kill_on_drop`].
///
/// Await it as the token. Dropped before it is resolved, it kills the call.
#[derive(Debug)]
pub struct KillOnDrop<T, E = Infallible> {
    token: Token<T, E>,
}

impl<T, E> KillOnDrop<T, E> {
    /// The token, to look at.
    pub fn token(&self) -> &Token<T, E> {
        &self.token
    }

    /// As [`Token::get_timeout`].
    pub fn get_timeout(&mut self, limit: Duration) -> Option<Result<T, TokenError<E>>> {
        self.token.get_timeout(limit)
    }

    /// As [`Token::get`].
    ///
    /// # Errors
    ///
    /// As [`Token::get`].
    pub fn get(mut self) -> Result<T, TokenError<E>> {
        if !self.token.is_finished() {
            self.token.block()?;
        }
        self.token.take()
    }
}

impl<T, E> Future for KillOnDrop<T, E> {
    type Output = Result<T, TokenError<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.get_mut().token).poll(context)
    }
}

impl<T, E> Drop for KillOnDrop<T, E> {
    fn drop(&mut self) {
        if !self.token.handle.is_taken() && !self.token.is_finished() {
            self.token.kill("its handle was dropped");
        }
    }
}
