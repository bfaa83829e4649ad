//! What a scheduler will set up on a machine, and why: domains, workers, ranges and notes.
//!
//! Made before the first thread starts; the scheduler carries it out, records the pins that the
//! system refused, and keeps it for printing. Its invariant: it says everything that differs from
//! what was asked. It starts and pins nothing itself.

use super::domains::{self, Domains, PlannedDomain};
use super::error::PlanError;
use super::machine::Machine;
use super::ranges::{Ranges, WeightRanges};

/// A machine divided into domains, with the reasons; prints as a table.
///
/// Costs a few allocations for each domain, once. The same arguments always give the same plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    machine: Machine,
    asked: Domains,
    domains: Vec<PlannedDomain>,
    ranges: Ranges,
    notes: Vec<String>,
    refused: Vec<RefusedPin>,
}

/// A worker that the system did not let pin, and which runs unpinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedPin {
    /// The domain's index, from 0.
    pub domain: usize,
    /// The worker's index among the workers of its domain, from 0.
    pub worker: usize,
    /// The CPU that the plan had for it.
    pub cpu: Option<usize>,
    /// Why, in the words of the system.
    pub reason: String,
}

impl Plan {
    /// Plans domains and weight ranges for a machine.
    ///
    /// # Errors
    ///
    /// [`PlanError`] where the options contradict themselves or the machine; it names the remedy.
    /// What is merely unknown, or bounded by the CPU quota, is planned around and noted.
    pub fn new(
        machine: &Machine,
        domains: &Domains,
        ranges: &WeightRanges,
    ) -> Result<Self, PlanError> {
        let mut notes = machine.notes().to_vec();
        let planned = domains::lay_out(machine, domains, &mut notes)?;
        let ranges = ranges.resolve(&planned, &mut notes)?;
        Ok(Self {
            machine: machine.clone(),
            asked: domains.clone(),
            domains: planned,
            ranges,
            notes,
            refused: Vec::new(),
        })
    }

    /// The machine that it was made for.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The form of domains that was asked for.
    #[must_use]
    pub fn asked(&self) -> &Domains {
        &self.asked
    }

    /// The domains in the order of their numbers; at least one.
    #[must_use]
    pub fn domains(&self) -> &[PlannedDomain] {
        &self.domains
    }

    /// Which domains each weight may use.
    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Why the plan is as it is: what was unknown, left out or replaced.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The number of cores, which is the number of mailboxes.
    #[must_use]
    pub fn core_count(&self) -> usize {
        self.domains.iter().map(|domain| domain.cores.len()).sum()
    }

    /// The number of workers; spares are not planned and not counted.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.domains
            .iter()
            .map(|domain| domain.workers().count())
            .sum()
    }

    /// Records that the system refused to pin a worker; from now on the plan has it unpinned.
    ///
    /// Indices are from 0, the worker's among [`PlannedDomain::workers`]. A worker that the plan
    /// does not have, such as a spare, is recorded all the same.
    pub fn pin_refused(&mut self, domain: usize, worker: usize, reason: impl Into<String>) {
        let planned = self
            .domains
            .get_mut(domain)
            .and_then(|domain| domain.workers_mut().nth(worker));
        let cpu = planned.and_then(|worker| worker.cpu.take());
        self.refused.push(RefusedPin {
            domain,
            worker,
            cpu,
            reason: reason.into(),
        });
    }

    /// The pins that the system refused, in the order in which they were recorded.
    #[must_use]
    pub fn refused_pins(&self) -> &[RefusedPin] {
        &self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_fault_and_the_remedy() {
        let refuse = |domains, ranges: WeightRanges| {
            Plan::new(&Machine::flat(4), &domains, &ranges)
                .unwrap_err()
                .to_string()
        };
        let domains = |domains| refuse(domains, WeightRanges::default());
        let custom = |lists: &[&[usize]]| {
            domains(Domains::Custom(
                lists.iter().map(|list| list.to_vec()).collect(),
            ))
        };
        let none = "no domain was asked for: use Count(1) or more, list a domain, or use PerCore";
        assert_eq!(domains(Domains::Count(0)), none);
        assert_eq!(custom(&[]), none);
        assert_eq!(
            domains(Domains::Count(usize::MAX)),
            format!(
                "{} domains were asked for: ask for 8192 at most",
                usize::MAX
            )
        );
        assert_eq!(
            custom(&[&[0], &[]]),
            "domain 2 lists no CPU: remove it or name some of the allowed CPUs 0-3"
        );
        assert_eq!(
            custom(&[&[0, 1], &[2, 1]]),
            "CPU 1 is listed in domain 1 and again in domain 2: list it once"
        );
        assert_eq!(
            custom(&[&[2, 2]]),
            "CPU 2 is listed in domain 1 and again in domain 1: list it once"
        );
        assert_eq!(
            custom(&[&[0], &[4]]),
            "CPU 4 of domain 2 is not allowed here: choose among CPUs 0-3"
        );
        assert_eq!(
            refuse(Domains::PerCore, WeightRanges::new(1, 0, 1)),
            "the medium range starts at core 0, but cores are numbered from 1: use 1 for all"
        );
        let none = Plan::new(
            &Machine::flat(0),
            &Domains::PerCore,
            &WeightRanges::default(),
        );
        assert_eq!(none, Err(PlanError::NoCpu));
    }

    #[test]
    fn refused_pins_are_shown() {
        let (flat, ranges) = (Machine::flat(4), WeightRanges::default());
        let mut plan = Plan::new(&flat, &Domains::Count(2), &ranges).unwrap();
        plan.pin_refused(1, 1, "operation not permitted");
        plan.pin_refused(1, 99, "a spare");
        let cpus: Vec<_> = plan.domains()[1]
            .workers()
            .map(|worker| worker.cpu)
            .collect();
        assert_eq!(cpus, [Some(2), None]);
        assert_eq!(plan.worker_count(), 4);
        assert_eq!(plan.refused_pins()[0].cpu, Some(3));
        let text = plan.to_string();
        assert!(text.contains(" 2 + 1 unpinned "), "{text}");
        let pin = "unpinned: worker 2 of domain 2, its pin to CPU 3 was refused: operation not permitted\n";
        assert!(text.contains(pin), "{text}");
        assert!(
            text.contains("worker 100 of domain 2, its pin was refused: a spare\n"),
            "{text}"
        );
    }
}
