//! An index of all tokens of a gate that have not exited, for those who ask for one.
//!
//! Written at each call of a gate that tracks, before anybody else sees the token; others pay nothing.
//! Keeps no token alive: it holds a way to each, which says when it is gone. What is gone is swept out
//! when a shard has grown to twice of what it kept, so a shard is at most that large, and a token costs
//! no more at its end.

use std::sync::Mutex;

use tokengate_token::{Killer, Operation, Runnable, TokenId, TokenState};

use crate::handle::Handle;
use crate::shared::lock;

/// Threads that call at the same time meet at one of so many locks.
const SHARDS: usize = 16;

/// The least number of tokens for which a shard is swept.
const SWEEP_FROM: usize = 64;

/// A token that has not exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackedToken {
    /// The token.
    pub id: TokenId,
    /// Its operation.
    pub operation: &'static Operation,
    /// Where it is in its life; a terminal state is that of a zombie.
    pub state: TokenState,
    /// The index of its domain, counted from 0; none before it was routed.
    pub domain: Option<usize>,
    /// The number of the attempt that runs or comes next; counted from 1.
    pub attempt: u32,
}

/// The index of one gate.
#[derive(Default)]
pub(crate) struct Tracking {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    tokens: Vec<Killer>,
    sweep_at: usize,
}

impl Tracking {
    pub(crate) fn add(&self, runnable: &Runnable) {
        // Ids are drawn in blocks: the lowest bits differ most.
        let shard = runnable.id().get() as usize % SHARDS;
        let token = runnable.killer();
        let mut shard = lock(&self.shards[shard]);
        shard.tokens.push(token);
        if shard.tokens.len() >= shard.sweep_at.max(SWEEP_FROM) {
            shard.tokens.retain(|token| live(token).is_some());
            shard.sweep_at = 2 * shard.tokens.len();
        }
    }

    fn each_live(&self, mut look: impl FnMut(TrackedToken)) {
        for shard in &self.shards {
            // A copy, so that callers are held up for a moment only.
            let tokens = lock(shard).tokens.clone();
            tokens.iter().filter_map(live).for_each(&mut look);
        }
    }
}

fn live(token: &Killer) -> Option<TrackedToken> {
    let look = token.look().filter(|look| !look.exited)?;
    Some(TrackedToken {
        id: look.view.id,
        operation: look.view.operation,
        state: look.state,
        domain: look.view.place.domain.map(usize::from),
        attempt: look.attempt,
    })
}

impl Handle {
    /// The tokens that have not exited and that `filter` takes, in no order; none if the gate does not
    /// [track](crate::Config::tracking) them.
    ///
    /// Costs a look at each token, some 100 nanoseconds. Not one moment's picture.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Scheduler};
    /// let scheduler = Scheduler::start(Config { tracking: true, ..Config::default() })?;
    /// let handle = scheduler.handle();
    /// handle.pause();
    /// let token = handle.spawn("resize", || ());
    /// let waiting = handle.tokens(|token| token.operation.label() == "resize").expect("it tracks");
    /// assert_eq!(waiting[0].id, token.id());
    /// handle.resume();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tokens(&self, filter: impl Fn(&TrackedToken) -> bool) -> Option<Vec<TrackedToken>> {
        let tracking = self.shared.tracking.as_ref()?;
        let mut tokens = Vec::new();
        tracking.each_live(|token| tokens.extend(Some(token).filter(&filter)));
        Some(tokens)
    }
}

#[cfg(test)]
mod tests {
    use tokengate_token::{Plain, create};

    use super::*;

    static OP: Operation = Operation::new("test.tracked");

    fn count(tracking: &Tracking) -> usize {
        tracking
            .shards
            .iter()
            .map(|shard| lock(shard).tokens.len())
            .sum()
    }

    #[test]
    fn what_is_gone_leaves_nothing_behind() {
        let tracking = Tracking::default();
        let kept: Vec<_> = (0..100)
            .map(|_| {
                let (token, runnable) = create(&OP, Plain::new(|| ()));
                tracking.add(&runnable);
                (token, runnable)
            })
            .collect();
        for _ in 0..100_000 {
            let (_, runnable) = create(&OP, Plain::new(|| ()));
            tracking.add(&runnable);
        }
        assert!(count(&tracking) <= SHARDS * (2 * 100 + SWEEP_FROM));
        let mut live = 0;
        tracking.each_live(|_| live += 1);
        assert_eq!(live, 100);
        drop(kept);
        tracking.each_live(|token| panic!("{token:?}"));
    }
}
