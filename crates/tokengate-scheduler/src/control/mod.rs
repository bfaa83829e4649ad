//! What a gate was told to do with its tokens: end them, hold them back, let them go on.
//!
//! Asked by workers before each start, but only while there is anything to ask for: a token that
//! nothing is said about pays one load. Keeps: a token that is set aside is in one queue, and is
//! posted again or ended. The orders themselves are `kill.rs`, the pauses `pause.rs`.
#![doc = include_str!("README.md")]

mod kill;
mod pause;
mod purge;

use std::borrow::Cow;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{PoisonError, RwLock};

use tokengate_anchor::Conductor;
use tokengate_token::{Runnable, TokenId, TokenView};

use crate::domain::SHUT_DOWN;
use crate::on_worker::OnWorker;
use crate::retry::Retries;
use crate::shared::Shared;
use kill::Orders;
pub(crate) use pause::Pauses;
use pause::Taken;

/// What a gate was told.
#[derive(Default)]
pub(crate) struct Control {
    orders: RwLock<Orders>,
    /// No order is for a token with this id or a greater one.
    ordered_before: AtomicU64,
    pub(crate) pauses: Pauses,
    pub(crate) retries: Retries,
}

impl Control {
    /// Why this token must not start, or not be polled again; the caller holds it.
    pub(crate) fn refuses(
        &self,
        token: &TokenView,
        started: bool,
        chains: &Conductor,
    ) -> Option<Cow<'static, str>> {
        if !self.has_orders_for(token.id) {
            return None;
        }
        let orders = self.orders.read().unwrap_or_else(PoisonError::into_inner);
        orders.refuse(token, started, chains)
    }

    /// Whether there may be orders for this token: those created after the last order pay no more.
    fn has_orders_for(&self, token: TokenId) -> bool {
        // Acquire: pairs with the Release of `write`, as does what makes the orders known.
        token.get() < self.ordered_before.load(Acquire)
    }

    /// Whether this token does not start for now.
    pub(crate) fn holds_back(&self, token: &TokenView) -> bool {
        self.pauses.holds_back(token.operation.label())
    }

    /// Whether there is nothing that a worker would have to ask for.
    pub(crate) fn is_idle(&self) -> bool {
        let orders = self.orders.read().unwrap_or_else(PoisonError::into_inner);
        orders.is_empty() && self.pauses.is_none()
    }

    fn write(&self, before: TokenId, write: impl FnOnce(&mut Orders)) {
        write(&mut self.orders.write().unwrap_or_else(PoisonError::into_inner));
        self.ordered_before.fetch_max(before.get(), Release);
    }
}

impl OnWorker {
    /// Gives the runnable back if it may go on; else it is set aside, or ended.
    #[cold]
    pub(crate) fn let_through(&self, runnable: Runnable) -> Option<Runnable> {
        let control = &self.shared.control;
        if runnable.has_started() || control.pauses.is_none() {
            return Some(runnable);
        }
        let operation = runnable.operation();
        // A token that is to be ended goes on to that.
        let refused = |token: &Runnable| self.refusal(token).is_some();
        match control.pauses.take(runnable, refused) {
            Taken::GoesOn(runnable) => Some(runnable),
            Taken::SetAside { permit } => {
                // It had waited for that, and does so again.
                if permit {
                    self.domain.give_back(operation);
                }
                None
            }
            Taken::Closed(runnable) => {
                let killed = self.domain.anchors.kill(runnable, SHUT_DOWN);
                self.shared.count_purged(killed);
                None
            }
        }
    }
}

impl OnWorker {
    /// Why this token, which has not started, is to be ended.
    pub(crate) fn refusal(&self, token: &Runnable) -> Option<Cow<'static, str>> {
        if !self.present.is_controlled() {
            return None;
        }
        let chains = &self.domain.anchors.chains;
        self.shared.control.refuses(&token.view(), false, chains)
    }
}

impl Shared {
    /// Posts a token that was set aside to its domain, behind what is there; gives it back if that
    /// is closed.
    ///
    /// All to one core: they keep their order, and each worker of the domain comes to it.
    pub(crate) fn post_again(&self, runnable: Runnable) -> Result<(), Runnable> {
        let domain = runnable.place().domain.map_or(0, usize::from);
        self.domains[domain].post(0, runnable)
    }

    /// Ends tokens that could not be posted. Not under a lock: it wakes callers.
    fn end_refused(&self, refused: Vec<Runnable>) {
        for runnable in refused {
            let killed = self.anchors.kill(runnable, SHUT_DOWN);
            self.count_purged(killed);
        }
    }
}
