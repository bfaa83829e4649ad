//! The list of contenders: who takes part in which scenario, and how each is started.
//!
//! The bench fills it with the [built-in](built_in()) contenders and the user's; the scenarios start theirs
//! from it. A contender can be started for plain tokens, for tokens with keys and for leads with children; a
//! scenario starts those of its kind.

mod any;
mod built_in;

use std::rc::Rc;

pub(crate) use self::any::{AnyContender, AnyKeyed};
pub(crate) use self::built_in::built_in;

use crate::contender::{Contender, Handles, Unable};
use crate::contenders::chain::Chains;
use crate::keyed::{KeyedContender, Locked, Order};
use crate::scenarios::Scenario;

/// A contender that can be started.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) handles: Handles,
    /// Of tokens with the same key.
    pub(crate) order: Order,
    scenarios: &'static [Scenario],
    start: Option<Start>,
    start_measuring: Option<Start>,
    start_roomy: Option<StartRoomy>,
    start_keyed: Option<Start<dyn AnyKeyed>>,
    start_chains: Option<Start<dyn Chains>>,
}

type Start<C = dyn AnyContender> = Box<dyn Fn() -> Result<Box<C>, Unable>>;

/// Starts a contender with room for so many tokens that have not started.
type StartRoomy = Box<dyn Fn(usize) -> Result<Box<dyn AnyContender>, Unable>>;

/// A contender that runs.
pub(crate) struct Running<C: ?Sized = dyn AnyContender> {
    pub(crate) name: String,
    pub(crate) order: Order,
    pub(crate) contender: Box<C>,
}

/// A contender that this machine cannot run, and why.
#[derive(Debug)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Entry {
    /// A contender for the given scenarios; where there are keys it takes a mutex for each.
    pub(crate) fn new<C: Contender + 'static>(
        name: &str,
        handles: Handles,
        scenarios: &'static [Scenario],
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        let start = Rc::new(start);
        let start_locked = start.clone();
        Self {
            start: Some(Box::new(move || Ok(Box::new(start()?)))),
            start_keyed: Some(Box::new(move || Ok(Box::new(Locked(start_locked()?))))),
            ..Self::bare(name, handles, scenarios)
        }
    }

    /// A contender for tokens with keys only.
    fn keyed<C: KeyedContender + 'static>(
        name: &str,
        handles: Handles,
        order: Order,
        scenarios: &'static [Scenario],
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        Self::bare(name, handles, scenarios).with_keys(order, start)
    }

    /// A contender for `chain` only.
    fn chains<C: Chains + 'static>(
        name: &str,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        Self::bare(name, Handles::Each, &[Scenario::Chain]).with_chains(start)
    }

    /// A contender that cannot be started yet.
    fn bare(name: &str, handles: Handles, scenarios: &'static [Scenario]) -> Self {
        Self {
            name: name.to_owned(),
            handles,
            order: Order::Free,
            scenarios,
            start: None,
            start_measuring: None,
            start_roomy: None,
            start_keyed: None,
            start_chains: None,
        }
    }

    /// Starts the contender in this way where there are keys.
    fn with_keys<C: KeyedContender + 'static>(
        mut self,
        order: Order,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        self.order = order;
        self.start_keyed = Some(Box::new(move || Ok(Box::new(start()?))));
        self
    }

    /// Starts the contender in this way where bodies create children.
    fn with_chains<C: Chains + 'static>(
        mut self,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        self.start_chains = Some(Box::new(move || Ok(Box::new(start()?))));
        self
    }

    /// Starts the contender in this way where figures are wanted that it measures itself.
    fn measuring<C: Contender + 'static>(
        mut self,
        start: impl Fn() -> Result<C, Unable> + 'static,
    ) -> Self {
        self.start_measuring = Some(Box::new(move || Ok(Box::new(start()?))));
        self
    }

    /// Starts the contender in this way where it must hold many tokens that have not started.
    fn roomy<C: Contender + 'static>(
        mut self,
        start: impl Fn(usize) -> Result<C, Unable> + 'static,
    ) -> Self {
        self.start_roomy = Some(Box::new(move |tokens| Ok(Box::new(start(tokens)?))));
        self
    }

    /// True if it can be started with room for a number of tokens that have not started.
    pub(crate) fn makes_room(&self) -> bool {
        self.start_roomy.is_some()
    }

    /// Starts it alone, with such room if that is wanted and can be asked for.
    ///
    /// # Errors
    ///
    /// If this machine cannot run it, or it runs tokens of another kind only.
    pub(crate) fn start_alone(&self, room: Option<usize>) -> Result<Box<dyn AnyContender>, Unable> {
        match (&self.start_roomy, &self.start, room) {
            (Some(start), _, Some(tokens)) => start(tokens),
            (_, Some(start), _) => start(),
            (_, None, _) => Err(Unable(format!("{} runs no plain tokens", self.name))),
        }
    }

    /// True if it takes part in the scenario.
    pub(crate) fn takes_part_in(&self, scenario: Scenario) -> bool {
        self.scenarios.contains(&scenario)
    }
}

/// Starts the entries that run plain tokens; those that cannot run come back as skipped.
pub(crate) fn start<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running>, Vec<Skipped>) {
    start_by(entries, |entry| entry.start.as_ref())
}

/// Starts those entries that can measure themselves, in the way in which they do.
pub(crate) fn start_measuring<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running>, Vec<Skipped>) {
    start_by(entries, |entry| entry.start_measuring.as_ref())
}

/// Starts those entries that run keyed tokens, in the way in which they do.
pub(crate) fn start_keyed<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running<dyn AnyKeyed>>, Vec<Skipped>) {
    start_by(entries, |entry| entry.start_keyed.as_ref())
}

/// Starts those entries whose bodies create children.
pub(crate) fn start_chains<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
) -> (Vec<Running<dyn Chains>>, Vec<Skipped>) {
    start_by(entries, |entry| entry.start_chains.as_ref())
}

fn start_by<'a, C: ?Sized + 'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    way: impl Fn(&'a Entry) -> Option<&'a Start<C>>,
) -> (Vec<Running<C>>, Vec<Skipped>) {
    let (mut running, mut skipped) = (Vec::new(), Vec::new());
    for entry in entries {
        let Some(start) = way(entry) else { continue };
        let (name, order) = (entry.name.clone(), entry.order);
        match start() {
            Ok(contender) => running.push(Running {
                name,
                order,
                contender,
            }),
            Err(Unable(reason)) => skipped.push(Skipped { name, reason }),
        }
    }
    (running, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contenders::serial::Serial;

    #[test]
    fn a_contender_that_cannot_run_is_skipped_with_its_reason() {
        let entries = [
            Entry::new("able", Handles::None, Scenario::ALL, || Ok(Serial)),
            Entry::new("unable", Handles::None, Scenario::ALL, || {
                Err::<Serial, _>(Unable("no io_uring".into()))
            }),
        ];
        let (running, skipped) = start(&entries);
        assert_eq!(running.len(), 1);
        assert_eq!(skipped[0].name, "unable");
        assert_eq!(skipped[0].reason, "no io_uring");
    }
}
