//! What a worker does around the body of a token with times: alarms, clocks, and what they gave.
//!
//! Called by the worker's loop and by waits that run a body in place. A token without times passes by.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokengate_token::{Companion, Operation, Ran, Runnable, Startable, Times, TokenId};

use crate::clock;
use crate::contain::contain;
use crate::on_worker::OnWorker;
use crate::stats::recent::Execution;
use crate::stats::working::outcome_of;

/// With sampled timing the CPU time of one in so many timed tokens is measured.
const CPU_TIME_EVERY: u32 = 16;

/// A token with times that this worker runs next.
pub(crate) struct Noted {
    id: TokenId,
    operation: &'static Operation,
    times: Times,
    companion: Option<Arc<dyn Companion>>,
}

/// Which of the timed tokens of a worker have their CPU time measured.
pub(crate) struct CpuSampling {
    left: Cell<u32>,
}

impl Default for CpuSampling {
    fn default() -> Self {
        Self {
            left: Cell::new(CPU_TIME_EVERY),
        }
    }
}

impl CpuSampling {
    /// Whether it is the next one's turn. A system call, some 20 times what the other clock costs.
    fn is_next(&self) -> bool {
        let left = self.left.get().checked_sub(1).unwrap_or(CPU_TIME_EVERY - 1);
        self.left.set(left);
        left == 0
    }
}

impl OnWorker {
    /// Sets the alarm of a token with these times, and notes its start.
    #[cold]
    pub(crate) fn prepare(&self, times: Times, runnable: &Runnable) -> Noted {
        let mut prepared = times;
        if !runnable.has_started() {
            prepared = self.set_alarm(times, || runnable.deadline());
            prepared.started = started(times, |now| runnable.note_started(now));
            if runnable.is_async() && prepared != times {
                // For its next polls.
                runnable.set_times(prepared);
            }
        }
        Noted {
            id: runnable.id(),
            operation: runnable.operation(),
            times: prepared,
            companion: runnable.companion(),
        }
    }

    /// As [`prepare`](Self::prepare), of a token that is run in place.
    pub(crate) fn prepare_inline(&self, times: Times, token: &Startable<'_>) -> Noted {
        let mut prepared = self.set_alarm(times, || token.deadline());
        prepared.started = started(times, |now| token.note_started(now));
        let view = token.view();
        Noted {
            id: view.id,
            operation: view.operation,
            times: prepared,
            companion: token.companion(),
        }
    }

    /// Calls `run`, and times it if the token is a timed one; then its alarm is done.
    #[inline]
    pub(crate) fn observe(&self, noted: Option<Noted>, run: impl FnOnce() -> Ran) -> Ran {
        match noted {
            None => run(),
            Some(noted) => self.run_noted(&noted, run),
        }
    }

    #[cold]
    fn run_noted(&self, noted: &Noted, run: impl FnOnce() -> Ran) -> Ran {
        let times = noted.times;
        let run = || match (times.submitted, times.started) {
            (Some(submitted), Some(started)) => {
                self.time(noted, submitted.get(), started.get(), run)
            }
            _ => run(),
        };
        let ran = match &noted.companion {
            None => run(),
            Some(companion) => run_with(&**companion, run),
        };
        self.take_alarm_back(times, &ran);
        ran
    }

    fn time(
        &self,
        noted: &Noted,
        submitted_ns: u64,
        started_ns: u64,
        run: impl FnOnce() -> Ran,
    ) -> Ran {
        let measures_cpu = self.cpu_sampling.is_next() || self.shared.stride == 1;
        let cpu_before = measures_cpu.then(clock::thread_cpu).flatten();
        let entered_ns = clock::now_ns();
        let ran = run();
        let left_ns = clock::now_ns();
        let cpu = cpu_before.and_then(|before| {
            let after = clock::thread_cpu()?;
            Some(after.saturating_sub(before))
        });
        if matches!(ran, Ran::Tombstone(_) | Ran::Elsewhere) {
            return ran;
        }
        let outcome = outcome_of(&ran);
        let wait_ns = started_ns.saturating_sub(submitted_ns);
        let run_ns = left_ns.saturating_sub(started_ns);
        self.member.times.note(noted.operation, |timed| {
            timed.ran(Duration::from_nanos(left_ns - entered_ns), cpu);
            if outcome.is_some() {
                timed.ended(wait_ns, run_ns);
            }
            if matches!(ran, Ran::Completed | Ran::Failed | Ran::Panicked) {
                timed.resolved(left_ns.saturating_sub(submitted_ns));
            }
        });
        if let Some(outcome) = outcome {
            let execution = Execution {
                id: noted.id,
                operation: noted.operation,
                domain: usize::from(self.domain.index),
                wait: Duration::from_nanos(wait_ns),
                run: Duration::from_nanos(run_ns),
                outcome,
                ended: clock::instant(left_ns),
            };
            if let Some(hook) = &self.shared.hooks.timed {
                contain(|| hook(&execution));
            }
            self.member.recent.push(execution);
        }
        ran
    }
}

/// Runs a body inside of its companion, which may fail but not keep it from running.
fn run_with(companion: &dyn Companion, run: impl FnOnce() -> Ran) -> Ran {
    let (mut run, mut ran) = (Some(run), None);
    contain(|| companion.around(&mut || ran = run.take().map(|run| run())));
    let ran = ran.or_else(|| run.take().map(|run| run()));
    let ran = ran.expect("run once, here or in the companion");
    if let Some(outcome) = outcome_of(&ran) {
        contain(|| companion.ended(outcome));
    }
    ran
}

/// When a timed token was started, which is now unless `note` knows better.
fn started(times: Times, note: impl FnOnce(NonZeroU64) -> NonZeroU64) -> Option<NonZeroU64> {
    times.submitted?;
    let now = || NonZeroU64::new(clock::now_ns()).map(note);
    times.started.or_else(now)
}
