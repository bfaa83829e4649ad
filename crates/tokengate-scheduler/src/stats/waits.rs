//! Which workers are blocked in a wait for tokens, since when, and for which.
//!
//! Noted by a body that is about to park, which costs little beside the parking. Callers that wait on
//! threads of their own are not known here.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use tokengate_token::{Operation, TokenId, Wait, current};

use crate::clock;
use crate::config::WorkerInfo;
use crate::shared::{Shared, lock};

/// How many of the awaited tokens are named.
const NAMED: usize = 8;

/// A blocking wait of a body that has lasted long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OldWait {
    /// The token whose body waits; none for a destructor or waker that does.
    pub waiter: Option<(TokenId, &'static Operation)>,
    /// Those it waits for, that have not resolved when it began: at most 8 of them.
    pub awaited: Vec<(TokenId, &'static Operation)>,
    /// The domain's index, counted from 0.
    pub domain: usize,
    /// The worker among those of its domain, counted from 0; spares come after the workers.
    pub worker: usize,
    /// How long it has lasted.
    pub age: Duration,
}

/// The wait of one thread: its innermost body's, as those below run others meanwhile.
#[derive(Default)]
pub(crate) struct Waiting {
    now: Mutex<Option<Noted>>,
}

struct Noted {
    since_ns: u64,
    waiter: Option<(TokenId, &'static Operation)>,
    awaited: Vec<(TokenId, &'static Operation)>,
}

impl Waiting {
    /// Calls `block`, and lets others see this wait meanwhile.
    pub(crate) fn during<R>(
        &self,
        wait: &mut Wait<'_>,
        block: impl FnOnce(&mut Wait<'_>) -> R,
    ) -> R {
        let noted = Noted {
            since_ns: clock::now_ns(),
            waiter: current(),
            awaited: wait.open_tokens(NAMED),
        };
        *lock(&self.now) = Some(noted);
        // Blocking does not unwind.
        let blocked = block(wait);
        *lock(&self.now) = None;
        blocked
    }

    fn older_than(&self, age: Duration, worker: WorkerInfo) -> Option<OldWait> {
        let now = lock(&self.now);
        let noted = now.as_ref()?;
        let lasted = Duration::from_nanos(clock::now_ns().saturating_sub(noted.since_ns));
        (lasted >= age).then(|| OldWait {
            waiter: noted.waiter,
            awaited: noted.awaited.clone(),
            domain: worker.domain,
            worker: worker.worker,
            age: lasted,
        })
    }
}

impl Shared {
    /// The waits that have lasted long, the oldest first.
    pub(crate) fn old_waits(&self) -> Vec<OldWait> {
        let members = self.members();
        let old = |age| {
            let waits = members
                .iter()
                .filter_map(move |member| member.waiting.older_than(age, member.worker?));
            waits.collect::<Vec<_>>()
        };
        let mut waits = old(self.old_wait);
        waits.sort_by_key(|wait| std::cmp::Reverse(wait.age));
        waits
    }
}

impl fmt::Display for OldWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waiter {
            Some((id, operation)) => write!(f, "{} (token {id})", operation.label())?,
            None => f.write_str("no body")?,
        }
        let (domain, worker) = (self.domain + 1, self.worker + 1);
        write!(
            f,
            " on worker {domain}-{worker} has waited {:.1?} for",
            self.age
        )?;
        for (place, (id, operation)) in self.awaited.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma} {} (token {id})", operation.label())?;
        }
        if self.awaited.len() == NAMED {
            f.write_str(" and maybe others")?;
        }
        Ok(())
    }
}
