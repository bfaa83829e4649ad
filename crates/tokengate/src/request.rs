//! A call that is not submitted yet: where it goes, with what weight, and how it waits for room.

use std::fmt;
use std::time::Duration;

use tokengate_scheduler::{
    Body, Call, Explanation, Handle, Refused, RejectCause, Token, Weight, rejected,
};

use crate::global;

/// A call that is not submitted yet; made by a guarded function's `request`.
///
/// Dropped without being submitted it does nothing but drop its arguments.
///
/// ```
/// use tokengate::{Gate, Weight, task_token_guard};
/// #[task_token_guard(operation_type = "double")]
/// fn double(n: u64) -> u64 { 2 * n }
///
/// let gate = Gate::start()?;
/// let request = double::request(21).on(&gate.handle()).weight(Weight::Heavy);
/// println!("{}", request.explain()?);
/// assert_eq!(request.submit().get()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a request does nothing until it is submitted"]
pub struct Request<B: Body> {
    call: Call,
    body: B,
    on: Option<Handle>,
}

impl<B: Body> Request<B> {
    pub(crate) fn new(call: Call, body: B) -> Self {
        Self {
            call,
            body,
            on: None,
        }
    }

    /// Sends the call to this gate, whatever gate is entered.
    pub fn on(mut self, handle: &Handle) -> Self {
        self.on = Some(handle.clone());
        self
    }

    /// Gives the call another weight than its operation's.
    pub fn weight(mut self, weight: Weight) -> Self {
        self.call = self.call.with_weight(weight);
        self
    }

    /// Limits the execution of the body, in place of the operation's or the gate's `timeout`.
    ///
    /// See [`Call::with_timeout`] for what it costs. [`Duration::MAX`] is no limit.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.call = self.call.with_timeout(limit);
        self
    }

    /// Limits the wait from the submission to the start, in place of the operation's or the gate's
    /// `ttl`.
    ///
    /// A call that waits for room is not submitted yet.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tokengate::{Gate, TokenError, task_token_guard};
    /// #[task_token_guard(operation_type = "quote", tags(ttl = "1h", timeout = "1m"))]
    /// fn quote(n: u64) -> u64 { 2 * n }
    ///
    /// let gate = Gate::start()?;
    /// let request = quote::request(21).on(&gate.handle());
    /// let token = request.ttl(Duration::from_secs(60)).timeout(Duration::MAX).submit();
    /// match token.get() {
    ///     Ok(quote) => assert_eq!(quote, 42),
    ///     Err(TokenError::TimedOut { phase, .. }) => println!("too late: {phase:?}"),
    ///     Err(other) => return Err(other.into()),
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ttl(mut self, limit: Duration) -> Self {
        self.call = self.call.with_ttl(limit);
        self
    }

    /// Takes the call out of the chain that it is made in: it is neither counted nor anchored there.
    pub fn unanchored(mut self) -> Self {
        self.call = self.call.unanchored();
        self
    }

    /// Where the call would go from here and now, and why.
    ///
    /// # Errors
    ///
    /// The cause, if there is no gate that it could go to.
    pub fn explain(&self) -> Result<Explanation, RejectCause> {
        self.with_gate(|gate| gate.map(|handle| handle.explain(self.call)))
    }

    /// Submits; without room it does what the gate's policy says.
    ///
    /// A call that is refused gives a token that is rejected.
    pub fn submit(self) -> Token<B::Output, B::Error> {
        match self.gate() {
            Ok(handle) => handle.submit(self.call, self.body),
            Err(cause) => rejected(self.call, self.body, cause),
        }
    }

    /// Submits if there is room now.
    ///
    /// # Errors
    ///
    /// Gives the request back, with the cause, if there is no room or no gate.
    pub fn try_submit(self) -> Result<Token<B::Output, B::Error>, RefusedRequest<B>> {
        self.submit_with(|handle, call, body| handle.try_submit(call, body))
    }

    /// Submits, and waits for room for at most this long. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Gives the request back, with the cause, if there was no room in time or no gate.
    pub fn submit_timeout(
        self,
        limit: Duration,
    ) -> Result<Token<B::Output, B::Error>, RefusedRequest<B>> {
        self.submit_with(|handle, call, body| handle.submit_timeout(call, body, limit))
    }

    /// Submits, and waits for room without blocking the thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was submitted, no room is taken, and the arguments are
    /// dropped.
    pub async fn submit_async(self) -> Token<B::Output, B::Error> {
        match self.gate() {
            Ok(handle) => handle.submit_async(self.call, self.body).await,
            Err(cause) => rejected(self.call, self.body, cause),
        }
    }

    fn submit_with(
        self,
        submit: impl FnOnce(&Handle, Call, B) -> Result<Token<B::Output, B::Error>, Refused<B>>,
    ) -> Result<Token<B::Output, B::Error>, RefusedRequest<B>> {
        let (call, on) = (self.call, self.on.clone());
        let refused = match self.gate() {
            Ok(handle) => match submit(&handle, call, self.body) {
                Ok(token) => return Ok(token),
                Err(refused) => refused,
            },
            Err(cause) => Refused {
                body: self.body,
                cause,
            },
        };
        let body = refused.body;
        Err(RefusedRequest {
            request: Self { call, body, on },
            cause: refused.cause,
        })
    }

    fn gate(&self) -> Result<Handle, RejectCause> {
        self.with_gate(|gate| gate.cloned())
    }

    fn with_gate<R>(&self, f: impl FnOnce(Result<&Handle, RejectCause>) -> R) -> R {
        match &self.on {
            Some(handle) => f(Ok(handle)),
            None => global::with_gate(f),
        }
    }
}

impl<B: Body> fmt::Debug for Request<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("operation", &self.call.operation().label())
            .field("weight", &self.call.weight())
            .finish_non_exhaustive()
    }
}

/// A request that was refused, to be submitted again or dropped.
pub struct RefusedRequest<B: Body> {
    /// The request, as it was.
    pub request: Request<B>,
    /// Why it was refused.
    pub cause: RejectCause,
}

impl<B: Body> fmt::Debug for RefusedRequest<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefusedRequest")
            .field("request", &self.request)
            .field("cause", &self.cause)
            .finish()
    }
}

impl<B: Body> fmt::Display for RefusedRequest<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.request.call.operation().label();
        write!(
            f,
            "a call of operation `{label}` was refused: {}",
            self.cause
        )
    }
}

impl<B: Body> std::error::Error for RefusedRequest<B> {}
