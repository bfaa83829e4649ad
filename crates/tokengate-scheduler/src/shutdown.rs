//! The end of a scheduler that may not wait for ever: purge, cancel, and a report.
//!
//! Called by `Scheduler::shutdown` after the drain, and by its drop. Keeps: every handle resolves
//! though a body never returns, and no call is lost that comes too late.
#![doc = include_str!("SHUTDOWN.md")]

use std::time::{Duration, Instant};

use tokengate_token::Operation;

use crate::domain::SHUT_DOWN;
use crate::shared::Shared;

/// How long a shutdown waits for the bodies that it has cancelled.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Everything had finished in time, but for what is paused.
    pub finished: bool,
    /// How many tokens are held back by pauses.
    pub paused: usize,
}

/// What a drain does about calls that other threads have in open batches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenBatches {
    /// It waits until they are published, and have finished.
    Awaited,
    /// It goes on: they are rejected when they are published.
    Left,
}

/// How a shutdown went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Everything had finished in time.
    pub drained: bool,
    /// How many tokens were killed before they started, or when they were to be polled again.
    pub purged: usize,
    /// How many tokens were killed while their bodies executed.
    pub cancelled: usize,
    /// How many calls were in open batches of other threads, about; they resolve as rejected when
    /// those publish them, at the latest at the end of their scopes.
    pub unpublished: usize,
    /// The threads that did not end, as their bodies did not return; each ends after its body,
    /// should that return.
    pub stuck: Vec<StuckThread>,
}

/// A thread that did not end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StuckThread {
    /// The thread's name.
    pub thread: String,
    /// The labels of the operations whose bodies are on its stack, the innermost first; none if a
    /// hook, a waker or a destructor holds it.
    pub operations: Vec<&'static str>,
}

/// How often it looks for what was let in after the stop, while it waits for threads to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Purges, and waits for the threads to end, however long their bodies take.
///
/// It does not wait on a thread of the scheduler, which ends after the body that calls this.
pub(crate) fn end_patiently(shared: &Shared, on_own_thread: bool) {
    shared.stop();
    purge(shared);
    if on_own_thread {
        return;
    }
    while !shared.wait_for_end(Instant::now() + LOOK_EVERY) {
        purge(shared);
    }
    empty_lanes(shared, Instant::now() + SHUTDOWN_GRACE);
}

/// Purges, cancels, and waits for the threads to end, for the grace at most.
pub(crate) fn end(shared: &Shared, drained: bool, on_own_thread: bool) -> ShutdownReport {
    shared.stop();
    purge(shared);
    let mut cancelled = 0;
    let mut stuck = Vec::new();
    if !on_own_thread {
        // What executes is cancelled here and now, and what does not never will.
        shared.alarms.close();
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        loop {
            let executing = cancel(shared);
            cancelled += executing.cancelled;
            let now = Instant::now();
            if shared.wait_for_end(deadline.min(now + LOOK_EVERY)) {
                break;
            }
            // Again each time: a body that returned may have let another one in.
            purge(shared);
            if deadline <= now {
                stuck = executing.threads;
                break;
            }
        }
        // What comes from now on is refused, though a stuck thread keeps its domain open.
        for domain in &shared.domains {
            domain.close();
        }
        empty_lanes(shared, deadline);
    }
    ShutdownReport {
        drained,
        purged: shared.purged(),
        cancelled,
        unpublished: shared.unpublished(),
        stuck,
    }
}

/// Kills what has not started, and what is suspended, in all domains.
///
/// The workers do the same; this reaches the queues of those that are held up in a body.
fn purge(shared: &Shared) {
    for domain in &shared.domains {
        shared.count_purged(domain.purge());
    }
    let killed = shared.anchors.purge_lanes(SHUT_DOWN);
    shared.count_purged(killed);
    let paused = shared.control.pauses.close().into_iter();
    let waiting = paused.chain(shared.control.retries.backing_off.take_all());
    for runnable in waiting {
        shared.count_purged(shared.anchors.kill(runnable, SHUT_DOWN));
    }
    for waiting in shared.anchors.permits.close() {
        shared.count_purged(shared.anchors.kill(waiting, SHUT_DOWN));
    }
    for member in shared.members() {
        if let Some(next) = member.next_in_lane.take().pop_front() {
            shared.count_purged(shared.anchors.kill(next, SHUT_DOWN));
        }
    }
}

/// Ends what is left in lanes, where nothing comes any more: no thread takes tokens to run, and what is
/// posted is refused.
///
/// An outsider who was quicker has the next one of a lane in hand; that resolves with it.
fn empty_lanes(shared: &Shared, deadline: Instant) {
    let killed = shared.anchors.purge_lanes(SHUT_DOWN);
    shared.count_purged(killed);
    shared.wait_for_exits(deadline);
}

struct Executing {
    cancelled: usize,
    threads: Vec<StuckThread>,
}

/// Kills the tokens whose bodies execute, and says which threads have not ended.
fn cancel(shared: &Shared) -> Executing {
    let mut executing = Executing {
        cancelled: 0,
        threads: Vec::new(),
    };
    for member in shared.members() {
        let killed = member.watcher.kill(SHUT_DOWN);
        executing.cancelled += killed.claimed;
        if !member.has_ended() {
            let labels = killed.present.iter().copied().map(Operation::label);
            executing.threads.push(StuckThread {
                thread: member.thread_name.clone(),
                operations: labels.collect(),
            });
        }
    }
    executing
}
