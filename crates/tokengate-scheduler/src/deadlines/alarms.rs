//! The alarms of tokens whose time may run out, or whose next attempt comes, and the thread that gives
//! them.
//!
//! Set and taken back by `mod.rs`, and set by retries. Keeps: an alarm that was taken back leaves
//! nothing behind, so tokens that end in time do not pile up; the thread is started by the first call
//! with a limit or the first retry, wakes when an alarm is due or was taken back, and ends with the
//! gate. It rests on no async runtime: a limit holds whoever drives that. See
//! `docs/decisions/0009-a-thread-for-alarms.md`.

use std::collections::BTreeMap;
use std::mem;
use std::num::NonZeroU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokengate_token::{AlarmId, Deadline, Phase, Present, RejectCause, TokenId};

use crate::clock;
use crate::contain::contain;
use crate::handle::Handle;
use crate::pin;
use crate::shared::{Shared, lock};
use crate::thread::make_room;
use crate::topology::Machine;

/// The alarms of one gate.
pub(crate) struct Alarms {
    queue: Mutex<Queue>,
    /// Notified when an alarm is set that is due before the thread looks, and by the close.
    changed: Condvar,
    /// Where the thread may run; one that is started by a worker inherits its pin.
    cpus: Vec<usize>,
}

/// What an alarm is for.
pub(crate) enum Alarm {
    /// The time of a token for this phase is over.
    Limit(Deadline, Phase),
    /// The next attempt of this token is due, unless it has stopped to back off.
    Retry(TokenId),
}

struct Queue {
    /// Those that are set, the next one first.
    set: BTreeMap<AlarmId, Alarm>,
    last_number: u64,
    /// When the thread looks again by itself; 0 while it does, and before it is started.
    next_look: u64,
    thread: Option<JoinHandle<()>>,
    running: bool,
    closed: bool,
}

impl Alarms {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            queue: Mutex::new(Queue {
                set: BTreeMap::new(),
                last_number: 0,
                next_look: 0,
                thread: None,
                running: false,
                closed: false,
            }),
            changed: Condvar::new(),
            cpus: machine.cpus().iter().map(|cpu| cpu.id).collect(),
        }
    }

    /// Makes sure that the thread runs: before a token with limits is made.
    pub(crate) fn start(&self, gate: &Arc<Shared>) -> Result<(), RejectCause> {
        let mut queue = lock(&self.queue);
        if queue.closed {
            return Err(RejectCause::ShutDown);
        }
        if !queue.running {
            let gate = gate.clone();
            let thread = thread::Builder::new().name("tokengate-timer".to_owned());
            let thread = thread.spawn(move || run(&gate));
            queue.thread = Some(thread.map_err(|error| RejectCause::NoTimer(error.to_string()))?);
            queue.running = true;
        }
        Ok(())
    }

    /// Sets an alarm for so many nanoseconds from now; none for a time that never comes.
    pub(crate) fn set(&self, after: NonZeroU64, alarm: impl FnOnce() -> Alarm) -> Option<AlarmId> {
        let due = clock::now_ns().checked_add(after.get())?;
        let what = alarm();
        let mut queue = lock(&self.queue);
        if queue.closed {
            return None;
        }
        queue.last_number += 1;
        let number = NonZeroU64::new(queue.last_number)?;
        let alarm = AlarmId { due, number };
        queue.set.insert(alarm, what);
        if due < queue.next_look {
            // Once is enough: it looks at all of them then.
            queue.next_look = 0;
            drop(queue);
            self.changed.notify_one();
        }
        Some(alarm)
    }

    /// The alarm is not needed any more.
    pub(crate) fn take_back(&self, alarm: AlarmId) {
        let taken = lock(&self.queue).set.remove(&alarm);
        // Outside of the lock, which is for moments.
        drop(taken);
    }

    /// How many are set.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        lock(&self.queue).set.len()
    }

    /// Gives no alarm any more, and ends the thread.
    pub(crate) fn close(&self) {
        lock(&self.queue).closed = true;
        self.changed.notify_one();
    }

    /// Whether its thread has ended, or was never started.
    pub(crate) fn has_ended(&self) -> bool {
        !lock(&self.queue).running
    }

    /// Whether the present thread is the one that gives the alarms.
    pub(crate) fn is_this_thread(&self) -> bool {
        let queue = lock(&self.queue);
        let thread = queue.thread.as_ref();
        thread.is_some_and(|thread| thread.thread().id() == thread::current().id())
    }

    /// The thread, to be waited for.
    pub(crate) fn take_thread(&self) -> Option<JoinHandle<()>> {
        lock(&self.queue).thread.take()
    }

    /// Gives alarms until it is closed.
    fn give(&self, gate: &Shared) {
        let mut queue = lock(&self.queue);
        while !queue.closed {
            let now = clock::now_ns();
            let next = match queue.set.first_entry() {
                Some(first) if first.key().due <= now => {
                    let alarm = first.remove();
                    drop(queue);
                    // Drops a body, or wakes a caller: user code, without the lock.
                    contain(|| match alarm {
                        Alarm::Limit(deadline, phase) => drop(deadline.pass(phase)),
                        Alarm::Retry(id) => gate.retry_now(id),
                    });
                    queue = lock(&self.queue);
                    continue;
                }
                first => first.map_or(u64::MAX, |first| first.key().due),
            };
            queue.next_look = next;
            queue = self.wait(queue, next, now);
            queue.next_look = 0;
        }
        let rest = mem::take(&mut queue.set);
        drop(queue);
        drop(rest);
    }

    /// Waits until an alarm is due, or the queue has changed.
    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>, due: u64, now: u64) -> MutexGuard<'a, Queue> {
        if due == u64::MAX {
            let waited = self.changed.wait(queue);
            return waited.unwrap_or_else(PoisonError::into_inner);
        }
        let waited = self
            .changed
            .wait_timeout(queue, Duration::from_nanos(due - now));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The life of the thread.
fn run(gate: &Arc<Shared>) {
    let alarms = &gate.alarms;
    pin::allow_cpus(alarms.cpus.iter().copied());
    // So that a shutdown names it, should a destructor hold it up.
    let member = gate.join(Present::new().watcher(), None);
    let handle = Handle {
        shared: gate.clone(),
    };
    let entered = handle.enter();
    make_room(|| alarms.give(gate));
    drop(entered);
    member.end();
    lock(&alarms.queue).running = false;
    gate.note_progress();
}
