//! The CPUs that this process may use, each with its place in cores, caches and nodes.
//!
//! Made once by whoever starts a scheduler and given to [`Plan::new`](super::Plan::new). Its
//! invariant: CPUs are in position order (package, physical core, SMT rank), cores and groups are
//! numbered from 0 in that order, and the CPUs of one core are in the same groups. What is not known
//! is replaced by the next wider grouping and named in the notes. It does not decide about workers.

use std::path::Path;
use std::thread;

use super::cpulist;
use super::groups;
use super::sysfs::{Observed, ObservedCpu};

/// What is known of this machine.
///
/// Use [`Machine::detect`] in programs, [`Machine::flat`] in tests, and [`Machine::from_sysfs`] for
/// a recorded tree. A value is plain data and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    cpus: Vec<Cpu>,
    quota_cpus: Option<usize>,
    notes: Vec<String>,
}

/// One CPU: what the kernel schedules on; SMT siblings are CPUs of one core.
///
/// `core`, `l2`, `l3` and `numa` are group numbers from 0 in position order, equal for CPUs that
/// share the core, the cache or the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// The system's id, as used in affinity masks.
    pub id: usize,
    /// The package (socket), as the system numbers it; 0 where unknown.
    pub package: usize,
    /// The physical core; its number says nothing about the system's numbering.
    pub core: usize,
    /// 0 for the first allowed CPU of its core, 1 for its first sibling, and so on.
    pub smt_rank: usize,
    /// CPUs that share a level 2 cache.
    pub l2: usize,
    /// CPUs that share a level 3 cache.
    pub l3: usize,
    /// CPUs of one NUMA node.
    pub numa: usize,
    /// How fast this CPU is beside the others, if the system tells.
    pub class: CpuClass,
}

/// How fast a CPU is beside the others of its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CpuClass {
    /// The system does not tell.
    #[default]
    Unknown,
    /// A performance core of a hybrid x86 machine.
    Performance,
    /// An efficiency core of a hybrid x86 machine.
    Efficiency,
    /// Relative capacity as Linux computes it: 1024 for the fastest CPU at its highest frequency.
    Capacity(u32),
}

impl Machine {
    /// Looks at the machine that this process runs on.
    ///
    /// Reads the affinity mask of the calling thread, so call it from a thread that was not pinned:
    /// a pinned one sees only its own CPU. Costs some fifteen small file reads for each allowed CPU
    /// on Linux; elsewhere nothing is read, each CPU counts as a core, and the notes say so.
    #[must_use]
    pub fn detect() -> Self {
        let parallelism = thread::available_parallelism().map_or(1, usize::from);
        let mask = core_affinity::get_core_ids().filter(|ids| !ids.is_empty());
        let allowed: Vec<usize> = match &mask {
            Some(ids) => ids.iter().map(|cpu| cpu.id).collect(),
            None => (0..parallelism).collect(),
        };
        let mut machine = if cfg!(any(target_os = "linux", target_os = "android")) {
            Self::from_sysfs(Path::new("/sys"), &allowed, Some(parallelism))
        } else {
            Self::of(&Observed::unknown(&allowed), Some(parallelism), Vec::new())
        };
        if mask.is_none() {
            let cpus = cpulist::named(allowed);
            machine.notes.push(format!(
                "the affinity mask could not be read: {cpus} are assumed"
            ));
        }
        machine
    }

    /// Reads a machine from a tree like `/sys`, for machines that were recorded.
    ///
    /// `allowed` are the ids of an affinity mask; those that the tree calls offline are left out.
    /// `quota_cpus` is the number of CPUs' worth of time that the process may use; it counts only
    /// if it is smaller than the number of CPUs. Never fails: holes in the tree become notes.
    #[must_use]
    pub fn from_sysfs(root: &Path, allowed: &[usize], quota_cpus: Option<usize>) -> Self {
        let mut observed = Observed::read(root, allowed);
        let mut notes = Vec::new();
        leave_out_offline(&mut observed.cpus, &mut notes);
        if let [first, others @ ..] = &observed.senseless[..] {
            let first = first.strip_prefix(root).unwrap_or(first).display();
            let more = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            notes.push(format!(
                "what makes no sense is taken as unknown: {first}{more}"
            ));
        }
        Self::of(&observed, quota_cpus, notes)
    }

    /// A machine of `cpus` cores with one CPU each, of one package, cache group and node.
    ///
    /// For tests that want a plan which does not depend on where they run.
    #[must_use]
    pub fn flat(cpus: usize) -> Self {
        let observed = Observed::unknown(&(0..cpus).collect::<Vec<_>>());
        Self {
            notes: Vec::new(),
            ..Self::of(&observed, None, Vec::new())
        }
    }

    /// The allowed CPUs in position order: by package, then physical core, then SMT rank.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// The quota in whole CPUs, where it is smaller than the number of allowed CPUs.
    #[must_use]
    pub fn quota_cpus(&self) -> Option<usize> {
        self.quota_cpus
    }

    /// What could not be known, and what was assumed instead.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn of(observed: &Observed, quota_cpus: Option<usize>, mut notes: Vec<String>) -> Self {
        let cpus = groups::place(observed, &mut notes);
        // Less than one CPU's worth of time still needs a worker.
        let quota_cpus = quota_cpus
            .map(|quota| quota.max(1))
            .filter(|&quota| quota < cpus.len());
        Self {
            cpus,
            quota_cpus,
            notes,
        }
    }
}

/// Drops CPUs that are offline, unless that leaves none: then the mask is believed.
fn leave_out_offline(cpus: &mut Vec<ObservedCpu>, notes: &mut Vec<String>) {
    let offline: Vec<usize> = cpus
        .iter()
        .filter(|cpu| cpu.offline)
        .map(|cpu| cpu.id)
        .collect();
    if offline.is_empty() {
        return;
    }
    if offline.len() == cpus.len() {
        notes.push("all allowed CPUs are said to be offline: this is not believed".into());
        return;
    }
    cpus.retain(|cpu| !cpu.offline);
    notes.push(format!(
        "allowed but offline, and left out: {}",
        cpulist::named(offline)
    ));
}
