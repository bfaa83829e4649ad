//! Cuts the CPUs of a machine into domains of cores, each with its workers.
//!
//! Called by [`Plan::new`](super::Plan::new). Its invariants: no domain and no core is empty, cores
//! are numbered from 1 through all domains, and a CPU has one worker, save where `Count` asks for
//! more domains than there are cores. The CPU quota takes SMT siblings first, then cores, from the
//! end. It does not look at weights.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use super::error::PlanError;
use super::machine::{Cpu, Machine};
use super::{MAX_CPUS, cpulist};

/// Which cores form a domain: the set in which work may be stolen and state stays warm.
///
/// Small domains keep the tokens of a key or chain on one core's caches; large ones balance better.
/// A core always brings all its SMT siblings along, as further workers on its mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Domains {
    /// A domain for each physical core.
    #[default]
    PerCore,
    /// A domain for each group of cores that share a level 2 cache.
    PerL2,
    /// A domain for each group of cores that share a level 3 cache.
    PerL3,
    /// A domain for each NUMA node.
    PerNuma,
    /// So many domains, of equally many neighbouring cores as far as that goes.
    ///
    /// Beyond the cores of the machine (or the CPU quota), each domain counts as one core with one
    /// worker, and domains share cores and, beyond the CPUs, CPUs: for trying a layout out on a
    /// smaller machine.
    Count(usize),
    /// The CPU ids of each domain; CPUs that none lists are not used.
    ///
    /// Domains keep the order in which they are listed. A core whose CPUs are listed in two domains
    /// counts as a core in both. The CPU quota holds here too, and may leave the last domains out.
    Custom(Vec<Vec<usize>>),
}

/// A core domain of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedDomain {
    /// Counted from 1.
    pub number: usize,
    /// Its cores, at least one, with consecutive numbers.
    pub cores: Vec<PlannedCore>,
}

/// A core of a plan: one mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedCore {
    /// Counted from 1 through all domains; weight ranges are given in these numbers.
    pub number: usize,
    /// Its workers, at least one, one for each of its CPUs that the plan uses.
    pub workers: Vec<PlannedWorker>,
}

/// A worker of a plan: one thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedWorker {
    /// The CPU to pin it to; `None` means that it runs unpinned.
    ///
    /// May be 1024 or more, which affinity masks of a fixed size cannot hold.
    pub cpu: Option<usize>,
}

impl PlannedDomain {
    /// The workers of all its cores, core by core.
    pub fn workers(&self) -> impl Iterator<Item = &PlannedWorker> {
        self.cores.iter().flat_map(|core| &core.workers)
    }

    pub(super) fn workers_mut(&mut self) -> impl Iterator<Item = &mut PlannedWorker> {
        self.cores.iter_mut().flat_map(|core| &mut core.workers)
    }

    /// The number by which the domain is placed in weight ranges.
    pub(super) fn lowest_core(&self) -> usize {
        self.cores[0].number
    }
}

impl fmt::Display for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerCore => f.write_str("one per core"),
            Self::PerL2 => f.write_str("one per L2 cache"),
            Self::PerL3 => f.write_str("one per L3 cache"),
            Self::PerNuma => f.write_str("one per NUMA node"),
            Self::Count(_) => f.write_str("by count"),
            Self::Custom(_) => f.write_str("as listed"),
        }
    }
}

/// Lays out the domains of a machine and says in `notes` what was left out, and why.
pub(super) fn lay_out(
    machine: &Machine,
    domains: &Domains,
    notes: &mut Vec<String>,
) -> Result<Vec<PlannedDomain>, PlanError> {
    let cpus = machine.cpus();
    if cpus.is_empty() {
        return Err(PlanError::NoCpu);
    }
    let groups = match domains {
        Domains::PerCore => grouped(cpus, |cpu| cpu.core),
        Domains::PerL2 => grouped(cpus, |cpu| cpu.l2),
        Domains::PerL3 => grouped(cpus, |cpu| cpu.l3),
        Domains::PerNuma => grouped(cpus, |cpu| cpu.numa),
        Domains::Custom(lists) => listed(cpus, lists)?,
        Domains::Count(count) => return counted(machine, *count, notes),
    };
    let asked = groups.len();
    let groups = within(machine.quota_cpus(), groups, notes);
    if matches!(domains, Domains::Custom(_)) && groups.len() < asked {
        let left = groups.len();
        notes.push(format!(
            "the CPU quota leaves a worker to {left} of the {asked} listed domains"
        ));
    }
    Ok(planned(groups.into_iter().map(by_core).collect()))
}

/// `count` domains: of whole cores while there are enough, else of one worker each.
fn counted(
    machine: &Machine,
    count: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<PlannedDomain>, PlanError> {
    match count {
        0 => return Err(PlanError::NoDomain),
        1..=MAX_CPUS => {}
        asked => {
            return Err(PlanError::TooManyDomains {
                asked,
                most: MAX_CPUS,
            });
        }
    }
    // The number of domains was asked for, so it holds against the quota; further workers do not.
    let workers = machine.quota_cpus().map(|quota| quota.max(count));
    let mut usable: Vec<&Cpu> =
        within(workers, vec![machine.cpus().iter().collect()], notes).concat();
    if let Some(quota) = machine.quota_cpus().filter(|&quota| quota < count) {
        notes.push(format!(
            "{count} domains with one worker each take turns under a quota of {quota}"
        ));
    }
    let cores = by_core(usable.clone());
    if count <= cores.len() {
        return Ok(planned(split(cores, count)));
    }
    usable.sort_by_key(|cpu| cpu.smt_rank);
    usable.truncate(count);
    let cpus = cpulist::named(usable.iter().map(|cpu| cpu.id));
    notes.push(format!(
        "more domains than cores: each has one worker, placed in turn on {cpus}"
    ));
    let shared = usable
        .iter()
        .cycle()
        .take(count)
        .map(|&cpu| vec![vec![cpu]]);
    Ok(planned(shared.collect()))
}

/// Cuts `cores` into `count` runs; the first ones are one longer where it does not come out even.
fn split<T>(cores: Vec<T>, count: usize) -> Vec<Vec<T>> {
    let (length, longer) = (cores.len() / count, cores.len() % count);
    let mut cores = cores.into_iter();
    let lengths = (0..count).map(|run| length + usize::from(run < longer));
    lengths
        .map(|length| cores.by_ref().take(length).collect())
        .collect()
}

/// The CPUs by a group number, in the order of these numbers.
fn grouped(cpus: &[Cpu], group: impl Fn(&Cpu) -> usize) -> Vec<Vec<&Cpu>> {
    let mut groups: BTreeMap<usize, Vec<&Cpu>> = BTreeMap::new();
    for cpu in cpus {
        groups.entry(group(cpu)).or_default().push(cpu);
    }
    groups.into_values().collect()
}

/// The CPUs that were listed, checked, in position order inside each domain.
fn listed<'a>(cpus: &'a [Cpu], lists: &[Vec<usize>]) -> Result<Vec<Vec<&'a Cpu>>, PlanError> {
    if lists.is_empty() {
        return Err(PlanError::NoDomain);
    }
    let allowed = || cpulist::named(cpus.iter().map(|cpu| cpu.id));
    let places: HashMap<usize, usize> = cpus.iter().map(|cpu| cpu.id).zip(0..).collect();
    let mut owners: HashMap<usize, usize> = HashMap::new();
    let mut groups = Vec::with_capacity(lists.len());
    for (domain, list) in (1..).zip(lists) {
        if list.is_empty() {
            return Err(PlanError::EmptyDomain {
                domain,
                allowed: allowed(),
            });
        }
        let mut members = Vec::with_capacity(list.len());
        for &cpu in list {
            let Some(&place) = places.get(&cpu) else {
                return Err(PlanError::CpuNotAllowed {
                    cpu,
                    domain,
                    allowed: allowed(),
                });
            };
            if let Some(first) = owners.insert(cpu, domain) {
                return Err(PlanError::RepeatedCpu {
                    cpu,
                    first,
                    second: domain,
                });
            }
            members.push(place);
        }
        members.sort_unstable();
        groups.push(members.into_iter().map(|place| &cpus[place]).collect());
    }
    Ok(groups)
}

/// Keeps as many CPUs as there may be workers, one of each core before any sibling.
fn within<'a>(
    workers: Option<usize>,
    groups: Vec<Vec<&'a Cpu>>,
    notes: &mut Vec<String>,
) -> Vec<Vec<&'a Cpu>> {
    let mut seen = HashSet::new();
    let (firsts, siblings): (Vec<&Cpu>, Vec<&Cpu>) = groups
        .iter()
        .flatten()
        .partition(|cpu| seen.insert(cpu.core));
    let workers = workers.unwrap_or(usize::MAX);
    let further: Vec<usize> = firsts.iter().skip(workers).map(|cpu| cpu.id).collect();
    let beside = workers.saturating_sub(firsts.len());
    let siblings: Vec<usize> = siblings.iter().skip(beside).map(|cpu| cpu.id).collect();
    for (what, spared) in [("SMT siblings", &siblings), ("further cores", &further)] {
        if !spared.is_empty() {
            let cpus = cpulist::named(spared.iter().copied());
            notes.push(format!("the CPU quota leaves no worker for {what}: {cpus}"));
        }
    }
    let spared: HashSet<usize> = siblings.into_iter().chain(further).collect();
    let kept = groups.into_iter().map(|mut group| {
        group.retain(|cpu| !spared.contains(&cpu.id));
        group
    });
    kept.filter(|group| !group.is_empty()).collect()
}

/// The CPUs of a domain, core by core; they come in position order.
fn by_core(cpus: Vec<&Cpu>) -> Vec<Vec<&Cpu>> {
    cpus.chunk_by(|a, b| a.core == b.core)
        .map(<[_]>::to_vec)
        .collect()
}

/// Numbers domains and cores.
fn planned(domains: Vec<Vec<Vec<&Cpu>>>) -> Vec<PlannedDomain> {
    let mut last_core = 0;
    let mut planned_core = |cpus: Vec<&Cpu>| {
        last_core += 1;
        let workers = cpus.iter().map(|cpu| PlannedWorker { cpu: Some(cpu.id) });
        PlannedCore {
            number: last_core,
            workers: workers.collect(),
        }
    };
    (1..)
        .zip(domains)
        .map(|(number, cores)| PlannedDomain {
            number,
            cores: cores.into_iter().map(&mut planned_core).collect(),
        })
        .collect()
}
