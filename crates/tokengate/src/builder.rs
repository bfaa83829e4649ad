//! The options of a gate.
//!
//! Collects what the scheduler's record holds, in the form of a builder, and adds the runtime for
//! async bodies.

use std::sync::Arc;
use std::time::Duration;

use tokengate_scheduler::topology::{Domains, WeightRanges};
use tokengate_scheduler::{
    Config, Execution, Failure, Full, Linger, MaxSpares, OldWaitAge, Recent, Scheduler, Timing,
    WorkerInfo,
};

use crate::coordination::Coordination;
use crate::{Gate, InstallError, StartError, global, spans};

/// Options of a [`Gate`]; each has a default that most want.
///
/// ```
/// use tokengate::{Domains, Full, Gate, Timing, WeightRanges};
/// let gate = Gate::builder()
///     .domains(Domains::Count(4))
///     .weight_ranges(WeightRanges::strict())
///     .capacity(10_000)
///     .on_full(Full::Reject)
///     .timing(Timing::Every)
///     .start()?;
/// println!("{}", gate.plan());
/// # Ok::<(), tokengate::StartError>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until it starts a gate"]
pub struct Builder {
    config: Config,
    runtime: Option<tokio::runtime::Handle>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let mut config = Config::default();
        config.hooks.unobserved = Arc::new(|failure| tracing::warn!("{failure}"));
        config.hooks.pin_refused = Arc::new(|refused| {
            tracing::warn!(
                domain = refused.domain + 1,
                worker = refused.worker + 1,
                cpu = refused.cpu,
                "the system refused to pin a worker, which runs where it may"
            );
        });
        Self {
            config,
            runtime: None,
        }
    }

    /// How cores are put together; by default each is a domain of its own.
    pub fn domains(mut self, domains: Domains) -> Self {
        self.config.domains = domains;
        self
    }

    /// Which domains each weight may use.
    pub fn weight_ranges(mut self, ranges: WeightRanges) -> Self {
        self.config.ranges = ranges;
        self
    }

    /// How many root tokens may wait for their start; by default 65,536 for each domain.
    ///
    /// From 4,096 up each thread that calls may make it look smaller by up to 64.
    pub fn capacity(mut self, tokens: usize) -> Self {
        self.config.capacity = Some(tokens);
        self
    }

    /// What a plain call does without room; by default it waits.
    pub fn on_full(mut self, full: Full) -> Self {
        self.config.full = full;
        self
    }

    /// The longest execution of a token, where neither its request nor its operation says.
    ///
    /// By default there is no limit. With one every token costs some hundred nanoseconds more.
    pub fn default_timeout(mut self, limit: Duration) -> Self {
        self.config.default_timeout = Some(limit);
        self
    }

    /// The longest wait of a token for its start, where neither its request nor its operation says.
    ///
    /// As [`default_timeout`](Self::default_timeout).
    pub fn default_ttl(mut self, limit: Duration) -> Self {
        self.config.default_ttl = Some(limit);
        self
    }

    /// Which tokens are timed; by default one in 64.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.config.timing = timing;
        self
    }

    /// How many of the last executions of timed tokens are kept for [`Gate::recent`]; 256 by default.
    pub fn recent(mut self, executions: usize) -> Self {
        self.config.recent = Recent(executions);
        self
    }

    /// Whether all tokens that have not exited can be listed by [`Gate::tokens`]; by default not.
    ///
    /// Costs each token some 400 nanoseconds and some 300 bytes; without it nothing.
    pub fn tracking(mut self, tracking: bool) -> Self {
        self.config.tracking = tracking;
        self
    }

    /// Called with each timed token that has ended, on its worker. Keep it short.
    pub fn on_timed(mut self, hook: impl Fn(&Execution) + Send + Sync + 'static) -> Self {
        self.config.hooks.timed = Some(Arc::new(hook));
        self
    }

    /// Whether each token has a [tracing](https://docs.rs/tracing) span; by default not.
    ///
    /// Of level `INFO`, target `tokengate::token` and name `token`, with the fields `operation`, `id`
    /// and, when it has exited, `outcome`. Its parent is the span that is current at the call; it is
    /// entered while the body runs or is polled, so spans and events of the body are inside of it. Costs
    /// each token some hundred nanoseconds and what the subscriber takes; without it nothing.
    pub fn spans(mut self, spans: bool) -> Self {
        self.config.hooks.companion = spans.then(spans::hook);
        self
    }

    /// How long a body blocks on tokens until the stats name it; 10 seconds by default.
    pub fn old_wait(mut self, age: Duration) -> Self {
        self.config.old_wait = OldWaitAge(age);
        self
    }

    /// How many threads a domain may have beside its workers; 64 by default.
    ///
    /// Spares take the places of workers whose bodies block on tokens. They are started on first
    /// need, parked when idle, and not counted as workers. With 0 such a wait ends with
    /// [`WouldDeadlock`](crate::TokenError::WouldDeadlock), unless the awaited token can be run in
    /// place.
    pub fn max_spares(mut self, threads: usize) -> Self {
        self.config.max_spares = MaxSpares(threads);
        self
    }

    /// Keeps sticky keys pinned for some time after their last token has exited; not by default.
    ///
    /// For keys whose tokens come one by one with short pauses. It is no promise for a token: a pin
    /// may go earlier when more than `most_keys` have none in flight. Costs two clock reads for each
    /// keyed token.
    pub fn sticky_linger(mut self, time: Duration, most_keys: usize) -> Self {
        self.config.linger = Some(Linger { time, most_keys });
        self
    }

    /// The size of the stack of each worker and spare, in bytes.
    ///
    /// By default what the standard library gives a thread, 2 MiB on most systems. Up to 128
    /// bodies may be on one stack, each run in place by the one below that waits for it.
    pub fn thread_stack_size(mut self, bytes: usize) -> Self {
        self.config.thread_stack_size_bytes = Some(bytes);
        self
    }

    /// Names each worker's thread; by default `tokengate-D-W`, domain and worker from 1.
    pub fn thread_name(
        mut self,
        name: impl Fn(WorkerInfo) -> String + Send + Sync + 'static,
    ) -> Self {
        self.config.hooks.thread_name = Arc::new(name);
        self
    }

    /// Runs on each worker's thread, after it is pinned and before its first token.
    pub fn on_thread_start(mut self, hook: impl Fn(WorkerInfo) + Send + Sync + 'static) -> Self {
        self.config.hooks.thread_start = Arc::new(hook);
        self
    }

    /// Hears of tokens that failed or panicked and whose handles were dropped unread.
    ///
    /// By default a `tracing` warning.
    pub fn on_unobserved_failure(
        mut self,
        hook: impl Fn(&Failure) + Send + Sync + 'static,
    ) -> Self {
        self.config.hooks.unobserved = Arc::new(hook);
        self
    }

    /// Serves async bodies by this tokio runtime, which must have time and io enabled.
    ///
    /// By default the gate starts a runtime of its own, with one thread, before the first async
    /// body.
    pub fn runtime(mut self, handle: tokio::runtime::Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// Starts the gate, and waits until its threads are pinned.
    ///
    /// A pin that the system refuses, now or later to a spare, is reported in the
    /// [plan](Gate::plan) and as a `tracing` warning of that thread.
    ///
    /// # Errors
    ///
    /// [`StartError`] if the options contradict the machine, or a thread cannot be started.
    pub fn start(mut self) -> Result<Gate, StartError> {
        self.config.reactor = Some(Arc::new(Coordination::new(self.runtime)));
        Scheduler::start(self.config).map(Gate::new)
    }

    /// Starts the gate and makes it the global one.
    ///
    /// # Errors
    ///
    /// [`InstallError`] if there is a global gate already, or the gate cannot be started.
    pub fn install_global(self) -> Result<&'static Gate, InstallError> {
        global::install(|| self.start())
    }
}
