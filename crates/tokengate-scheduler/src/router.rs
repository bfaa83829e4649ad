//! Which core a token goes to: weight range, position, now and then the shorter of two queues.
//!
//! Called once for each call, with the position counter of the calling thread. Keeps: a token stays
//! in the range of its weight, or in a domain that is lent and idle. It posts nothing.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokengate_token::Weight;

use crate::domain::Domain;
use crate::topology::Plan;

/// Every so many calls of a thread two candidates are compared. A prime, so that it is in step
/// with no number of cores.
const COMPARE_EVERY: usize = 31;

/// How much longer a queue must be before the other is taken: below that, order beats balance.
const CLEARLY_LONGER: usize = 64;

/// More keys than so many for each core are balanced by their number.
const MANY_KEYS: usize = 16;

/// A core, as an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) domain: u16,
    /// Index of the mailbox in the domain.
    pub(crate) core: u16,
    /// Index of the core among those of all domains.
    flat: u16,
}

impl Position {
    pub(crate) fn new(domain: usize, core: usize, flat: usize) -> Self {
        // A plan has at most `MAX_CPUS` cores, so all of these fit.
        Self {
            domain: domain as u16,
            core: core as u16,
            flat: flat as u16,
        }
    }

    pub(crate) fn flat_index(self) -> usize {
        usize::from(self.flat)
    }
}

/// What a weight may use: all cores in rotation, each its own or lent.
struct Range {
    /// The cores of its own domains, first those of the domains that lighter weights may not use.
    own: Box<[Position]>,
    /// Of the cores of all domains, whether each is one of `own`.
    is_own: Box<[bool]>,
    /// How many of `own` are closed to lighter weights, if that is not all of them.
    reserved: usize,
    /// Cores of domains that are lent while they are idle.
    borrowable: Box<[Position]>,
}

/// The routes of one gate.
pub(crate) struct Router {
    heavy: Range,
    medium: Range,
    light: Range,
}

/// A thread's place in the rotation.
pub(crate) struct Rotation {
    next: Cell<usize>,
    until_comparison: Cell<usize>,
    /// For keys that are placed.
    next_key: Cell<usize>,
}

impl Rotation {
    /// Starts at a place of its own, so that threads do not go round in step.
    pub(crate) fn new() -> Self {
        static STAGGER: AtomicUsize = AtomicUsize::new(0);
        // Relaxed: any distinct numbers will do.
        let start = STAGGER.fetch_add(1, Relaxed);
        Self {
            next: Cell::new(start),
            next_key: Cell::new(start),
            until_comparison: Cell::new(COMPARE_EVERY),
        }
    }

    pub(crate) fn next(&self) -> usize {
        let next = self.next.get();
        self.next.set(next.wrapping_add(1));
        next
    }

    fn next_key(&self) -> usize {
        let next = self.next_key.get();
        self.next_key.set(next.wrapping_add(1));
        next
    }

    fn is_time_to_compare(&self) -> bool {
        let left = self.until_comparison.get() - 1;
        self.until_comparison
            .set(if left == 0 { COMPARE_EVERY } else { left });
        left == 0
    }
}

/// Whose turn it is among so many: in each round everybody once, each round from another start.
///
/// A fixed order would be in step with callers that go through their operations in a fixed order:
/// one core would get all of the long ones.
#[inline]
fn in_turn(turn: usize, len: usize) -> usize {
    let (round, place) = (turn / len, turn % len);
    let index = spread(round, len) + place;
    if index < len { index } else { index - len }
}

/// One of so many, each about as often as the others; cheaper than [`in_turn`].
///
/// By Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, 6.4): multiples of the golden
/// ratio are spread evenly, also if one looks at every k-th of them only.
#[inline]
fn spread(number: usize, len: usize) -> usize {
    let spread = u64::from((number as u32).wrapping_mul(0x9E37_79B9));
    ((spread * len as u64) >> 32) as usize
}

impl Router {
    pub(crate) fn new(plan: &Plan) -> Self {
        let positions = |domains: &[usize]| -> Box<[Position]> {
            let cores = |&domain: &usize| {
                let cores = plan.domains()[domain].cores.iter().enumerate();
                // A plan has at most `MAX_CPUS` cores, so all of these fit.
                cores.map(move |(core, planned)| Position {
                    domain: domain as u16,
                    core: core as u16,
                    flat: (planned.number - 1) as u16,
                })
            };
            domains.iter().flat_map(cores).collect()
        };
        let range = |weight: Weight| {
            let ranges = plan.ranges();
            let own = ranges.own(weight);
            let reserved = ranges.reserved(weight);
            let rest: Vec<usize> = own
                .iter()
                .copied()
                .filter(|domain| !reserved.contains(domain))
                .collect();
            // A range that is all reserved has nothing to lean to.
            let leans = !rest.is_empty();
            let own = positions(&[reserved, &rest].concat());
            let cores = plan.domains().iter().map(|domain| domain.cores.len()).sum();
            let mut is_own = vec![false; cores];
            own.iter().for_each(|core| is_own[core.flat_index()] = true);
            Range {
                own,
                is_own: is_own.into(),
                reserved: if leans { positions(reserved).len() } else { 0 },
                borrowable: positions(ranges.borrowable(weight)),
            }
        };
        Self {
            heavy: range(Weight::Heavy),
            medium: range(Weight::Medium),
            light: range(Weight::Light),
        }
    }

    fn range(&self, weight: Weight) -> &Range {
        match weight {
            Weight::Heavy => &self.heavy,
            Weight::Medium => &self.medium,
            Weight::Light => &self.light,
        }
    }

    /// The core for the next token of this weight from the thread with this rotation.
    #[inline]
    pub(crate) fn route(
        &self,
        weight: Weight,
        rotation: &Rotation,
        domains: &[Arc<Domain>],
    ) -> Position {
        let range = self.range(weight);
        if let [only] = *range.own
            && range.borrowable.is_empty()
        {
            return only;
        }
        let turn = rotation.next();
        if !range.borrowable.is_empty()
            && let Some(lent) = range.lent(turn, domains)
        {
            return lent;
        }
        let candidate = range.own[in_turn(turn, range.own.len())];
        if rotation.is_time_to_compare() || range.reserved > 0 {
            return range.shorter(candidate, turn, domains);
        }
        candidate
    }
}

impl Router {
    /// Whether a core is in the range of a weight.
    #[inline]
    pub(crate) fn is_in_range(&self, weight: Weight, core: Position) -> bool {
        self.range(weight).is_own[core.flat_index()]
    }

    /// The core for a new key: of two candidates the one with less queued work, with what the caller
    /// has deferred for each. Keys stay, so none goes to a domain that is only lent, and each one counts.
    pub(crate) fn route_key(
        &self,
        weight: Weight,
        rotation: &Rotation,
        domains: &[Arc<Domain>],
        deferred: impl Fn(Position) -> usize,
    ) -> Position {
        let range = self.range(weight);
        if let [only] = *range.own {
            return only;
        }
        // One core after the other: of keys that come at one time each gets as many.
        let turn = rotation.next_key();
        let place = turn % range.own.len();
        let (candidate, rival) = (range.own[place], range.rival(turn, place));
        let work = |core: Position| domains[usize::from(core.domain)].work() + deferred(core);
        // A reserved core need only be no worse.
        let enough = work(candidate) + usize::from(range.reserved > 0);
        if work(rival) < enough {
            rival
        } else {
            candidate
        }
    }
}

impl Router {
    /// Whether a key of this weight may as well stay, though it were free to go: another core, each in
    /// its turn, is not idle while its own is busy, and has no clearly shorter queue.
    ///
    /// For one of so many keys. Of few each one counts for the balance: those do not stay.
    #[inline]
    pub(crate) fn keeps(
        &self,
        weight: Weight,
        at: Position,
        keys: usize,
        rotation: &Rotation,
        domains: &[Arc<Domain>],
    ) -> bool {
        let range = self.range(weight);
        let cores = range.own.len();
        if !range.is_own[at.flat_index()] || cores == 1 {
            return range.is_own[at.flat_index()];
        }
        if keys <= MANY_KEYS * cores {
            return false;
        }
        let other = range.own[spread(rotation.next(), cores)];
        let domain_of = |core: Position| &domains[usize::from(core.domain)];
        if domain_of(other).is_idle() {
            return domain_of(at).is_idle();
        }
        let queued = |core: Position| {
            let domain = domain_of(core);
            domain.mailboxes[usize::from(core.core)]
                .queued_lately(CLEARLY_LONGER, || domain.waiting_in_lanes())
        };
        let queued_here = queued(at);
        queued_here <= CLEARLY_LONGER || queued_here <= CLEARLY_LONGER + queued(other)
    }
}

impl Range {
    /// A lent core, if it is its turn and its domain is idle.
    fn lent(&self, turn: usize, domains: &[Arc<Domain>]) -> Option<Position> {
        // One rotation over own and borrowed cores, so that each gets its share.
        let place = in_turn(turn, self.own.len() + self.borrowable.len());
        let lent = self.borrowable.get(place)?;
        domains[usize::from(lent.domain)].is_idle().then_some(*lent)
    }

    /// The candidate, unless another core's queue is clearly shorter; a reserved core's need only
    /// be no longer.
    #[cold]
    fn shorter(&self, candidate: Position, turn: usize, domains: &[Arc<Domain>]) -> Position {
        let margin = if self.reserved > 0 { 0 } else { CLEARLY_LONGER };
        let load = |core: Position| domains[usize::from(core.domain)].load();
        let rival = self.rival(turn, in_turn(turn, self.own.len()));
        if load(rival) + margin <= load(candidate) {
            rival
        } else {
            candidate
        }
    }

    /// What the candidate of this turn, which has this place, is compared with: a reserved core, if there
    /// are any.
    fn rival(&self, turn: usize, place: usize) -> Position {
        if self.reserved > 0 {
            return self.own[in_turn(turn, self.reserved)];
        }
        // Not the same place in the order: as one core after the other has its turn to be the
        // candidate, so have the others to be what it is compared with.
        let others = self.own.len() - 1;
        let shift = 1 + if others == 0 {
            0
        } else {
            turn / self.own.len() % others
        };
        self.own[(place + shift) % self.own.len()]
    }
}

#[cfg(test)]
mod tests;
