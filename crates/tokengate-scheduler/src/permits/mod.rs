//! The limits of a gate: found by name at the call, by number at each start and exit.
//!
//! Numbered by the submit path, taken by workers, released by whoever has ended the token. Keeps: a
//! number stays that of its limit as long as the gate lives. The counts and queues are in `limit.rs`.
#![doc = include_str!("README.md")]

mod limit;

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockWriteGuard, Weak};

use tokengate_token::{Bond, Keeper, Operation, Place, Runnable, forget_permits, set_permits};

pub(crate) use limit::{Change, Limit, Taken};

use crate::domain::{Domain, SHUT_DOWN};
use crate::handle::Handle;
use crate::on_worker::OnWorker;

/// The limits of one gate.
pub(crate) struct Permits {
    /// The number of the gate in the process.
    gate: u16,
    names: RwLock<Names>,
    /// By number, counted from 1; none is ever taken out.
    limits: boxcar::Vec<Limit>,
    /// Where tokens are posted again; set when the domains are made, which hold this.
    domains: OnceLock<Box<[Weak<Domain>]>>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Box<str>, Named>,
    /// The gate ends: new limits are closed from the start.
    closed: bool,
}

/// A limit by its name.
struct Named {
    number: NonZeroU16,
    /// The smallest size that an operation has declared.
    declared: usize,
}

/// A limit of a gate; see [`Handle::limits`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitState {
    /// The group, else the label of the operation.
    pub name: String,
    /// How many tokens may execute at once.
    pub size: usize,
    /// How many execute, or are about to; more than the size for a while after that was lowered.
    pub executing: usize,
    /// How many are set aside until one of these exits.
    pub waiting: usize,
}

impl Permits {
    /// For the gate with this number in the process.
    pub(crate) fn new(gate: u16) -> Self {
        // An earlier gate with this number has ended.
        forget_permits(gate);
        Self {
            gate,
            names: RwLock::default(),
            limits: boxcar::Vec::new(),
            domains: OnceLock::new(),
        }
    }

    /// The domains of the gate, where tokens go on.
    pub(crate) fn set_domains(&self, domains: impl Iterator<Item = Weak<Domain>>) {
        let first = self.domains.set(domains.collect());
        assert!(first.is_ok(), "a gate has its domains once");
    }

    /// The number of an operation's limit, if it has one.
    #[inline]
    pub(crate) fn number(&self, operation: &Operation) -> Option<NonZeroU16> {
        let size = operation.limit()?;
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        match names.by_name.get(operation.limit_name()) {
            Some(named) if named.declared <= size => Some(named.number),
            _ => {
                drop(names);
                Some(self.declare(operation.limit_name(), size))
            }
        }
    }

    /// The limit of a token with this bond.
    pub(crate) fn limit(&self, bond: Bond) -> Option<&Limit> {
        self.limits.get(usize::from(bond.limit?.get()) - 1)
    }

    /// The limit that the token of this runnable holds a permit of.
    pub(crate) fn held_by(&self, runnable: &Runnable) -> Option<NonZeroU16> {
        // Not by its bond, which a killer may have taken.
        let operation = runnable.place().permit.then(|| runnable.operation())?;
        self.number(operation)
    }

    /// Gives a permit back; gives back tokens that could not be posted.
    #[must_use = "they are to be ended"]
    pub(crate) fn release(&self, limit: NonZeroU16) -> Vec<Runnable> {
        let limit = &self.limits[usize::from(limit.get()) - 1];
        limit.release(|runnable| self.post(runnable))
    }

    /// Posts the chosen ones of those that are set aside: they are to end.
    #[must_use = "they are to be ended"]
    pub(crate) fn post_if(&self, choose: impl Fn(&Runnable) -> bool) -> Vec<Runnable> {
        let limits = self.limits.iter();
        limits
            .flat_map(|(_, limit)| limit.post_if(&choose, |runnable| self.post(runnable)))
            .collect()
    }

    /// Takes all that are set aside.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Runnable> {
        self.limits.iter().flat_map(|(_, limit)| limit.take_all())
    }

    /// As [`take_all`](Self::take_all); nothing is set aside from now on.
    pub(crate) fn close(&self) -> impl Iterator<Item = Runnable> {
        self.write().closed = true;
        self.limits.iter().flat_map(|(_, limit)| limit.close())
    }

    /// Whether no token is set aside.
    pub(crate) fn is_idle(&self) -> bool {
        let mut limits = self.limits.iter();
        limits.all(|(_, limit)| limit.snapshot().aside == 0)
    }

    /// Posts a token that was set aside to its domain, all to one core: they keep their order.
    fn post(&self, runnable: Runnable) -> Result<(), Runnable> {
        let domain = runnable.place().domain.map_or(0, usize::from);
        let domain = self.domains.get().and_then(|all| all[domain].upgrade());
        match domain {
            Some(domain) => domain.post(0, runnable),
            None => Err(runnable),
        }
    }

    #[cold]
    fn declare(&self, name: &str, size: usize) -> NonZeroU16 {
        let mut names = self.write();
        let named = self.named(&mut names, name, size);
        named.declared = named.declared.min(size);
        let number = named.number;
        // Under the lock: a smaller size counts before a token that needs it is published.
        let refused = self.resize(number, Change::Declared(size));
        assert!(refused.is_empty(), "a declared size grants nothing");
        number
    }

    /// The limit of this name, made now if need be; whoever asks has the lock.
    fn named<'a>(&self, names: &'a mut Names, name: &str, size: usize) -> &'a mut Named {
        names.by_name.entry(name.into()).or_insert_with(|| {
            // Those beyond the last number share it, and the smallest size: no limit is exceeded.
            let last = usize::from(Bond::MAX_LIMIT) - 1;
            let index = if self.limits.count() > last {
                last
            } else {
                self.limits.push(Limit::new(size, names.closed))
            };
            let number = u16::try_from(index + 1).ok().and_then(NonZeroU16::new);
            Named {
                number: number.expect("at most the last number"),
                declared: usize::MAX,
            }
        })
    }

    fn resize(&self, limit: NonZeroU16, change: Change) -> Vec<Runnable> {
        let resized = |size| set_permits(self.gate, limit, size);
        let limit = &self.limits[usize::from(limit.get()) - 1];
        limit.resize(change, resized, |runnable| self.post(runnable))
    }

    fn set(&self, name: &str, size: usize) -> Vec<Runnable> {
        let number = {
            let mut names = self.write();
            self.named(&mut names, name, size).number
        };
        self.resize(number, Change::Set(size))
    }

    pub(crate) fn states(&self) -> Vec<LimitState> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let state = |(name, number): (&str, NonZeroU16)| {
            let now = self.limits[usize::from(number.get()) - 1].snapshot();
            LimitState {
                name: name.to_owned(),
                size: now.size,
                executing: now.taken,
                waiting: now.aside,
            }
        };
        let numbers = names.by_name.iter();
        let numbers = numbers.map(|(name, named)| (&**name, named.number));
        numbers.map(state).collect()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that the token of this runnable holds no permit any more.
pub(crate) fn take_from(runnable: &Runnable) {
    runnable.set_place(Place {
        permit: false,
        ..runnable.place()
    });
}

impl OnWorker {
    /// Gives the runnable back if it may go on; else it is set aside, or ended.
    pub(crate) fn admit(&self, runnable: Runnable) -> Option<Runnable> {
        let anchors = &self.domain.anchors;
        let Some(limit) = anchors.permits.limit(runnable.bond()) else {
            return Some(runnable);
        };
        if runnable.has_started() {
            return Some(runnable);
        }
        match limit.take(runnable, |token| self.refusal(token).is_some()) {
            Taken::GoesOn(runnable) => return Some(runnable),
            Taken::SetAside => {}
            Taken::Ends(runnable) => {
                if runnable.take_credit() {
                    self.take_credit();
                }
                match self.refusal(&runnable) {
                    // Not those behind it in its lane: each of them is asked for in turn.
                    Some(reason) => {
                        let bond = anchors.give_up(runnable, |it| it.kill(reason.clone()));
                        self.shared.exited(bond);
                    }
                    None => self.shared.count_purged(anchors.kill(runnable, SHUT_DOWN)),
                }
            }
        }
        None
    }
}

impl Handle {
    /// Changes how many tokens of an operation, or of a group, may execute at once.
    ///
    /// `name` is the group, else the label of the operation; the size counts from now on, whatever
    /// operations declare, and for operations that are called later too. It has no effect on
    /// operations that declare no limit. A size of 0 counts as 1: to hold an operation back, pause it.
    ///
    /// Made greater, tokens that wait start at once; made smaller, those that execute finish.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Operation, Plain, Scheduler};
    /// static FETCH: Operation = Operation::new("fetch").with_limit(2);
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle();
    /// handle.set_limit("fetch", 8);
    /// assert_eq!(handle.submit(&FETCH, Plain::new(|| 7)).get()?, 7);
    /// assert_eq!(handle.limits()[0].size, 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_limit(&self, name: &str, size: usize) {
        for refused in self.shared.anchors.permits.set(name, size.max(1)) {
            self.shared.anchors.kill(refused, SHUT_DOWN);
        }
    }

    /// The limits that operations were called with so far, or that were set; in no order.
    pub fn limits(&self) -> Vec<LimitState> {
        self.shared.anchors.permits.states()
    }
}
