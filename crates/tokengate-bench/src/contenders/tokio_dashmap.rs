//! tokio with a `DashMap` from keys to states: a task a token works under the lock of its key's shard.
//!
//! What the map holds here is nothing, because the states are the scenario's: it is the lock and the way to
//! it. A map with the states inside would touch the same cache lines, less one.

use std::sync::LazyLock;

use dashmap::DashMap;
use tokio::runtime::Runtime;

use crate::contender::{Failed, Outcome, Unable};
use crate::keyed::{KeyedContender, KeyedJob};

/// A static map spares each task the count of a reference.
static STATES: LazyLock<DashMap<usize, ()>> = LazyLock::new(DashMap::new);

/// The runtime; the caller is none of its workers.
pub(crate) struct TokioDashMap(Runtime);

impl TokioDashMap {
    pub(crate) fn start() -> Result<Self, Unable> {
        super::tokio_runtime().map(Self)
    }
}

impl KeyedContender for TokioDashMap {
    fn run_keyed<J: KeyedJob>(
        &mut self,
        jobs: impl ExactSizeIterator<Item = J> + Send + 'static,
        mut take: impl FnMut(Outcome<J::Output>),
    ) {
        let handles: Vec<_> = jobs
            .map(|job| {
                self.0.spawn(async move {
                    let _state = STATES.entry(job.key()).or_default();
                    job.run()
                })
            })
            .collect();
        self.0.block_on(async {
            for handle in handles {
                take(handle.await.map_err(Failed::because));
            }
        });
    }
}
