//! Places CPUs in cores, caches and nodes, from what was observed of each.
//!
//! Called by [`Machine`](super::Machine) alone; reads nothing. Its invariants: groupings never
//! overlap, whatever the observed lists say; the CPUs of one core share all their groups; a grouping
//! that is not known is replaced by the next wider one that is, with a note.

use std::collections::{BTreeMap, HashMap};

use super::cpulist;
use super::machine::{Cpu, CpuClass};
use super::sysfs::{Observed, ObservedCpu};

/// The groupings from narrow to wide.
const LEVELS: [&str; 4] = ["L2 group", "L3 group", "NUMA node", "package"];
const PACKAGE: usize = 3;

/// All observed CPUs in position order, with their groups numbered in that order.
pub(super) fn place(observed: &Observed, notes: &mut Vec<String>) -> Vec<Cpu> {
    let mut cores = gather(observed);
    cores.sort_by_key(Draft::position);
    fill_in(&mut cores, notes);
    let [l2, l3, numa] = [0, 1, 2].map(|level| number_groups(&cores, level, notes));

    let mut cpus = Vec::with_capacity(observed.cpus.len());
    for (number, core) in cores.iter().enumerate() {
        cpus.extend(core.cpus.iter().enumerate().map(|(smt_rank, cpu)| Cpu {
            id: cpu.id,
            package: core.groups[PACKAGE].unwrap_or(0),
            core: number,
            smt_rank,
            l2: l2[number],
            l3: l3[number],
            numa: numa[number],
            class: class_of(cpu, observed),
        }));
    }
    cpus
}

/// One physical core while it is put together; what one of its CPUs knows holds for all.
#[derive(Default)]
struct Draft<'a> {
    cpus: Vec<&'a ObservedCpu>,
    core_id: Option<usize>,
    /// Group ids at each of [`LEVELS`].
    groups: [Option<usize>; LEVELS.len()],
    /// Nothing tells this CPU from others' cores: it is taken for one of its own.
    assumed: bool,
}

impl Draft<'_> {
    /// Where the core stands in position order.
    fn position(&self) -> (usize, usize, usize) {
        let lowest = self.cpus[0].id;
        (
            self.groups[PACKAGE].unwrap_or(0),
            self.core_id.unwrap_or(lowest),
            lowest,
        )
    }

    fn ids(&self) -> impl Iterator<Item = usize> {
        self.cpus.iter().map(|cpu| cpu.id)
    }
}

/// What tells a physical core from others, the surest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum CoreKey {
    /// The lowest CPU of the siblings' list.
    Siblings(usize),
    /// Package and core id; core ids repeat in each package.
    Ids(usize, usize),
    /// The CPU itself.
    Assumed(usize),
}

/// The CPUs of each physical core, ascending, with what any of them knows.
fn gather(observed: &Observed) -> Vec<Draft<'_>> {
    let siblings = sharing(&observed.cpus, |cpu| cpu.siblings.as_deref());
    let l2 = sharing(&observed.cpus, |cpu| cpu.l2.as_deref());
    let l3 = sharing(&observed.cpus, |cpu| cpu.l3.as_deref());
    let in_nodes = observed
        .nodes
        .iter()
        .flat_map(|(node, cpus)| cpus.iter().map(|&id| (id, *node)));
    let nodes: HashMap<usize, usize> = in_nodes.collect();

    let mut cores: BTreeMap<CoreKey, Draft<'_>> = BTreeMap::new();
    for cpu in &observed.cpus {
        let key = match (siblings.get(&cpu.id), cpu.package, cpu.core_id) {
            (Some(&lowest), ..) => CoreKey::Siblings(lowest),
            (None, Some(package), Some(core)) => CoreKey::Ids(package, core),
            _ => CoreKey::Assumed(cpu.id),
        };
        let assumed = matches!(key, CoreKey::Assumed(_));
        let core = cores.entry(key).or_default();
        core.cpus.push(cpu);
        core.assumed = assumed;
        core.core_id = core.core_id.or(cpu.core_id);
        let at = |groups: &HashMap<usize, usize>| groups.get(&cpu.id).copied();
        let known = [at(&l2), at(&l3), at(&nodes), cpu.package];
        for (group, known) in core.groups.iter_mut().zip(known) {
            *group = group.or(known);
        }
    }
    cores.into_values().collect()
}

/// Who shares with whom, each group named by its lowest CPU.
///
/// A CPU without a list of its own belongs to the first group that lists it, and one that two groups
/// list to the first of them.
fn sharing(
    cpus: &[ObservedCpu],
    list: impl Fn(&ObservedCpu) -> Option<&[usize]>,
) -> HashMap<usize, usize> {
    let mut groups = HashMap::new();
    for cpu in cpus {
        let Some(members) = list(cpu) else { continue };
        let lowest = members.first().map_or(cpu.id, |&first| first.min(cpu.id));
        for member in members.iter().chain([&cpu.id]) {
            groups.entry(*member).or_insert(lowest);
        }
    }
    groups
}

/// Gives every core a package, the widest grouping, so that the others have something to fall to.
fn fill_in(cores: &mut [Draft<'_>], notes: &mut Vec<String>) {
    let nothing_known = |core: &Draft<'_>| core.assumed && core.groups == [None; LEVELS.len()];
    if cores.iter().all(nothing_known) {
        notes.push(
            "how the CPUs share cores, caches and nodes is not known: each counts as a core, all \
             of them as one L2 group, L3 group and NUMA node"
                .into(),
        );
        cores
            .iter_mut()
            .for_each(|core| core.groups = [Some(0); LEVELS.len()]);
        return;
    }
    let which = |doubtful: fn(&Draft<'_>) -> bool| {
        let ids: Vec<usize> = cores
            .iter()
            .filter(|core| doubtful(core))
            .flat_map(Draft::ids)
            .collect();
        (!ids.is_empty()).then(|| cpulist::named(ids))
    };
    if let Some(cpus) = which(|core| core.assumed) {
        notes.push(format!(
            "the core of {cpus} is not known: each counts as one of its own"
        ));
    }
    if let Some(cpus) = which(|core| core.groups[PACKAGE].is_none()) {
        notes.push(format!(
            "the package of {cpus} is not known: it is taken as 0"
        ));
    }
    for core in cores {
        core.groups[PACKAGE].get_or_insert(0);
    }
}

/// A group number for each core at one level, from the narrowest level known at or above it.
fn number_groups(cores: &[Draft<'_>], level: usize, notes: &mut Vec<String>) -> Vec<usize> {
    let mut numbers: HashMap<(usize, usize), usize> = HashMap::new();
    let mut stood_in: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut groups = Vec::with_capacity(cores.len());
    for core in cores {
        let known = (level..LEVELS.len()).find_map(|at| Some((at, core.groups[at]?)));
        let (at, group) = known.expect("every core has a package by now");
        if at != level {
            stood_in.entry(at).or_default().extend(core.ids());
        }
        let next = numbers.len();
        groups.push(*numbers.entry((at, group)).or_insert(next));
    }
    for (at, cpus) in stood_in {
        let (what, cpus, instead) = (LEVELS[level], cpulist::named(cpus), LEVELS[at]);
        notes.push(format!(
            "the {what} of {cpus} is not known: the {instead} stands in"
        ));
    }
    groups
}

fn class_of(cpu: &ObservedCpu, observed: &Observed) -> CpuClass {
    if observed.performance.binary_search(&cpu.id).is_ok() {
        CpuClass::Performance
    } else if observed.efficiency.binary_search(&cpu.id).is_ok() {
        CpuClass::Efficiency
    } else {
        cpu.capacity.map_or(CpuClass::Unknown, CpuClass::Capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_contradict_each_other_give_groups_that_do_not_overlap() {
        let lists = [
            (0, Some(vec![0, 1])),
            (1, None),
            (2, Some(vec![1, 3])),
            (5, Some(vec![6, 7])),
        ];
        let cpus = lists.map(|(id, siblings)| ObservedCpu {
            id,
            siblings,
            ..ObservedCpu::default()
        });
        let groups = sharing(&cpus, |cpu| cpu.siblings.as_deref());
        // CPU 1 stays with 0, which named it first; 2 and 5 belong to lists that forgot them.
        let expected = [(0, 0), (1, 0), (2, 1), (3, 1), (5, 5), (6, 5), (7, 5)];
        assert_eq!(groups, HashMap::from(expected));
    }
}
