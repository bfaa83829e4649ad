//! Prints a plan for people: the machine in a line, the domains in a table, the reasons below.
//!
//! Called through `Display` of [`Plan`] by reports, examples and logs. Its invariant: every CPU that
//! has a worker, every refused pin and every note appears. Its text is for reading; programs use the
//! accessors.

use std::collections::BTreeMap;
use std::fmt;

use tokengate_token::Weight;

use super::cpulist;
use super::domains::PlannedDomain;
use super::machine::{Cpu, CpuClass};
use super::plan::Plan;

/// More domains in a row that differ in nothing but their CPUs are printed as one line.
const LINES_ALIKE: usize = 16;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_machine(self, f)?;
        writeln!(
            f,
            "plan: {} ({}), {}, {}",
            count(self.domains().len(), "domain"),
            self.asked(),
            count(self.core_count(), "core"),
            count(self.worker_count(), "worker"),
        )?;
        write_table(&table(self), f)?;
        if Weight::ALL
            .iter()
            .any(|&weight| !self.ranges().borrowable(weight).is_empty())
        {
            writeln!(f, "lent: used by this weight while the domain is idle")?;
        }
        for pin in self.refused_pins() {
            let (domain, worker) = (pin.domain + 1, pin.worker + 1);
            let cpu = pin
                .cpu
                .map_or("its pin".into(), |cpu| format!("its pin to CPU {cpu}"));
            writeln!(
                f,
                "unpinned: worker {worker} of domain {domain}, {cpu} was refused: {}",
                pin.reason
            )?;
        }
        for note in self.notes() {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

fn write_machine(plan: &Plan, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let cpus = plan.machine().cpus();
    let groups = |group: fn(&Cpu) -> usize, what| {
        let mut numbers: Vec<usize> = cpus.iter().map(group).collect();
        numbers.sort_unstable();
        numbers.dedup();
        count(numbers.len(), what)
    };
    write!(
        f,
        "machine: {}, {}, {}, {}, {}, {}",
        count(cpus.len(), "CPU"),
        groups(|cpu| cpu.core, "core"),
        groups(|cpu| cpu.l2, "L2 group"),
        groups(|cpu| cpu.l3, "L3 group"),
        groups(|cpu| cpu.numa, "NUMA node"),
        groups(|cpu| cpu.package, "package"),
    )?;
    match plan.machine().quota_cpus() {
        Some(quota) => writeln!(f, "; quota of {}", count(quota, "CPU"))?,
        None => writeln!(f)?,
    }
    let mut classes: BTreeMap<CpuClass, Vec<usize>> = BTreeMap::new();
    for cpu in cpus {
        classes.entry(cpu.class).or_default().push(cpu.id);
    }
    if classes.len() > 1 {
        let classes = classes
            .iter()
            .map(|(class, ids)| format!("{class} {}", cpulist::format(ids)));
        writeln!(f, "CPU classes: {}", classes.collect::<Vec<_>>().join("; "))?;
    }
    Ok(())
}

/// What makes lines of the table alike: cores, workers, unpinned workers, and use by each weight.
type Likeness = (usize, usize, usize, [&'static str; 3]);

fn likeness(plan: &Plan, domain: &PlannedDomain) -> Likeness {
    let index = domain.number - 1;
    let ranges = plan.ranges();
    let uses = Weight::ALL.map(|weight| {
        if ranges.own(weight).binary_search(&index).is_ok() {
            "yes"
        } else if ranges.borrowable(weight).binary_search(&index).is_ok() {
            "lent"
        } else {
            "-"
        }
    });
    let unpinned = domain
        .workers()
        .filter(|worker| worker.cpu.is_none())
        .count();
    (domain.cores.len(), domain.workers().count(), unpinned, uses)
}

/// The cells of the table, heading first.
fn table(plan: &Plan) -> Vec<[String; 7]> {
    let heading = [
        "domain", "cores", "workers", "CPUs", "heavy", "medium", "light",
    ];
    let mut lines = vec![heading.map(String::from)];
    for alike in plan
        .domains()
        .chunk_by(|a, b| likeness(plan, a) == likeness(plan, b))
    {
        let together = alike.len() > LINES_ALIKE && alike[0].cores.len() == 1;
        let shown = if together { alike.len() } else { 1 };
        lines.extend(alike.chunks(shown).map(|domains| line(plan, domains)));
    }
    lines
}

fn line(plan: &Plan, domains: &[PlannedDomain]) -> [String; 7] {
    let numbers: Vec<usize> = domains.iter().map(|domain| domain.number).collect();
    let cores: Vec<usize> = domains
        .iter()
        .flat_map(|domain| &domain.cores)
        .map(|core| core.number)
        .collect();
    let pinned = domains
        .iter()
        .flat_map(PlannedDomain::workers)
        .filter_map(|worker| worker.cpu);
    let mut cpus = cpulist::format(&pinned.collect::<Vec<_>>());
    let (_, workers, unpinned, uses) = likeness(plan, &domains[0]);
    if unpinned == workers {
        cpus = "unpinned".into();
    } else if unpinned > 0 {
        cpus += &format!(" + {unpinned} unpinned");
    }
    let each = if domains.len() > 1 { " each" } else { "" };
    let [heavy, medium, light] = uses.map(String::from);
    [
        cpulist::format(&numbers),
        cpulist::format(&cores),
        format!("{workers}{each}"),
        cpus,
        heavy,
        medium,
        light,
    ]
}

fn write_table(lines: &[[String; 7]], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    for line in lines {
        let cells = line
            .iter()
            .enumerate()
            .map(|(column, cell)| format!("{cell:<0$}", width(column)));
        writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

impl fmt::Display for CpuClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Performance => f.write_str("performance"),
            Self::Efficiency => f.write_str("efficiency"),
            Self::Capacity(capacity) => write!(f, "capacity {capacity}"),
        }
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
