//! Which domains the tokens of a weight may go to, and which they may borrow when those are idle.
//!
//! Set by the user of a scheduler, resolved by [`Plan::new`](super::Plan::new), read by the router
//! for every token. Its invariants: a weight always has at least one domain of its own, and it
//! borrows only what is reserved to heavier weights. Whether a domain is idle at the moment is for
//! the router to see.

use tokengate_token::Weight;

use super::domains::PlannedDomain;
use super::error::PlanError;

/// From this number of domains on, the default ranges keep some of them for heavier weights.
const DOMAINS_WORTH_RESERVING: usize = 4;

/// The cores that each weight may use: from a core, counted from 1, up to the last.
///
/// By default heavy tokens use all cores, medium ones core 2 and up, light ones core 3 and up, so
/// that some core is never behind a queue of light work. A domain belongs to a range if its
/// lowest-numbered core does. With fewer than 4 domains a reservation costs more than it gives, and
/// by default all weights use all of them; from 4 up a reserved domain is *lent* to lower weights
/// while it is idle.
///
/// # Examples
///
/// ```
/// use tokengate_scheduler::topology::{Domains, Machine, Plan, WeightRanges};
/// use tokengate_token::Weight;
///
/// let light_in_the_back = WeightRanges::default().light_from(7).with_lending(false);
/// let plan = Plan::new(&Machine::flat(8), &Domains::PerCore, &light_in_the_back)?;
/// assert_eq!(plan.ranges().own(Weight::Light), [6, 7]);
/// # Ok::<(), tokengate_scheduler::topology::PlanError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightRanges {
    heavy_from: usize,
    medium_from: usize,
    light_from: usize,
    lending: bool,
    /// Whether the ranges hold below [`DOMAINS_WORTH_RESERVING`] too.
    at_any_count: bool,
}

impl Default for WeightRanges {
    fn default() -> Self {
        Self {
            heavy_from: 1,
            medium_from: 2,
            light_from: 3,
            lending: true,
            at_any_count: false,
        }
    }
}

impl WeightRanges {
    /// Ranges from the given cores up; they hold for any number of domains and are lent.
    ///
    /// Equal numbers give weights the same cores. A range that starts beyond the last domain falls
    /// back to that of the next heavier weight, and the heavy one to all domains.
    #[must_use]
    pub fn new(heavy_from: usize, medium_from: usize, light_from: usize) -> Self {
        Self {
            heavy_from,
            medium_from,
            light_from,
            lending: true,
            at_any_count: true,
        }
    }

    /// The default cores, for any number of domains, and never lent.
    ///
    /// For work whose heavy tokens must find an idle core at once; costs throughput where there
    /// are few heavy tokens.
    #[must_use]
    pub fn strict() -> Self {
        Self {
            lending: false,
            ..Self::new(1, 2, 3)
        }
    }

    /// Moves the start of the heavy range; from now on the ranges hold for any number of domains.
    #[must_use]
    pub fn heavy_from(self, core: usize) -> Self {
        Self {
            heavy_from: core,
            at_any_count: true,
            ..self
        }
    }

    /// Moves the start of the medium range; from now on the ranges hold for any number of domains.
    #[must_use]
    pub fn medium_from(self, core: usize) -> Self {
        Self {
            medium_from: core,
            at_any_count: true,
            ..self
        }
    }

    /// Moves the start of the light range; from now on the ranges hold for any number of domains.
    #[must_use]
    pub fn light_from(self, core: usize) -> Self {
        Self {
            light_from: core,
            at_any_count: true,
            ..self
        }
    }

    /// Whether lower weights may use idle domains that are reserved to heavier ones.
    #[must_use]
    pub fn with_lending(self, lending: bool) -> Self {
        Self { lending, ..self }
    }

    fn from(&self, weight: Weight) -> usize {
        match weight {
            Weight::Heavy => self.heavy_from,
            Weight::Medium => self.medium_from,
            Weight::Light => self.light_from,
        }
    }

    /// The ranges of these domains; what differs from what was asked goes into `notes`.
    pub(super) fn resolve(
        &self,
        domains: &[PlannedDomain],
        notes: &mut Vec<String>,
    ) -> Result<Ranges, PlanError> {
        if let Some(weight) = Weight::ALL
            .into_iter()
            .find(|&weight| self.from(weight) == 0)
        {
            return Err(PlanError::CoreZero { weight });
        }
        let all: Vec<usize> = (0..domains.len()).collect();
        if !self.at_any_count && all.len() < DOMAINS_WORTH_RESERVING {
            if all.len() > 1 {
                notes.push(format!(
                    "below {DOMAINS_WORTH_RESERVING} domains all weights use all of them: \
                     WeightRanges::strict() keeps them apart"
                ));
            }
            return Ok(Ranges::new([all.clone(), all.clone(), all], self.lending));
        }
        let mut wider = ("all domains".to_owned(), all);
        let own = Weight::ALL.map(|weight| {
            let from = self.from(weight);
            let reaches = |domain: &usize| domains[*domain].lowest_core() >= from;
            let mut own: Vec<usize> = (0..domains.len()).filter(reaches).collect();
            if own.is_empty() {
                let (name, domains) = &wider;
                notes.push(format!(
                    "no domain starts at core {from} or up: {weight} tokens use {name}"
                ));
                own.clone_from(domains);
            }
            wider = (format!("the {weight} range"), own.clone());
            own
        });
        let ranges = Ranges::new(own, self.lending);
        let reached = |domain: &usize| {
            Weight::ALL
                .iter()
                .any(|&weight| ranges.own(weight).binary_search(domain).is_ok())
        };
        for domain in (0..domains.len()).filter(|domain| !reached(domain)) {
            notes.push(format!(
                "domain {} is in no weight range: only keys and chains lead there",
                domain + 1
            ));
        }
        Ok(ranges)
    }
}

/// For each weight the domains that its tokens may go to, as indices from 0, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges {
    heavy: Range,
    medium: Range,
    light: Range,
    lending: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    own: Vec<usize>,
    reserved: Vec<usize>,
    borrowable: Vec<usize>,
}

impl Ranges {
    /// The domains of this weight; never empty.
    #[must_use]
    pub fn own(&self, weight: Weight) -> &[usize] {
        &self.range(weight).own
    }

    /// Those of its own domains that no lighter weight may use: tokens of this weight lean to them.
    ///
    /// Empty where the lighter weights share all; for the lightest weight all that it owns.
    #[must_use]
    pub fn reserved(&self, weight: Weight) -> &[usize] {
        &self.range(weight).reserved
    }

    /// Domains of heavier weights that this one may use while they are idle.
    ///
    /// Empty without lending, and for the heaviest weight.
    #[must_use]
    pub fn borrowable(&self, weight: Weight) -> &[usize] {
        &self.range(weight).borrowable
    }

    /// Whether idle domains are lent to lower weights at all.
    #[must_use]
    pub fn lending(&self) -> bool {
        self.lending
    }

    /// From the own domains of heavy, medium and light.
    fn new([heavy, medium, light]: [Vec<usize>; 3], lending: bool) -> Self {
        let range = |own: &Vec<usize>, heavier: &[&Vec<usize>], lighter: &[&Vec<usize>]| {
            let mut borrowable: Vec<usize> = Vec::new();
            if lending {
                borrowable = heavier.iter().copied().flatten().copied().collect();
                borrowable.retain(|domain| own.binary_search(domain).is_err());
                borrowable.sort_unstable();
                borrowable.dedup();
            }
            let kept = |domain: &&usize| {
                !lighter
                    .iter()
                    .any(|range| range.binary_search(domain).is_ok())
            };
            Range {
                own: own.clone(),
                reserved: own.iter().filter(kept).copied().collect(),
                borrowable,
            }
        };
        Self {
            heavy: range(&heavy, &[], &[&medium, &light]),
            medium: range(&medium, &[&heavy], &[&light]),
            light: range(&light, &[&heavy, &medium], &[]),
            lending,
        }
    }

    fn range(&self, weight: Weight) -> &Range {
        match weight {
            Weight::Heavy => &self.heavy,
            Weight::Medium => &self.medium,
            Weight::Light => &self.light,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Domains, Machine, Plan};
    use super::*;

    fn plan(machine: &Machine, domains: &Domains) -> Plan {
        Plan::new(machine, domains, &WeightRanges::default()).expect("the plan can be made")
    }

    fn own(plan: &Plan) -> [Vec<usize>; 3] {
        Weight::ALL.map(|weight| plan.ranges().own(weight).to_vec())
    }

    fn borrowable(plan: &Plan) -> [Vec<usize>; 3] {
        Weight::ALL.map(|weight| plan.ranges().borrowable(weight).to_vec())
    }

    #[test]
    fn default_ranges_reserve_and_lend_from_four_domains_on() {
        let of = |domains| plan(&Machine::flat(domains), &Domains::PerCore);
        for few in 1..4 {
            let all: Vec<usize> = (0..few).collect();
            assert_eq!(own(&of(few)), [all.clone(), all.clone(), all]);
            assert_eq!(borrowable(&of(few)), [[], [], [] as [usize; 0]]);
            assert_eq!(of(few).notes().len(), usize::from(few > 1));
        }
        let four = of(4);
        assert_eq!(own(&four), [vec![0, 1, 2, 3], vec![1, 2, 3], vec![2, 3]]);
        assert_eq!(borrowable(&four), [vec![], vec![0], vec![0, 1]]);
        let reserved = Weight::ALL.map(|weight| four.ranges().reserved(weight).to_vec());
        assert_eq!(reserved, [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn strict_ranges_hold_at_any_count_and_lend_nothing() {
        let of = |domains| {
            Plan::new(
                &Machine::flat(domains),
                &Domains::PerCore,
                &WeightRanges::strict(),
            )
            .unwrap()
        };
        assert_eq!(own(&of(1)), [[0], [0], [0]]);
        assert_eq!(own(&of(2)), [vec![0, 1], vec![1], vec![1]]);
        assert_eq!(
            of(2).notes(),
            ["no domain starts at core 3 or up: light tokens use the medium range"]
        );
        assert_eq!(own(&of(3)), [vec![0, 1, 2], vec![1, 2], vec![2]]);
        assert_eq!(
            own(&of(5)),
            [vec![0, 1, 2, 3, 4], vec![1, 2, 3, 4], vec![2, 3, 4]]
        );
        assert_eq!(borrowable(&of(5)), [[], [], [] as [usize; 0]]);
        let line = "  1       1      1        0     yes    -       -\n";
        assert!(of(2).to_string().contains(line), "{}", of(2));
    }

    #[test]
    fn ranges_can_be_set_freely() {
        let of = |domains, ranges| {
            Plan::new(&Machine::flat(domains), &Domains::PerCore, &ranges).unwrap()
        };
        // Set by hand, they hold below four domains too, and are lent.
        let two = of(2, WeightRanges::default().light_from(2));
        assert_eq!(own(&two), [vec![0, 1], vec![1], vec![1]]);
        assert_eq!(borrowable(&two), [vec![], vec![0], vec![0]]);
        // Light work in front: a weight borrows from heavier ones only.
        let front = of(4, WeightRanges::new(3, 4, 1));
        assert_eq!(own(&front), [vec![2, 3], vec![3], vec![0, 1, 2, 3]]);
        assert_eq!(borrowable(&front), [vec![], vec![2], vec![]]);
        assert_eq!(front.ranges().reserved(Weight::Heavy), [] as [usize; 0]);
        // All beyond the machine: every weight falls back to all domains.
        let beyond = of(2, WeightRanges::new(9, 8, 7));
        assert_eq!(own(&beyond), [[0, 1], [0, 1], [0, 1]]);
        assert_eq!(beyond.notes().len(), 3);
        let unused = of(2, WeightRanges::new(2, 2, 2).with_lending(false));
        assert_eq!(
            unused.notes(),
            ["domain 1 is in no weight range: only keys and chains lead there"]
        );
        let kept = of(4, WeightRanges::default().with_lending(false));
        assert_eq!(borrowable(&kept), [[], [], [] as [usize; 0]]);
    }
}
