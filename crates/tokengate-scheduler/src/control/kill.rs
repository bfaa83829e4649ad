//! Ends tokens by operation, by chain, or all of a gate: those that exist, wherever they are.
//!
//! Called by users from any thread. An order says which tokens it is for by a dividing id: all that
//! were created before it, and none after. Keeps: no token that an order is for starts after the
//! call, and those that execute are ended by the call.

use std::borrow::Cow;
use std::collections::HashMap;

use tokengate_anchor::{ChainId, Conductor};
use tokengate_token::{Runnable, TokenId, TokenView};

use crate::batch;
use crate::chain::Chain;
use crate::handle::Handle;
use crate::shared::Shared;
use crate::thread;

/// The orders of a gate.
#[derive(Default)]
pub(crate) struct Orders {
    /// For all operations; of tokens that have not started.
    purge: Option<Order>,
    kills: HashMap<Box<str>, Order>,
    purges: HashMap<Box<str>, Order>,
    /// By the number of the chain; a later chain with this number has greater ids.
    chains: HashMap<ChainId, Order>,
}

/// For the tokens created before `before`.
#[derive(Clone)]
struct Order {
    before: TokenId,
    reason: Cow<'static, str>,
}

impl Order {
    fn new(reason: Cow<'static, str>) -> Self {
        Self {
            before: TokenId::divide(),
            reason,
        }
    }

    /// This one, or the one that is written down, if that is for more tokens: of two that are given at
    /// one time either may be written first.
    fn or(self, written: Option<Self>) -> Self {
        match written {
            Some(other) if self.before < other.before => other,
            _ => self,
        }
    }

    /// The reason, if the order is for this token.
    fn reason_for(&self, id: TokenId) -> Option<&Cow<'static, str>> {
        (id < self.before).then_some(&self.reason)
    }
}

impl Orders {
    /// Why this token must not start, or not be polled again.
    pub(super) fn refuse(
        &self,
        token: &TokenView,
        started: bool,
        chains: &Conductor,
    ) -> Option<Cow<'static, str>> {
        let end = self.reason_to_end(token, chains);
        end.or_else(|| self.reason_not_to_start(token).filter(|_| !started))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.purge.is_none()
            && self.kills.is_empty()
            && self.purges.is_empty()
            && self.chains.is_empty()
    }

    fn reason_to_end(&self, token: &TokenView, chains: &Conductor) -> Option<Cow<'static, str>> {
        let kill = self.kills.get(token.operation.label());
        kill.and_then(|order| order.reason_for(token.id))
            .or_else(|| self.reason_of_chain(token, chains))
            .cloned()
    }

    fn reason_not_to_start(&self, token: &TokenView) -> Option<Cow<'static, str>> {
        let of_all = self.purge.as_ref();
        let of_operation = self.purges.get(token.operation.label());
        let mut both = of_all.into_iter().chain(of_operation);
        both.find_map(|purge| purge.reason_for(token.id)).cloned()
    }

    /// Of the token's chain, or of one that it is nested in.
    fn reason_of_chain(&self, token: &TokenView, chains: &Conductor) -> Option<&Cow<'static, str>> {
        if self.chains.is_empty() {
            return None;
        }
        let own = token.bond.chain.map(ChainId::from_number);
        std::iter::successors(own, |&chain| chains.parent(chain))
            .find_map(|chain| self.chains.get(&chain)?.reason_for(token.id))
    }
}

impl Handle {
    /// Ends all tokens of this operation that exist; how many were executing.
    ///
    /// Those that execute resolve now, as by [`Token::kill`](crate::Token::kill); those that have not
    /// started never do, and resolve when a worker comes upon them. Tokens created after the call
    /// are left alone. An operation without tokens, or without calls so far, is no error.
    ///
    /// Costs a look at each worker, and at each token that is set aside; from the first such call on,
    /// the start of each token that was created before it costs a look-up, that of others a comparison.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler};
    /// static OP: Operation = Operation::new("resize");
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle();
    /// let tokens: Vec<_> = (0..100).map(|n| handle.submit(&OP, Plain::new(move || n))).collect();
    /// handle.kill_operation("resize", "not needed any more");
    /// for result in tokengate_scheduler::get_all(tokens) {
    ///     // Done before the call, or killed by it.
    ///     let _ = result;
    /// }
    /// assert_eq!(handle.submit(&OP, Plain::new(|| 1)).get()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn kill_operation(&self, label: &str, reason: impl Into<Cow<'static, str>>) -> usize {
        let order = Order::new(reason.into());
        let (before, reason) = (order.before, order.reason.clone());
        let of_operation = |token: &TokenView| token.operation.label() == label;
        self.shared.write_order(before, |orders| {
            let order = order.or(orders.kills.remove(label));
            orders.kills.insert(label.into(), order);
        });
        let of_order = |token: &TokenView| token.id < before && of_operation(token);
        let executing = self.shared.end_executing(of_order, &reason);
        self.shared.let_out_refused();
        executing
    }

    /// Ends all tokens of this operation that exist and have not started.
    ///
    /// They resolve when a worker comes upon them. Otherwise as
    /// [`kill_operation`](Self::kill_operation).
    pub fn purge_operation(&self, label: &str, reason: impl Into<Cow<'static, str>>) {
        let order = Order::new(reason.into());
        self.shared.write_order(order.before, |orders| {
            let order = order.or(orders.purges.remove(label));
            orders.purges.insert(label.into(), order);
        });
        // Of those that execute it takes none, but its look makes the order known to all workers.
        self.shared.end_executing(|_| false, "");
        self.shared.let_out_refused();
    }

    /// Ends all tokens that exist and have not started; how many were in the queues.
    ///
    /// It empties the queues itself: their tokens have resolved when it returns. The few that are
    /// in the hands of a worker, or in open batches of other threads, never start, and resolve when
    /// they come to that. Tokens created while it is at work may be ended too, later ones are left
    /// alone. Publishes what this thread has deferred first.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler};
    /// static OP: Operation = Operation::new("resize");
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle();
    /// handle.pause();
    /// let token = handle.submit(&OP, Plain::new(|| unreachable!("it is purged")));
    /// handle.purge("not needed any more");
    /// handle.resume();
    /// assert!(token.get().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn purge(&self, reason: impl Into<Cow<'static, str>>) -> usize {
        batch::flush();
        let order = Order::new(reason.into());
        let reason = order.reason.clone();
        self.shared.write_order(order.before, |orders| {
            orders.purge = Some(order.or(orders.purge.take()));
        });
        self.shared.end_executing(|_| false, "");
        thread::make_room(|| self.shared.purge_queues(&reason))
    }
}

impl Chain {
    /// Ends all tokens of the chain that exist, nested chains included; how many were executing.
    ///
    /// As [`Handle::kill_operation`]. The chain lives until they have exited; tokens created in it
    /// after the call are left alone.
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> usize {
        let order = Order::new(reason.into());
        let (before, reason) = (order.before, order.reason.clone());
        self.gate.write_order(before, |orders| {
            let order = order.or(orders.chains.remove(&self.id));
            orders.chains.insert(self.id, order);
        });
        let chains = &self.gate.anchors.chains;
        let in_chain = |token: &TokenView| {
            let own = token.bond.chain.map(ChainId::from_number);
            std::iter::successors(own, |&chain| chains.parent(chain)).any(|chain| chain == self.id)
        };
        let of_order = |token: &TokenView| token.id < before && in_chain(token);
        let executing = self.gate.end_executing(of_order, &reason);
        self.gate.let_out_refused();
        executing
    }
}

impl Shared {
    /// Lets orders reach the tokens that are set aside or back off: workers come upon them.
    ///
    /// After the look for those that execute, which would else find them on their way to that.
    fn let_out_refused(&self) {
        let is_to_end = |token: &Runnable| self.is_to_end(token);
        let pauses = &self.control.pauses;
        let refused = pauses.post_if(is_to_end, |token| self.post_again(token));
        self.end_refused(refused);
        let refused = self.anchors.permits.post_if(is_to_end);
        self.end_refused(refused);
        let backing_off = &self.control.retries.backing_off;
        let refused = backing_off.post_if(is_to_end, |token| self.post_again(token));
        self.end_refused(refused);
    }

    /// Writes an order down: from here no worker sets a token aside that it is for.
    fn write_order(&self, before: TokenId, write: impl FnOnce(&mut Orders)) {
        self.control.write(before, write);
        self.control_members();
    }

    /// Whether an order says that this token must not start.
    pub(crate) fn is_to_end(&self, token: &Runnable) -> bool {
        let refusal = self
            .control
            .refuses(&token.view(), false, &self.anchors.chains);
        refusal.is_some()
    }

    /// Makes orders known to all workers, and ends the chosen ones that execute; how many.
    fn end_executing(&self, choose: impl Fn(&TokenView) -> bool, reason: &str) -> usize {
        let members = self.control_members();
        let reason = || reason.to_owned();
        let in_bodies = members
            .iter()
            .map(|member| member.watcher.kill_if(&choose, reason()).claimed);
        let in_bodies: usize = in_bodies.sum();
        let suspended = self.domains.iter();
        let suspended = suspended.map(|domain| domain.kill_suspended_if(&choose, reason));
        in_bodies + suspended.sum::<usize>()
    }
}

#[cfg(all(test, not(tokengate_loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_is_written_late_takes_nothing_back() {
        let (early, late) = (Order::new("early".into()), Order::new("late".into()));
        let before = late.before;
        assert!(early.before < before);
        assert_eq!(early.clone().or(Some(late.clone())).before, before);
        assert_eq!(late.clone().or(Some(early)).before, before);
        assert_eq!(late.or(None).before, before);
    }
}
