//! What executes at the moment: each body on a worker's stack, seen through the thread's watcher.
//!
//! Asked by users and for the report. A worker goes on while it is looked at; only the end of a body
//! waits for the look, which takes some microseconds.

use std::fmt;
use std::time::Duration;

use tokengate_token::{Operation, Outcome, PresentToken, TokenId};

use crate::clock;
use crate::handle::Handle;
use crate::shared::Shared;

/// A token whose body is on a thread's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executing {
    /// The token.
    pub id: TokenId,
    /// Its operation.
    pub operation: &'static Operation,
    /// The domain's index, counted from 0.
    pub domain: usize,
    /// The worker among those of its domain, counted from 0; spares come after the workers.
    pub worker: usize,
    /// How long ago it was started; none for tokens that are not timed.
    pub started: Option<Duration>,
    /// It was ended from outside, and its handle has resolved; the body goes on.
    pub zombie: Option<Zombie>,
}

/// How a token ended whose body goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Zombie {
    /// Killed or timed out.
    pub outcome: Outcome,
    /// How long ago.
    pub age: Duration,
}

impl Handle {
    /// The tokens whose bodies execute now: for each thread those on its stack, the innermost first.
    ///
    /// Suspended async bodies are not among them. Costs a look at each worker and spare, some
    /// microseconds, in which no body on that thread can end.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Scheduler};
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle().clone();
    /// let token = scheduler.handle().spawn("look", move || handle.executing());
    /// assert_eq!(token.get()?[0].operation.label(), "look");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn executing(&self) -> Vec<Executing> {
        self.shared.executing()
    }
}

impl Shared {
    pub(crate) fn executing(&self) -> Vec<Executing> {
        let mut executing = Vec::new();
        for member in self.members() {
            // None for the timer's thread, which runs no bodies.
            let Some(worker) = member.worker else {
                continue;
            };
            let present = member.watcher.look();
            // After the look: nothing in it is later.
            let now_ns = clock::now_ns();
            executing.extend(present.into_iter().map(|token| {
                let (started, zombie) = ages(&token, now_ns);
                Executing {
                    id: token.view.id,
                    operation: token.view.operation,
                    domain: worker.domain,
                    worker: worker.worker,
                    started,
                    zombie,
                }
            }));
        }
        executing
    }
}

fn ages(token: &PresentToken, now_ns: u64) -> (Option<Duration>, Option<Zombie>) {
    let since = |moment_ns: u64| Duration::from_nanos(now_ns.saturating_sub(moment_ns));
    let started = token.times.started.map(|start| since(start.get()));
    let zombie = token.outcome.map(|outcome| Zombie {
        outcome,
        age: token
            .ended_at
            .map_or(Duration::ZERO, |end| since(end.get())),
    });
    (started, zombie)
}

impl fmt::Display for Executing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.operation.label();
        let (domain, worker) = (self.domain + 1, self.worker + 1);
        write!(f, "{label} (token {}) on worker {domain}-{worker}", self.id)?;
        if let Some(started) = self.started {
            write!(f, ", started {started:.1?} ago")?;
        }
        if let Some(zombie) = self.zombie {
            let Zombie { outcome, age } = zombie;
            write!(f, ", {outcome} {age:.1?} ago and still running")?;
        }
        Ok(())
    }
}
