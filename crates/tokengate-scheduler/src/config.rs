//! What a scheduler is started with.
//!
//! A plain record with defaults; nothing here is shared or changed later.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokengate_token::{Companion, Failure, Operation, TokenId};

use crate::stats::Execution;
use crate::topology::{Domains, WeightRanges};

/// The options of a scheduler; [`Config::default`] is what most want.
///
/// ```
/// use tokengate_scheduler::{Config, Full, Scheduler};
/// let config = Config { capacity: Some(1_000), full: Full::Reject, ..Config::default() };
/// let scheduler = Scheduler::start(config)?;
/// # Ok::<(), tokengate_scheduler::StartError>(())
/// ```
#[derive(Clone, Default)]
pub struct Config {
    /// How cores are put together; one domain a core by default.
    pub domains: Domains,
    /// Which domains each weight may use.
    pub ranges: WeightRanges,
    /// How many root tokens may wait for their start; 65,536 for each domain by default.
    pub capacity: Option<usize>,
    /// What a plain call does when there is no room.
    pub full: Full,
    /// The longest wait of a token for its start, where neither its call nor its operation says.
    pub default_ttl: Option<Duration>,
    /// The longest execution of a token, where neither its call nor its operation says.
    pub default_timeout: Option<Duration>,
    /// Which tokens are timed.
    pub timing: Timing,
    /// How many of the last executions of timed tokens are kept; 256 by default, 0 for none.
    pub recent: Recent,
    /// How long a body waits for tokens until the stats name it; 10 seconds by default.
    pub old_wait: OldWaitAge,
    /// Whether all tokens that have not exited can be [listed](crate::Handle::tokens); not by default.
    ///
    /// Costs each token some 400 nanoseconds and some 300 bytes; without it nothing.
    pub tracking: bool,
    /// How many threads a domain may have beside its workers, to take the places of those whose
    /// bodies block; 64 by default. They are started on first need.
    pub max_spares: MaxSpares,
    /// Whether keys stay pinned for some time after their last token has exited; not by default.
    pub linger: Option<Linger>,
    /// The size of each thread's stack, in bytes; the standard library's default if not given.
    pub thread_stack_size_bytes: Option<usize>,
    /// What is called where.
    pub hooks: Hooks,
    /// What async bodies need around them, entered by each worker before its first one.
    pub reactor: Option<Arc<dyn Reactor>>,
}

/// How many spares a domain may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxSpares(pub usize);

impl Default for MaxSpares {
    /// 64.
    fn default() -> Self {
        Self(64)
    }
}

/// How many of the last executions of timed tokens are kept, by each worker and for a look at all.
///
/// Each takes some 80 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent(pub usize);

impl Default for Recent {
    /// 256.
    fn default() -> Self {
        Self(256)
    }
}

/// How long a body waits for tokens until the stats name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldWaitAge(pub Duration);

impl Default for OldWaitAge {
    /// 10 seconds.
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// How long a sticky key stays pinned after its last token has exited.
///
/// Costs two clock reads for each keyed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// For so long.
    pub time: Duration,
    /// At most so many keys that have no token in flight; of more, some are let go earlier.
    pub most_keys: usize,
}

/// Tokens of one domain that may wait for their start, by default.
pub(crate) const CAPACITY_PER_DOMAIN: usize = 65_536;

/// What a plain call does when there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Full {
    /// Blocks the calling thread until a token starts.
    #[default]
    Wait,
    /// Gives a token that is rejected.
    Reject,
}

/// Which tokens are timed: wait, run and CPU time.
///
/// A timed token costs an allocation and about six clock reads, together up to some 600 ns; the others
/// cost a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// None.
    Off,
    /// One in so many, on average; 0 is refused at the start.
    Sampled(u32),
    /// Every one: exact sums.
    Every,
}

impl Default for Timing {
    /// One in 64.
    fn default() -> Self {
        Self::Sampled(64)
    }
}

impl Timing {
    /// For how many tokens each timed one stands; 0 when off.
    pub(crate) fn stride(self) -> u32 {
        match self {
            Self::Off => 0,
            Self::Sampled(stride) => stride,
            Self::Every => 1,
        }
    }
}

/// A worker, as hooks see it. All indices count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// The domain.
    pub domain: usize,
    /// The worker among those of its domain.
    pub worker: usize,
    /// The CPU that it is pinned to; as the plan has it while its thread has not started.
    pub cpu: Option<usize>,
}

/// Names a worker's thread.
pub type NameHook = Arc<dyn Fn(WorkerInfo) -> String + Send + Sync>;
/// Runs on a worker's thread.
pub type StartHook = Arc<dyn Fn(WorkerInfo) + Send + Sync>;
/// Hears of failures.
pub type FailureHook = Arc<dyn Fn(&Failure) + Send + Sync>;

/// Hears of executions that have ended.
pub type TimedHook = Arc<dyn Fn(&Execution) + Send + Sync>;
/// Gives what goes with a token, if anything does: called at its call, on the calling thread.
pub type CompanionHook =
    Arc<dyn Fn(TokenId, &'static Operation) -> Option<Arc<dyn Companion>> + Send + Sync>;

/// What is called where. A panic in a hook is contained.
#[derive(Clone)]
pub struct Hooks {
    /// Names each worker's thread; `tokengate-D-W` by default, both counted from 1.
    pub thread_name: NameHook,
    /// Runs on each worker's thread after it is pinned and before it takes its first token.
    pub thread_start: StartHook,
    /// The system refused to pin this worker or spare to its CPU; runs on its thread, and prints to
    /// standard error by default.
    pub pin_refused: StartHook,
    /// A token failed or panicked and nobody reads it; prints to standard error by default.
    pub unobserved: FailureHook,
    /// A timed token has ended; runs on its worker.
    pub timed: Option<TimedHook>,
    /// What goes with each token: none by default, and then it costs nothing.
    pub companion: Option<CompanionHook>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            thread_name: Arc::new(|info| {
                format!("tokengate-{}-{}", info.domain + 1, info.worker + 1)
            }),
            thread_start: Arc::new(|_| {}),
            pin_refused: Arc::new(|worker| {
                eprintln!("tokengate: the system refused to pin {worker:?}");
            }),
            unobserved: Arc::new(|failure| eprintln!("tokengate: {failure}")),
            timed: None,
            companion: None,
        }
    }
}

/// What async bodies need around them, such as the context of an async runtime.
pub trait Reactor: Send + Sync + 'static {
    /// Calls `work` inside that context and returns when it does.
    ///
    /// Each worker calls it once, before its first async body, and stays inside to the end.
    fn run_inside(&self, work: &mut dyn FnMut());
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("domains", &self.domains)
            .field("ranges", &self.ranges)
            .field("capacity", &self.capacity)
            .field("full", &self.full)
            .field("default_ttl", &self.default_ttl)
            .field("default_timeout", &self.default_timeout)
            .field("timing", &self.timing)
            .field("recent", &self.recent.0)
            .field("old_wait", &self.old_wait.0)
            .field("tracking", &self.tracking)
            .field("max_spares", &self.max_spares.0)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
