//! The last executions of each worker, of timed tokens: what an operator asks for first.
//!
//! Written by the worker under a lock that only a reader shares, for timed tokens only. Keeps: no
//! more than the set number for each worker.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokengate_token::{Operation, Outcome, TokenId};

use crate::handle::Handle;
use crate::shared::lock;

/// An execution that has ended, of a timed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Execution {
    /// The token.
    pub id: TokenId,
    /// Its operation.
    pub operation: &'static Operation,
    /// The domain's index, counted from 0.
    pub domain: usize,
    /// From its submission to its first start.
    pub wait: Duration,
    /// From its first start to its end, suspended or not.
    pub run: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// When it ended.
    pub ended: Instant,
}

/// The last executions of one worker, oldest first.
pub(crate) struct Recent {
    most: usize,
    executions: Mutex<VecDeque<Execution>>,
}

impl Recent {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            executions: Mutex::default(),
        }
    }

    pub(crate) fn push(&self, execution: Execution) {
        if self.most == 0 {
            return;
        }
        let mut executions = lock(&self.executions);
        if executions.len() >= self.most {
            executions.pop_front();
        }
        executions.push_back(execution);
    }
}

impl Handle {
    /// The last executions of timed tokens, the latest first.
    ///
    /// As many as [`Config::recent`](crate::Config::recent) says. With sampled timing they are a sample.
    /// Costs a copy of as many for each worker.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Scheduler, Timing};
    /// let config = Config { timing: Timing::Every, ..Config::default() };
    /// let scheduler = Scheduler::start(config)?;
    /// scheduler.handle().spawn("double", || 21 * 2).get()?;
    /// for execution in scheduler.handle().recent() {
    ///     println!("{} ran for {:?}", execution.operation.label(), execution.run);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recent(&self) -> Vec<Execution> {
        let members = self.shared.members();
        let mut recent: Vec<Execution> = Vec::new();
        for member in &members {
            recent.extend(&*lock(&member.recent.executions));
        }
        recent.sort_by_key(|execution| std::cmp::Reverse(execution.ended));
        recent.truncate(self.shared.recent);
        recent
    }
}
