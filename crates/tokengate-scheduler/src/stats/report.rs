//! The report: what was counted, put together by gate, domain and operation.
//!
//! Made by `Handle::stats`. Not one moment's picture: the parts are read one after the other while
//! the gate goes on. Ends are read before beginnings, so nothing ends that was not made.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokengate_token::{Operation, TokenView};

use crate::handle::Handle;
use crate::permits::LimitState;
use crate::shared::Shared;
use crate::stats::executing::Executing;
use crate::stats::figures::Figures;
use crate::stats::ledger::Counted;
use crate::stats::waits::OldWait;

/// What a gate did from its start, or since an earlier report, and what it is at.
///
/// Its `Display` form is a report to read.
#[derive(Clone, Debug)]
pub struct Stats {
    taken: Instant,
    total: Figures,
    domains: Vec<Figures>,
    operations: BTreeMap<&'static str, Figures>,
    executing: Vec<Executing>,
    old_waits: Vec<OldWait>,
    limits: Vec<LimitState>,
    paused: usize,
    pins: usize,
    waiting_in_lanes: usize,
    chains: usize,
    undeclared: BTreeMap<&'static str, u64>,
    parks: u64,
    unparks: u64,
}

impl Handle {
    /// What the gate did since its start, and what it is at.
    ///
    /// Costs a look at each worker, as [`executing`](Self::executing), at each pinned key, live chain
    /// and suspended body, and the merging of what was timed: some 100 microseconds for each worker
    /// and ten operations. Nothing of it stops a worker for more than some microseconds. Counting
    /// costs each token some ten instructions.
    ///
    /// ```
    /// use tokengate_scheduler::{Config, Scheduler};
    /// let scheduler = Scheduler::start(Config::default())?;
    /// let handle = scheduler.handle();
    /// handle.spawn("double", || 21 * 2).get()?;
    /// let stats = handle.stats();
    /// assert_eq!(stats.operation("double").map(|it| it.created()), Some(1));
    /// println!("{stats}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stats(&self) -> Stats {
        Stats::of(&self.shared)
    }
}

impl Stats {
    fn of(gate: &Shared) -> Self {
        let taken = Instant::now();
        let anchors = &gate.anchors;
        let unparks = gate
            .domains
            .iter()
            .map(|domain| domain.unparks.load(Relaxed) as u64);
        let members = gate.members();
        let mut stats = Self {
            taken,
            total: Figures::empty(gate, taken),
            domains: vec![Figures::empty(gate, taken); gate.domains.len()],
            operations: BTreeMap::new(),
            executing: gate.executing(),
            old_waits: gate.old_waits(),
            limits: anchors.permits.states(),
            paused: gate.control.pauses.len(),
            pins: anchors.keys.pinned(),
            waiting_in_lanes: anchors.waiting_in_lanes(),
            chains: anchors.chains.snapshot().len(),
            undeclared: anchors.chains.undeclared(),
            parks: members.iter().map(|member| member.parks()).sum(),
            unparks: unparks.sum(),
        };
        stats.add_present(gate);
        stats.add_counts(gate);
        stats.each_figures(|it| it.in_flight = it.created.saturating_sub(it.ended()));
        for member in &members {
            let domain = member.worker.map(|worker| worker.domain);
            member.times.read(|operation, timed| {
                stats.each(gate, operation, domain, |figures| figures.timed.add(timed));
            });
        }
        stats
    }

    /// What executes and what is suspended.
    fn add_present(&mut self, gate: &Shared) {
        let executing = self.executing.clone();
        let on_a_stack: HashSet<_> = executing.iter().map(|token| token.id).collect();
        for token in executing {
            self.each(gate, token.operation, Some(token.domain), |figures| {
                figures.executing += 1;
                figures.zombies += u64::from(token.zombie.is_some());
            });
        }
        for (index, domain) in gate.domains.iter().enumerate() {
            domain.each_seated(|token: &TokenView| {
                if !on_a_stack.contains(&token.id) {
                    self.each(gate, token.operation, Some(index), |it| it.suspended += 1);
                }
            });
        }
    }

    fn add_counts(&mut self, gate: &Shared) {
        for entry in gate.anchors.ledger.read() {
            let domain = entry.domain.map(usize::from);
            self.each(gate, entry.operation, domain, |figures| match entry.what {
                Counted::Made(count) => figures.created += count,
                Counted::Outside(count) => figures.outside += count,
                Counted::Ended(outcomes) => {
                    let all = figures.ended.iter_mut().zip(outcomes);
                    all.for_each(|(own, count)| *own += count);
                    if entry.domain.is_none() {
                        // Refused before it was counted as made.
                        figures.created += outcomes.iter().sum::<u64>();
                    }
                }
            });
        }
    }

    /// Adds something to the figures that it belongs to.
    fn each(
        &mut self,
        gate: &Shared,
        operation: &'static Operation,
        domain: Option<usize>,
        add: impl Fn(&mut Figures),
    ) {
        add(&mut self.total);
        if let Some(domain) = domain {
            add(&mut self.domains[domain]);
        }
        let of_operation = self.operations.entry(operation.label());
        add(of_operation.or_insert_with(|| Figures::empty(gate, self.taken)));
    }

    /// What came after an earlier report of the same gate; what is in flight is as it is now.
    ///
    /// # Panics
    ///
    /// If `earlier` is not an earlier report of the same gate.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut since = self.clone();
        since.total.subtract(&earlier.total);
        for (own, earlier) in since.domains.iter_mut().zip(&earlier.domains) {
            own.subtract(earlier);
        }
        for (label, earlier) in &earlier.operations {
            if let Some(own) = since.operations.get_mut(label) {
                own.subtract(earlier);
            }
        }
        let elapsed = self.taken - earlier.taken;
        since.each_figures(|figures| figures.elapsed = elapsed);
        since.parks -= earlier.parks;
        since.unparks -= earlier.unparks;
        since
    }

    fn each_figures(&mut self, change: impl FnMut(&mut Figures)) {
        std::iter::once(&mut self.total)
            .chain(&mut self.domains)
            .chain(self.operations.values_mut())
            .for_each(change);
    }
}

impl Figures {
    fn empty(gate: &Shared, taken: Instant) -> Self {
        Self {
            elapsed: taken - gate.started,
            stride: gate.stride,
            ..Self::default()
        }
    }
}

impl Stats {
    /// The time covered.
    pub fn elapsed(&self) -> Duration {
        self.total.elapsed
    }

    /// Of the whole gate.
    pub fn total(&self) -> &Figures {
        &self.total
    }

    /// Of each domain. Tokens that were refused before they had one are in the total only.
    pub fn domains(&self) -> &[Figures] {
        &self.domains
    }

    /// Of each operation that was called, by label.
    pub fn operations(&self) -> impl Iterator<Item = (&'static str, &Figures)> {
        self.operations
            .iter()
            .map(|(label, figures)| (*label, figures))
    }

    /// Of one operation, if it was called.
    pub fn operation(&self, label: &str) -> Option<&Figures> {
        self.operations.get(label)
    }

    /// What executes, as [`Handle::executing`].
    pub fn executing(&self) -> &[Executing] {
        &self.executing
    }

    /// Those that were killed or timed out and whose bodies go on.
    ///
    /// Each holds its worker, and its lane, pin and chain, until the body returns.
    pub fn zombies(&self) -> impl Iterator<Item = &Executing> {
        let executing = self.executing.iter();
        executing.filter(|token| token.zombie.is_some())
    }

    /// The blocking waits of bodies that have lasted long, the oldest first.
    ///
    /// From [`Config::old_wait`](crate::Config::old_wait) on. Waits with `.await` hold no worker, and are
    /// not among them.
    pub fn old_waits(&self) -> &[OldWait] {
        &self.old_waits
    }

    /// The limits, as [`Handle::limits`].
    pub fn limits(&self) -> &[LimitState] {
        &self.limits
    }

    /// How many tokens a pause has set aside.
    pub fn paused(&self) -> usize {
        self.paused
    }

    /// How many sticky keys are pinned.
    pub fn pins(&self) -> usize {
        self.pins
    }

    /// How many tokens wait behind others in lanes of serial keys: those that workers came upon.
    pub fn waiting_in_lanes(&self) -> usize {
        self.waiting_in_lanes
    }

    /// How many chains live.
    pub fn chains(&self) -> usize {
        self.chains
    }

    /// How often each operation was called from the body of a lead that does not declare it.
    pub fn undeclared(&self) -> &BTreeMap<&'static str, u64> {
        &self.undeclared
    }

    /// How often a worker parked.
    pub fn parks(&self) -> u64 {
        self.parks
    }

    /// How often a worker was unparked.
    pub fn unparks(&self) -> u64 {
        self.unparks
    }
}
