//! Reads Linux's description of CPUs, caches and nodes below a root folder.
//!
//! Called by [`Machine`](super::Machine) alone, with `/sys` or with a recorded tree. It is the only
//! file of the crate that reads sysfs, and it reads as little: the folders of the allowed CPUs and
//! the node lists. A file that is missing leaves its field unknown, one that makes no sense is
//! unknown and reported; nothing here fails. It does not judge how the CPUs relate to each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::cpulist;

/// What the tree says, field by field; `None` and empty lists mean that it says nothing.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// The allowed CPUs, ascending, whether or not the tree has them.
    pub(super) cpus: Vec<ObservedCpu>,
    /// NUMA nodes with their CPUs; may name CPUs that are not allowed.
    pub(super) nodes: Vec<(usize, Vec<usize>)>,
    /// CPUs that a hybrid x86 machine lists as performance cores.
    pub(super) performance: Vec<usize>,
    /// CPUs that a hybrid x86 machine lists as efficiency cores.
    pub(super) efficiency: Vec<usize>,
    /// Files that exist and make no sense.
    pub(super) senseless: Vec<PathBuf>,
}

/// What the tree says of one CPU. Lists may name CPUs that are not allowed or not online.
#[derive(Debug, Default)]
pub(super) struct ObservedCpu {
    pub(super) id: usize,
    pub(super) offline: bool,
    pub(super) package: Option<usize>,
    pub(super) core_id: Option<usize>,
    pub(super) siblings: Option<Vec<usize>>,
    pub(super) l2: Option<Vec<usize>>,
    pub(super) l3: Option<Vec<usize>>,
    pub(super) capacity: Option<u32>,
}

impl Observed {
    /// The allowed CPUs, and nothing known of any.
    pub(super) fn unknown(allowed: &[usize]) -> Self {
        let mut ids = allowed.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let cpus = ids.into_iter().map(|id| ObservedCpu {
            id,
            ..ObservedCpu::default()
        });
        Self {
            cpus: cpus.collect(),
            ..Self::default()
        }
    }

    /// The allowed CPUs with all that the tree under `root` says of them.
    pub(super) fn read(root: &Path, allowed: &[usize]) -> Self {
        let mut observed = Self::unknown(allowed);
        let mut reader = Reader::default();
        let devices = root.join("devices");
        for cpu in &mut observed.cpus {
            reader.cpu(&devices.join(format!("system/cpu/cpu{}", cpu.id)), cpu);
        }
        for (node, folder) in numbered(&devices.join("system/node"), "node") {
            if let Some(cpus) = reader.list(&folder.join("cpulist")) {
                observed.nodes.push((node, cpus));
            }
        }
        observed.performance = reader
            .list(&devices.join("cpu_core/cpus"))
            .unwrap_or_default();
        observed.efficiency = reader
            .list(&devices.join("cpu_atom/cpus"))
            .unwrap_or_default();
        observed.senseless = reader.senseless;
        observed
    }
}

/// Reads values and remembers the files that it could not make sense of.
#[derive(Default)]
struct Reader {
    senseless: Vec<PathBuf>,
}

impl Reader {
    fn cpu(&mut self, folder: &Path, cpu: &mut ObservedCpu) {
        // CPUs that cannot be taken offline have no such file.
        cpu.offline = self.number::<u8>(&folder.join("online")) == Some(0);
        cpu.package = self.id(&folder.join("topology/physical_package_id"));
        cpu.core_id = self.id(&folder.join("topology/core_id"));
        cpu.siblings = self.list(&folder.join("topology/thread_siblings_list"));
        cpu.capacity = self.number(&folder.join("cpu_capacity"));
        for (_, cache) in numbered(&folder.join("cache"), "index") {
            if text(&cache.join("type")).as_deref() == Some("Instruction") {
                continue;
            }
            match self.number::<u8>(&cache.join("level")) {
                Some(2) => cpu.l2 = self.list(&cache.join("shared_cpu_list")),
                Some(3) => cpu.l3 = self.list(&cache.join("shared_cpu_list")),
                _ => {}
            }
        }
    }

    /// A set of CPUs. An empty one is kept: a node may have memory only.
    fn list(&mut self, path: &Path) -> Option<Vec<usize>> {
        let value = cpulist::parse(&text(path)?);
        self.sense(path, value.ok())
    }

    /// An id; the kernel writes -1 where it has none, which is sense but no knowledge.
    fn id(&mut self, path: &Path) -> Option<usize> {
        usize::try_from(self.number::<i64>(path)?).ok()
    }

    fn number<T: FromStr>(&mut self, path: &Path) -> Option<T> {
        let value = text(path)?.parse();
        self.sense(path, value.ok())
    }

    fn sense<T>(&mut self, path: &Path, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.senseless.push(path.to_owned());
        }
        value
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// The folders called `prefix` and a number, by that number; none where there is no such folder.
fn numbered(folder: &Path, prefix: &str) -> Vec<(usize, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found: Vec<(usize, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry
                .file_name()
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{Domains, Machine, Plan, WeightRanges};
    use super::*;

    /// The files of one CPU that the property fills with anything, or leaves out.
    const FILES: [&str; 6] = [
        "online",
        "topology/physical_package_id",
        "topology/core_id",
        "topology/thread_siblings_list",
        "cache/index2/shared_cpu_list",
        "cache/index3/shared_cpu_list",
    ];
    const MISSING: &str = "missing";

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn no_tree_breaks_the_machine(
            texts in prop::collection::vec(prop::sample::select(vec![
                MISSING, "", "0", "1", "-1", "0-1", "2-3", "0-7", "1,3-9", "x", "9999999", "5-2", "\0",
            ]), 5 * FILES.len()),
        ) {
            let root = tempfile::tempdir().unwrap();
            for (cpu, texts) in texts.chunks(FILES.len()).enumerate() {
                let folder = root.path().join(format!("devices/system/cpu/cpu{cpu}"));
                for name in ["topology", "cache/index2", "cache/index3"] {
                    fs::create_dir_all(folder.join(name)).unwrap();
                }
                fs::write(folder.join("cache/index2/level"), "2").unwrap();
                fs::write(folder.join("cache/index3/level"), "3").unwrap();
                for (name, text) in FILES.iter().zip(texts).filter(|(_, text)| **text != MISSING) {
                    fs::write(folder.join(name), text).unwrap();
                }
            }
            let machine = Machine::from_sysfs(root.path(), &[0, 1, 2, 3, 4], None);
            let cpus = machine.cpus();
            prop_assert!(!cpus.is_empty());
            prop_assert_eq!(cpus.iter().map(|cpu| cpu.id).collect::<BTreeSet<_>>().len(), cpus.len());
            for pair in cpus.windows(2) {
                if pair[0].core == pair[1].core {
                    prop_assert_eq!(pair[0].smt_rank + 1, pair[1].smt_rank);
                    let groups = |at: usize| (pair[at].package, pair[at].l2, pair[at].l3, pair[at].numa);
                    prop_assert_eq!(groups(0), groups(1));
                } else {
                    prop_assert_eq!((pair[0].core + 1, 0), (pair[1].core, pair[1].smt_rank));
                }
            }
            for domains in [Domains::PerCore, Domains::PerL2, Domains::PerL3, Domains::PerNuma] {
                let plan = Plan::new(&machine, &domains, &WeightRanges::default()).unwrap();
                prop_assert_eq!(plan.worker_count(), cpus.len());
            }
        }
    }
}
