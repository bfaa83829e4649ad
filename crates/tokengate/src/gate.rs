//! The gate: owns the pinned threads, and the runtime that serves its async bodies.
//!
//! Made by the builder. Everything that it does is the scheduler's; it adds timers and network for
//! async bodies, started on first need. It contains no algorithm.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use tokengate_scheduler::topology::Plan;
use tokengate_scheduler::{
    Call, Conductor, DrainReport, Entered, Executing, Execution, Handle, LimitState, Scheduler,
    Scope, ShutdownReport, Stats, Sticky, Token, TrackedToken,
};

use crate::builder::Builder;
use crate::{StartError, global};

/// Owns the pinned threads that execute tokens.
///
/// Not `Clone`: [`handle`](Self::handle) is. Dropping it without [`shutdown`](Self::shutdown)
/// purges: what has not started is killed, suspended async bodies are dropped, and the drop waits
/// for the polls and sync bodies that execute. Dropped on one of its own workers it purges and
/// returns.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tokengate::Gate;
///
/// let gate = Gate::start()?;
/// let token = gate.spawn("double", || 21 * 2);
/// assert_eq!(token.get()?, 42);
/// gate.shutdown(Duration::from_secs(5));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gate {
    scheduler: Scheduler,
}

impl Gate {
    pub(crate) fn new(scheduler: Scheduler) -> Self {
        Self { scheduler }
    }

    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts a gate with the defaults: a domain for each core, a worker for each CPU.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn start() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// The gate of calls that are made outside of any other; started with defaults on first use.
    ///
    /// It lives until [`shutdown_global`](crate::shutdown_global), or until the process exits, which
    /// abandons its tokens.
    ///
    /// # Errors
    ///
    /// The error of its one attempt to start; calls are rejected with it.
    pub fn global() -> Result<&'static Self, &'static StartError> {
        global::get()
    }

    /// A way in, to clone and to send to other threads; it refuses calls once the gate is gone.
    pub fn handle(&self) -> Handle {
        self.scheduler.handle().clone()
    }

    pub(crate) fn handle_ref(&self) -> &Handle {
        self.scheduler.handle()
    }

    /// Makes guarded calls on this thread go to this gate until the guard is dropped.
    ///
    /// ```
    /// use tokengate::{Gate, task_token_guard};
    /// #[task_token_guard(operation_type = "double")]
    /// fn double(n: u64) -> u64 { 2 * n }
    ///
    /// let gate = Gate::start()?;
    /// let entered = gate.enter();
    /// assert_eq!(double(21).get()?, 42);
    /// drop(entered);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn enter(&self) -> Entered {
        self.scheduler.handle().enter()
    }

    /// A future inside which guarded calls go to this gate, whatever thread polls it.
    pub fn scope<F: Future>(&self, future: F) -> Scope<F> {
        self.scheduler.handle().scope(future)
    }

    /// Calls a closure on a worker; see [`Handle::spawn`].
    pub fn spawn<F, R>(&self, call: impl Into<Call>, body: F) -> Token<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.scheduler.handle().spawn(call, body)
    }

    /// Calls a closure that may fail; see [`Handle::try_spawn`].
    pub fn try_spawn<F, T, E>(&self, call: impl Into<Call>, body: F) -> Token<T, E>
    where
        F: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.scheduler.handle().try_spawn(call, body)
    }

    /// Runs a future in one domain; it may use tokio's time and net. See [`Handle::spawn_async`].
    ///
    /// ```
    /// use std::time::Duration;
    /// let gate = tokengate::Gate::start()?;
    /// let token = gate.spawn_async("nap", async {
    ///     tokio::time::sleep(Duration::from_millis(1)).await;
    ///     "rested"
    /// });
    /// assert_eq!(token.get()?, "rested");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_async<F>(&self, call: impl Into<Call>, body: F) -> Token<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.scheduler.handle().spawn_async(call, body)
    }

    /// Runs a future that may fail; see [`Handle::try_spawn_async`].
    pub fn try_spawn_async<F, T, E>(&self, call: impl Into<Call>, body: F) -> Token<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.scheduler.handle().try_spawn_async(call, body)
    }

    /// Calls `f`; plain calls to this gate inside are published many at a time.
    ///
    /// See [`Handle::batch`].
    ///
    /// ```
    /// use tokengate::{Gate, get_all, task_token_guard};
    /// #[task_token_guard(operation_type = "square")]
    /// fn square(n: u64) -> u64 { n * n }
    ///
    /// let gate = Gate::start()?;
    /// let _entered = gate.enter();
    /// let tokens: Vec<_> = gate.batch(|| (0..1000).map(square).collect());
    /// let squares: Result<Vec<u64>, _> = get_all(tokens).into_iter().collect();
    /// assert_eq!(squares?[999], 998_001);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn batch<R>(&self, f: impl FnOnce() -> R) -> R {
        self.scheduler.handle().batch(f)
    }

    /// What was resolved and why: CPUs, domains, ranges, workers. Prints as a table.
    pub fn plan(&self) -> Plan {
        self.scheduler.handle().plan()
    }

    /// The sticky keys that are pinned now.
    ///
    /// ```
    /// let gate = tokengate::Gate::start()?;
    /// assert!(gate.sticky().snapshot().is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sticky(&self) -> Sticky<'_> {
        self.scheduler.handle().sticky()
    }

    /// The chains that live now.
    ///
    /// ```
    /// let gate = tokengate::Gate::start()?;
    /// for chain in gate.conductor().snapshot() {
    ///     println!("{} in domain {}: {}", chain.seed, chain.domain, chain.count);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn conductor(&self) -> Conductor<'_> {
        self.scheduler.handle().conductor()
    }

    /// Ends all tokens of this operation that exist; see [`Handle::kill_operation`].
    pub fn kill_operation(&self, label: &str, reason: impl Into<Cow<'static, str>>) -> usize {
        self.scheduler.handle().kill_operation(label, reason)
    }

    /// Ends all tokens of this operation that have not started; see [`Handle::purge_operation`].
    pub fn purge_operation(&self, label: &str, reason: impl Into<Cow<'static, str>>) {
        self.scheduler.handle().purge_operation(label, reason);
    }

    /// Ends all tokens that exist and have not started; see [`Handle::purge`].
    pub fn purge(&self, reason: impl Into<Cow<'static, str>>) -> usize {
        self.scheduler.handle().purge(reason)
    }

    /// Holds back all tokens that have not started; see [`Handle::pause`].
    pub fn pause(&self) {
        self.scheduler.handle().pause();
    }

    /// Ends the pause of the gate; see [`Handle::resume`].
    pub fn resume(&self) {
        self.scheduler.handle().resume();
    }

    /// Holds back the tokens of an operation; see [`Handle::pause_operation`].
    pub fn pause_operation(&self, label: &str) {
        self.scheduler.handle().pause_operation(label);
    }

    /// Ends the pause of an operation; see [`Handle::resume_operation`].
    pub fn resume_operation(&self, label: &str) {
        self.scheduler.handle().resume_operation(label);
    }

    /// Refuses new root calls, and waits until everything has finished, for at most this long.
    ///
    /// Ends early when only paused tokens are left; see [`Scheduler::drain`].
    pub fn drain(&self, limit: Duration) -> DrainReport {
        self.scheduler.drain(limit)
    }

    /// Changes how many tokens of an operation, or of a group, may execute at once; see
    /// [`Handle::set_limit`].
    pub fn set_limit(&self, name: &str, size: usize) {
        self.scheduler.handle().set_limit(name, size);
    }

    /// The limits that operations were called with so far, or that were set; in no order.
    ///
    /// ```
    /// use tokengate::{Gate, task_token_guard};
    /// #[task_token_guard(operation_type = "upload", tags(limit("network", 8)))]
    /// fn upload(n: u64) -> u64 { n }
    ///
    /// let gate = Gate::start()?;
    /// let _entered = gate.enter();
    /// assert_eq!(upload(7).get()?, 7);
    /// for limit in gate.limits() {
    ///     println!("{}: {} of {}, {} wait", limit.name, limit.executing, limit.size, limit.waiting);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limits(&self) -> Vec<LimitState> {
        self.scheduler.handle().limits()
    }

    /// What the gate did since its start, and what it is at. Prints as a report.
    ///
    /// By gate, domain and operation; see [`Handle::stats`] for what it costs.
    ///
    /// ```
    /// let gate = tokengate::Gate::start()?;
    /// gate.spawn("double", || 21 * 2).get()?;
    /// let stats = gate.stats();
    /// println!("{stats}");
    /// let double = stats.operation("double").expect("it was called");
    /// assert_eq!(double.created(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        self.scheduler.handle().stats()
    }

    /// The last executions of timed tokens, the latest first; see [`Handle::recent`].
    pub fn recent(&self) -> Vec<Execution> {
        self.scheduler.handle().recent()
    }

    /// The tokens that have not exited and that `filter` takes; see [`Handle::tokens`].
    ///
    /// None if the gate does not track them: [`Builder::tracking`].
    pub fn tokens(&self, filter: impl Fn(&TrackedToken) -> bool) -> Option<Vec<TrackedToken>> {
        self.scheduler.handle().tokens(filter)
    }

    /// The tokens whose bodies execute now; see [`Handle::executing`].
    pub fn executing(&self) -> Vec<Executing> {
        self.scheduler.handle().executing()
    }

    pub(crate) fn shutdown_in_place(&self, limit: Duration) -> ShutdownReport {
        self.scheduler.shutdown_in_place(limit)
    }

    /// Lets everything finish, for at most this long, then kills the rest and ends the threads.
    ///
    /// Drains, then purges, then cancels; see [`ShutdownReport`]. New root calls are rejected from
    /// now on, calls from bodies are taken until the time is over. It returns within the limit and
    /// [a second](crate::SHUTDOWN_GRACE), though a body never returns: every handle has resolved
    /// then, and threads that did not end are named in the report.
    pub fn shutdown(self, limit: Duration) -> ShutdownReport {
        self.scheduler.shutdown(limit)
    }
}
