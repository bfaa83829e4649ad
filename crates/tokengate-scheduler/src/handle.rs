//! The way into a running scheduler: submit, batch, enter.
//!
//! Cloned freely and used from any thread. It keeps the memory, not the threads: once the scheduler
//! is gone every call resolves as rejected.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokengate_anchor::Key;
use tokengate_token::{
    Async, Body, Fallible, FallibleAsync, Operation, Plain, RejectCause, Token, Weight,
};

use crate::batch;
use crate::deadlines::TimeLimits;
use crate::entered::{Entered, Scope};
use crate::shared::Shared;
use crate::submit::{self, Room};
use crate::thread;
use crate::topology::Plan;

/// A way into a scheduler; cloning it costs one shared counter.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// What is called, with which weight, and under which key.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub(crate) operation: &'static Operation,
    pub(crate) weight: Weight,
    pub(crate) key: Option<Key>,
    pub(crate) anchored: bool,
    /// In place of the operation's.
    pub(crate) limits: TimeLimits,
    /// The operation is plain, and there is neither a key nor a limit: one look for all of them.
    pub(crate) plain: bool,
}

impl Call {
    /// A call of this operation, with its own weight and limits.
    #[inline]
    pub const fn new(operation: &'static Operation) -> Self {
        Self {
            operation,
            weight: operation.weight(),
            key: None,
            anchored: true,
            limits: TimeLimits::NONE,
            plain: operation.is_plain(),
        }
    }

    /// The same call with another weight.
    #[must_use]
    pub const fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The same call under a sticky key; in the key's lane if the operation is serial.
    #[must_use]
    pub const fn with_key(self, key: Key) -> Self {
        Self {
            key: Some(key),
            plain: false,
            ..self
        }
    }

    /// The same call with a limit for the execution of its body.
    ///
    /// As the attribute's tag `timeout`. Costs some hundred nanoseconds, an allocation among them;
    /// the first one in a scheduler starts a thread.
    #[must_use]
    pub const fn with_timeout(self, limit: Duration) -> Self {
        Self {
            limits: self.limits.with_timeout(limit),
            plain: false,
            ..self
        }
    }

    /// The same call with a limit for its wait, from its submission to the start of its body.
    ///
    /// As the attribute's tag `ttl`, at the cost of [`with_timeout`](Self::with_timeout).
    #[must_use]
    pub const fn with_ttl(self, limit: Duration) -> Self {
        Self {
            limits: self.limits.with_ttl(limit),
            plain: false,
            ..self
        }
    }

    /// The same call outside of the chain that it is made in.
    #[must_use]
    pub const fn unanchored(self) -> Self {
        Self {
            anchored: false,
            ..self
        }
    }

    /// The key that counts: its own, or that of all tokens of a serial operation.
    #[inline]
    pub fn key(&self) -> Option<Key> {
        match self.key {
            Some(key) => Some(key),
            None if self.operation.is_serial() => Some(Key::of(self.operation.key_scope(), &())),
            None => None,
        }
    }

    /// Whether the time of its token may run out, whatever the default is.
    #[inline]
    pub(crate) const fn is_limited(&self) -> bool {
        let operation = self.operation;
        !self.limits.is_none() || operation.ttl().is_some() || operation.timeout().is_some()
    }

    /// The operation.
    pub const fn operation(&self) -> &'static Operation {
        self.operation
    }

    /// The weight.
    pub const fn weight(&self) -> Weight {
        self.weight
    }
}

impl From<&'static Operation> for Call {
    #[inline]
    fn from(operation: &'static Operation) -> Self {
        Self::new(operation)
    }
}

/// A call that was refused, with its body.
pub struct Refused<B> {
    /// The body, not run.
    pub body: B,
    /// Why.
    pub cause: RejectCause,
}

impl<B> fmt::Debug for Refused<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused")
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

impl<B> fmt::Display for Refused<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a call was refused: {}", self.cause)
    }
}

impl<B> std::error::Error for Refused<B> {}

impl Handle {
    /// Calls the body on a worker, and gives its token at once.
    ///
    /// Without room it does what the scheduler's [`Full`](crate::Full) policy says; in a body it
    /// needs no room. Costs some tens of nanoseconds, and a system call if a worker must be
    /// unparked.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler};
    /// static OP: Operation = Operation::new("double");
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let token = scheduler.handle().submit(&OP, Plain::new(|| 21 * 2));
    /// assert_eq!(token.get()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn submit<B: Body>(&self, call: impl Into<Call>, body: B) -> Token<B::Output, B::Error> {
        let call = call.into();
        match submit::submit(&self.shared, &call, body, Room::Policy) {
            Ok(token) => token,
            Err(refused) => submit::rejected(call, refused.body, refused.cause),
        }
    }

    /// As [`submit`](Self::submit), but refuses at once without room, in bodies too.
    ///
    /// # Errors
    ///
    /// [`Refused`] gives the body back.
    pub fn try_submit<B: Body>(
        &self,
        call: impl Into<Call>,
        body: B,
    ) -> Result<Token<B::Output, B::Error>, Refused<B>> {
        submit::submit(&self.shared, &call.into(), body, Room::Now)
    }

    /// As [`submit`](Self::submit), but waits for room for so long, in bodies too.
    ///
    /// # Errors
    ///
    /// [`Refused`] gives the body back.
    pub fn submit_timeout<B: Body>(
        &self,
        call: impl Into<Call>,
        body: B,
        limit: Duration,
    ) -> Result<Token<B::Output, B::Error>, Refused<B>> {
        // A limit beyond what the clock can say is no limit.
        let deadline = Instant::now().checked_add(limit);
        submit::submit(&self.shared, &call.into(), body, Room::Until(deadline))
    }

    /// As [`submit`](Self::submit), but waits for room without blocking the thread, in bodies too.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was submitted and no room is taken.
    pub async fn submit_async<B: Body>(
        &self,
        call: impl Into<Call>,
        body: B,
    ) -> Token<B::Output, B::Error> {
        let call = call.into();
        match submit::submit(&self.shared, &call, body, Room::Now) {
            Ok(token) => token,
            Err(refused) => submit::submit_async(&self.shared, call, refused).await,
        }
    }

    /// Calls a closure: [`submit`](Self::submit) of a [`Plain`] body.
    ///
    /// `call` is a `static` [`Operation`], or a label at the cost of a look-up.
    pub fn spawn<F, R>(&self, call: impl Into<Call>, body: F) -> Token<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.submit(call, Plain::new(body))
    }

    /// Calls a closure that may fail: [`submit`](Self::submit) of a [`Fallible`] body.
    pub fn try_spawn<F, T, E>(&self, call: impl Into<Call>, body: F) -> Token<T, E>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.submit(call, Fallible::new(body))
    }

    /// Runs a future in one domain: [`submit`](Self::submit) of an [`Async`] body.
    pub fn spawn_async<F>(&self, call: impl Into<Call>, body: F) -> Token<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.submit(call, Async::new(body))
    }

    /// Runs a future that may fail: [`submit`](Self::submit) of a [`FallibleAsync`] body.
    pub fn try_spawn_async<F, T, E>(&self, call: impl Into<Call>, body: F) -> Token<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.submit(call, FallibleAsync::new(body))
    }

    /// Calls `f`; plain calls to this scheduler inside it are published many at a time.
    ///
    /// Up to 64 calls for a core share one publication and one unpark. Routing and room are as
    /// ever. What is not published yet is when `f` ends, also by unwinding, when this thread waits
    /// for a token or for room, and by [`flush`](crate::flush). Inside, block on nothing but
    /// tokens: another thread may wait for a call that is not published.
    pub fn batch<R>(&self, f: impl FnOnce() -> R) -> R {
        batch::run_in_batch(&self.shared, f)
    }

    /// Makes calls on this thread go to this scheduler until the guard is dropped.
    pub fn enter(&self) -> Entered {
        Entered::new(self.clone())
    }

    /// A future inside which calls go to this scheduler.
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        Scope::new(self.clone(), future)
    }

    /// The scheduler entered last on this thread; inside a body, that of the body.
    pub fn current() -> Option<Self> {
        Self::with_current(|handle| handle.cloned())
    }

    /// Calls `f` with the scheduler of [`current`](Self::current), if there is one.
    ///
    /// Unlike `current` it touches nothing that other threads use.
    #[inline]
    pub fn with_current<R>(f: impl FnOnce(Option<&Self>) -> R) -> R {
        f(thread::with(|thread| thread.entered.innermost()).as_deref())
    }

    /// What was set up, and why.
    pub fn plan(&self) -> Plan {
        let plan = self.shared.plan.lock();
        plan.unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Whether new root calls are refused.
    pub fn is_closed(&self) -> bool {
        self.shared.refuses_roots()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("domains", &self.shared.domains.len())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
