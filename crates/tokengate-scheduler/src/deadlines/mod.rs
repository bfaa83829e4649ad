//! How long a token may wait and execute, and when its alarms are set and taken back.
//!
//! The submit path sets one for the wait, whoever starts the body one for the execution, in place
//! of the first. Keeps: a token has at most one alarm, and none after its exit on a worker. The
//! alarms themselves are `alarms.rs`.

mod alarms;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokengate_token::{Deadline, Phase, Ran, RejectCause, Runnable, Times};

use crate::handle::Call;
use crate::on_worker::OnWorker;
use crate::shared::Shared;

pub(crate) use alarms::{Alarm, Alarms};

/// The limits of a call, or the default ones of a gate; in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimeLimits {
    ttl: Option<NonZeroU64>,
    timeout: Option<NonZeroU64>,
}

impl TimeLimits {
    pub(crate) const NONE: Self = Self {
        ttl: None,
        timeout: None,
    };

    pub(crate) const fn new(ttl: Option<Duration>, timeout: Option<Duration>) -> Self {
        let with_ttl = match ttl {
            Some(limit) => Self::NONE.with_ttl(limit),
            None => Self::NONE,
        };
        match timeout {
            Some(limit) => with_ttl.with_timeout(limit),
            None => with_ttl,
        }
    }

    pub(crate) const fn with_ttl(self, limit: Duration) -> Self {
        Self {
            ttl: Some(nanoseconds(limit)),
            ..self
        }
    }

    pub(crate) const fn with_timeout(self, limit: Duration) -> Self {
        Self {
            timeout: Some(nanoseconds(limit)),
            ..self
        }
    }

    pub(crate) const fn is_none(self) -> bool {
        self.ttl.is_none() && self.timeout.is_none()
    }

    /// These, and those of the default where there is none.
    fn or(self, default: Self) -> Self {
        Self {
            ttl: self.ttl.or(default.ttl),
            timeout: self.timeout.or(default.timeout),
        }
    }
}

/// Beyond some 584 years a limit is none: no alarm goes off so late. No time at all is the least.
pub(crate) const fn nanoseconds(limit: Duration) -> NonZeroU64 {
    let nanoseconds = limit.as_nanos();
    if nanoseconds > u64::MAX as u128 {
        return NonZeroU64::MAX;
    }
    match NonZeroU64::new(nanoseconds as u64) {
        Some(nanoseconds) => nanoseconds,
        None => NonZeroU64::MIN,
    }
}

/// Notes the limits of a token that is not published yet, if there are any, and sets the alarm for its
/// wait.
///
/// Refused if there is nobody to give alarms.
pub(crate) fn apply(
    gate: &Arc<Shared>,
    call: &Call,
    runnable: &Runnable,
) -> Result<(), RejectCause> {
    let operation = call.operation;
    let own = TimeLimits::new(operation.ttl(), operation.timeout());
    let limits = call.limits.or(own).or(gate.default_limits);
    if limits.is_none() {
        return Ok(());
    }
    gate.alarms.start(gate)?;
    let alarm = limits.ttl.and_then(|ttl| {
        let alarm = || Alarm::Limit(runnable.deadline(), Phase::Waiting);
        gate.alarms.set(ttl, alarm)
    });
    runnable.set_times(Times {
        timeout: limits.timeout,
        alarm,
        ..runnable.times().unwrap_or_default()
    });
    Ok(())
}

impl OnWorker {
    /// A token is about to be started: the alarm for its execution takes the place of the one for its
    /// wait. Once for each attempt.
    ///
    /// What lies between this and the start counts as execution: no alarm is set for a body whose
    /// start was not tried, and none is missing for one that has started.
    pub(crate) fn set_alarm(&self, times: Times, deadline: impl FnOnce() -> Deadline) -> Times {
        let alarms = &self.shared.alarms;
        if let Some(alarm) = times.alarm {
            alarms.take_back(alarm);
        }
        let limit = || Alarm::Limit(deadline(), Phase::Executing);
        let alarm = times.timeout.and_then(|timeout| alarms.set(timeout, limit));
        Times { alarm, ..times }
    }

    /// This came of a token with these times: its alarm is not needed any more, unless it goes on.
    pub(crate) fn take_alarm_back(&self, times: Times, ran: &Ran) {
        if let (Some(alarm), false) = (times.alarm, matches!(ran, Ran::Suspended | Ran::Again(_))) {
            self.shared.alarms.take_back(alarm);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;
    use crate::config::Config;
    use crate::scheduler::Scheduler;
    use crate::shared::lock;
    use crate::{Handle, Key, Operation, Token, TokenError, get_all};

    static OP: Operation = Operation::new("test.limits");
    const HANG: Duration = Duration::from_secs(60);
    const LONG: Duration = Duration::from_secs(3_600);

    fn started() -> Scheduler {
        Scheduler::start(Config::default()).expect("a scheduler starts")
    }

    fn alarms(scheduler: &Scheduler) -> &Alarms {
        &scheduler.handle().shared.alarms
    }

    fn all_values<T>(tokens: Vec<Token<T>>) -> bool {
        get_all(tokens).into_iter().all(|result| result.is_ok())
    }

    #[track_caller]
    fn wait_for_alarms(scheduler: &Scheduler, count: usize) {
        let start = Instant::now();
        while alarms(scheduler).count() != count {
            assert!(start.elapsed() < HANG, "{}", alarms(scheduler).count());
            std::thread::yield_now();
        }
    }

    #[test]
    fn tokens_that_end_leave_no_alarm() {
        let scheduler = started();
        let handle = scheduler.handle();
        let limited = Call::new(&OP).with_ttl(LONG).with_timeout(LONG);
        for _ in 0..10 {
            let sync = (0..100).map(|_| handle.spawn(limited, || ())).collect();
            assert!(all_values(sync));
            let polled = (0..100).map(|_| handle.spawn_async(limited, ready(())));
            assert!(all_values(polled.collect()));
        }
        wait_for_alarms(&scheduler, 0);
        let suspended = handle.spawn_async(limited, pending::<()>());
        // That of the wait, then that of the execution.
        wait_for_alarms(&scheduler, 1);
        assert!(suspended.kill("not needed"));
        wait_for_alarms(&scheduler, 0);
    }

    #[test]
    fn a_body_that_its_waiter_runs_leaves_no_alarm() {
        let scheduler = started();
        let handle = scheduler.handle().clone();
        let limited = Call::new(&OP).with_ttl(LONG).with_timeout(LONG);
        let parent = scheduler.handle().spawn(&OP, move || {
            (0..100).all(|_| handle.spawn(limited, || ()).get().is_ok())
        });
        assert!(parent.get().expect("a value"));
        wait_for_alarms(&scheduler, 0);
    }

    #[test]
    fn a_limit_for_ever_sets_no_alarm() {
        let scheduler = started();
        let handle = scheduler.handle();
        let for_ever = Call::new(&OP)
            .with_ttl(Duration::MAX)
            .with_timeout(Duration::MAX);
        let token = handle.spawn_async(for_ever, pending::<()>());
        assert_eq!(alarms(&scheduler).count(), 0);
        assert!(token.kill("not needed"));
    }

    #[test]
    fn the_thread_is_started_by_the_first_limit_and_ends_with_the_workers() {
        let scheduler = started();
        let shared = scheduler.handle().shared.clone();
        assert!(all_values(vec![scheduler.handle().spawn(&OP, || ())]));
        assert!(shared.alarms.has_ended());
        let limited = Call::new(&OP).with_timeout(LONG);
        assert!(all_values(vec![scheduler.handle().spawn(limited, || ())]));
        assert!(!shared.alarms.has_ended());
        drop(scheduler);
        assert!(shared.alarms.has_ended());
        assert!(shared.alarms.take_thread().is_none());
        assert_eq!(shared.alarms.start(&shared), Err(RejectCause::ShutDown));
    }

    #[test]
    fn a_call_without_a_timer_is_rejected_alone() {
        static SERIAL: Operation = Operation::new("test.limits.serial").serial();
        let call = Call::new(&SERIAL).with_key(Key::of("test", &1));
        let (sender, receiver) = std::sync::mpsc::channel::<Handle>();
        let behind = Arc::<Mutex<Option<Token<u32>>>>::default();
        let mut config = Config::default();
        config.hooks.companion = {
            let (receiver, behind) = (Mutex::new(receiver), behind.clone());
            Some(Arc::new(move |_, _| {
                // Between the turn of the first call and its end another one comes to the lane.
                let handle = lock(&receiver).try_recv().ok()?;
                *lock(&behind) = Some(handle.spawn(call, || 7));
                let start = Instant::now();
                while handle.shared.anchors.waiting_in_lanes() == 0 {
                    assert!(start.elapsed() < HANG, "it comes to its lane");
                    std::thread::yield_now();
                }
                None
            }))
        };
        let scheduler = Scheduler::start(config).expect("a scheduler starts");
        let handle = scheduler.handle();
        handle.shared.alarms.close();
        sender.send(handle.clone()).expect("it is received");
        let rejected = handle.spawn(call.with_ttl(LONG), || 1);
        assert!(matches!(rejected.get(), Err(TokenError::Rejected(_))));
        let behind = lock(&behind).take().expect("it was called");
        assert_eq!(behind.get().expect("it runs"), 7);
    }

    #[test]
    fn no_time_at_all_ends_a_body() {
        let scheduler = started();
        let late = Call::new(&OP).with_timeout(Duration::ZERO);
        let token = scheduler.handle().spawn_async(late, pending::<()>());
        assert!(matches!(token.get(), Err(TokenError::TimedOut { .. })));
    }
}
