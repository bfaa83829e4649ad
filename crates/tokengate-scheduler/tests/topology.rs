//! Plans for recorded machines: domains, workers, ranges and reasons, for every form of domains.
//!
//! The machines are in `fixtures/`; what holds for any machine at all is in the properties at the
//! end. Nothing here starts or pins a thread, and only one test looks at the machine it runs on.

#[path = "fixtures/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use tokengate_scheduler::topology::{
    CpuClass, Domains, MAX_CPUS, Machine, Plan, PlanError, PlannedDomain, WeightRanges, cpulist,
};
use tokengate_token::Weight;

use tree::{Recorded, recorded};

fn plan(machine: &Machine, domains: &Domains) -> Plan {
    Plan::new(machine, domains, &WeightRanges::default()).expect("the plan can be made")
}

/// The CPUs of each domain: cores apart by `|`, in the order of their numbers.
fn cpus(plan: &Plan) -> Vec<String> {
    let core_cpus = |domain: &PlannedDomain| {
        let cores = domain.cores.iter().map(|core| {
            cpulist::format(
                &core
                    .workers
                    .iter()
                    .filter_map(|worker| worker.cpu)
                    .collect::<Vec<_>>(),
            )
        });
        cores.collect::<Vec<_>>().join("|")
    };
    plan.domains().iter().map(core_cpus).collect()
}

/// Domains, cores and workers of a plan.
fn size(plan: &Plan) -> (usize, usize, usize) {
    (plan.domains().len(), plan.core_count(), plan.worker_count())
}

fn own(plan: &Plan) -> [Vec<usize>; 3] {
    Weight::ALL.map(|weight| plan.ranges().own(weight).to_vec())
}

// Recorded machines.

#[test]
fn desktop_has_a_mailbox_a_core_and_a_worker_a_sibling() {
    let desktop = recorded("desktop").machine();
    assert_eq!(desktop.notes(), [] as [String; 0]);
    let text = "\
machine: 16 CPUs, 8 cores, 8 L2 groups, 1 L3 group, 1 NUMA node, 1 package
plan: 8 domains (one per core), 8 cores, 16 workers
  domain  cores  workers  CPUs  heavy  medium  light
  1       1      2        0,8   yes    lent    lent
  2       2      2        1,9   yes    yes     lent
  3       3      2        2,10  yes    yes     yes
  4       4      2        3,11  yes    yes     yes
  5       5      2        4,12  yes    yes     yes
  6       6      2        5,13  yes    yes     yes
  7       7      2        6,14  yes    yes     yes
  8       8      2        7,15  yes    yes     yes
lent: used by this weight while the domain is idle
";
    assert_eq!(plan(&desktop, &Domains::PerCore).to_string(), text);
    assert_eq!(
        cpus(&plan(&desktop, &Domains::PerL2)),
        cpus(&plan(&desktop, &Domains::PerCore))
    );
    let all = "0,8|1,9|2,10|3,11|4,12|5,13|6,14|7,15";
    for domains in [Domains::PerL3, Domains::PerNuma, Domains::Count(1)] {
        assert_eq!(cpus(&plan(&desktop, &domains)), [all]);
    }
    let three = ["0,8|1,9|2,10", "3,11|4,12|5,13", "6,14|7,15"];
    assert_eq!(cpus(&plan(&desktop, &Domains::Count(3))), three);
    // Siblings come along only if they are listed; a core in two domains counts in both.
    let custom = Domains::Custom(vec![vec![9, 1, 0], vec![8, 15]]);
    assert_eq!(cpus(&plan(&desktop, &custom)), ["0|1,9", "8|15"]);
}

#[test]
fn more_domains_than_cores_share_siblings_then_cpus() {
    let desktop = recorded("desktop").machine();
    let ten = plan(&desktop, &Domains::Count(10));
    assert_eq!(
        cpus(&ten),
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    );
    assert_eq!(
        ten.notes(),
        ["more domains than cores: each has one worker, placed in turn on CPUs 0-9"]
    );
    let forty = plan(&desktop, &Domains::Count(40));
    assert_eq!(size(&forty), (40, 40, 40));
    assert_eq!(forty.domains()[39].cores[0].number, 40);
    assert_eq!(cpus(&forty)[16..18], ["0", "1"]);
}

#[test]
fn server_divides_by_each_level() {
    let server = recorded("server").machine();
    assert_eq!(server.notes(), [] as [String; 0]);
    assert_eq!(size(&plan(&server, &Domains::PerCore)), (64, 64, 128));
    assert_eq!(size(&plan(&server, &Domains::PerL2)), (64, 64, 128));
    let per_l3 = plan(&server, &Domains::PerL3);
    assert_eq!(size(&per_l3), (8, 64, 128));
    assert_eq!(
        cpus(&per_l3)[5],
        "40,104|41,105|42,106|43,107|44,108|45,109|46,110|47,111"
    );
    // A domain of eight cores starts at core 1, 9, ...: only the first one is reserved.
    assert_eq!(
        own(&per_l3),
        [
            (0..8).collect(),
            (1..8).collect(),
            (1..8).collect::<Vec<_>>()
        ]
    );
    let count = plan(&server, &Domains::Count(5));
    let cores: Vec<usize> = count
        .domains()
        .iter()
        .map(|domain| domain.cores.len())
        .collect();
    assert_eq!(cores, [13, 13, 13, 13, 12]);
    let text = "\
machine: 128 CPUs, 64 cores, 64 L2 groups, 8 L3 groups, 4 NUMA nodes, 2 packages
plan: 4 domains (one per NUMA node), 64 cores, 128 workers
  domain  cores  workers  CPUs           heavy  medium  light
  1       1-16   32       0-15,64-79     yes    lent    lent
  2       17-32  32       16-31,80-95    yes    yes     yes
  3       33-48  32       32-47,96-111   yes    yes     yes
  4       49-64  32       48-63,112-127  yes    yes     yes
lent: used by this weight while the domain is idle
";
    assert_eq!(plan(&server, &Domains::PerNuma).to_string(), text);
    let custom = Domains::Custom(vec![(32..64).collect(), (0..8).collect()]);
    let custom = plan(&server, &custom);
    assert_eq!(size(&custom), (2, 40, 40));
    assert_eq!(custom.domains()[1].cores[0].number, 33);
}

#[test]
fn laptop_tells_performance_cores_from_efficiency_cores() {
    let laptop = recorded("laptop").machine();
    let classes: Vec<CpuClass> = laptop.cpus().iter().map(|cpu| cpu.class).collect();
    assert_eq!(classes[..8], [CpuClass::Performance; 8]);
    assert_eq!(classes[8..], [CpuClass::Efficiency; 8]);
    let per_core = plan(&laptop, &Domains::PerCore);
    assert_eq!(
        cpus(&per_core),
        [
            "0-1", "2-3", "4-5", "6-7", "8", "9", "10", "11", "12", "13", "14", "15"
        ]
    );
    let text = "\
machine: 16 CPUs, 12 cores, 6 L2 groups, 1 L3 group, 1 NUMA node, 1 package
CPU classes: performance 0-7; efficiency 8-15
plan: 6 domains (one per L2 cache), 12 cores, 16 workers
  domain  cores  workers  CPUs   heavy  medium  light
  1       1      2        0-1    yes    lent    lent
  2       2      2        2-3    yes    yes     lent
  3       3      2        4-5    yes    yes     yes
  4       4      2        6-7    yes    yes     yes
  5       5-8    4        8-11   yes    yes     yes
  6       9-12   4        12-15  yes    yes     yes
lent: used by this weight while the domain is idle
";
    assert_eq!(plan(&laptop, &Domains::PerL2).to_string(), text);
    assert_eq!(size(&plan(&laptop, &Domains::PerL3)), (1, 12, 16));
    assert_eq!(size(&plan(&laptop, &Domains::PerNuma)), (1, 12, 16));
    assert_eq!(
        cpus(&plan(&laptop, &Domains::Count(4)))[1..3],
        ["6-7|8|9", "10|11|12"]
    );
}

#[test]
fn board_without_l3_and_numa_falls_back_to_the_package() {
    let board = recorded("board").machine();
    assert_eq!(board.cpus()[0].class, CpuClass::Capacity(446));
    // The package is not known, so core ids alone may not join CPUs 0 and 4.
    assert_eq!(cpus(&plan(&board, &Domains::PerCore)).len(), 6);
    let text = "\
machine: 6 CPUs, 6 cores, 2 L2 groups, 1 L3 group, 1 NUMA node, 1 package
CPU classes: capacity 446 0-3; capacity 1024 4-5
plan: 1 domain (one per L3 cache), 6 cores, 6 workers
  domain  cores  workers  CPUs  heavy  medium  light
  1       1-6    6        0-5   yes    yes     yes
note: the package of CPUs 0-5 is not known: it is taken as 0
note: the L3 group of CPUs 0-5 is not known: the package stands in
note: the NUMA node of CPUs 0-5 is not known: the package stands in
";
    assert_eq!(plan(&board, &Domains::PerL3).to_string(), text);
    let per_l2: BTreeSet<Vec<usize>> = plan(&board, &Domains::PerL2)
        .domains()
        .iter()
        .map(|domain| {
            let mut cpus: Vec<usize> = domain.workers().filter_map(|worker| worker.cpu).collect();
            cpus.sort_unstable();
            cpus
        })
        .collect();
    assert_eq!(per_l2, BTreeSet::from([vec![0, 1, 2, 3], vec![4, 5]]));
}

#[test]
fn interleaved_ids_are_ordered_by_package() {
    let interleaved = recorded("interleaved").machine();
    assert_eq!(
        cpus(&plan(&interleaved, &Domains::PerCore)),
        ["0,4", "2,6", "1,5", "3,7"]
    );
    assert_eq!(
        cpus(&plan(&interleaved, &Domains::PerL2)),
        ["0,4", "2,6", "1,5", "3,7"]
    );
    for domains in [Domains::PerL3, Domains::PerNuma, Domains::Count(2)] {
        assert_eq!(cpus(&plan(&interleaved, &domains)), ["0,4|2,6", "1,5|3,7"]);
    }
    let l3 = "the L3 group of CPUs 0-7 is not known: the NUMA node stands in";
    assert_eq!(interleaved.notes(), [l3]);
}

#[test]
fn container_spends_its_quota_on_cores_before_siblings() {
    let container = recorded("container");
    let text = "\
machine: 8 CPUs, 4 cores, 4 L2 groups, 1 L3 group, 1 NUMA node, 1 package; quota of 3 CPUs
plan: 3 domains (one per core), 3 cores, 3 workers
  domain  cores  workers  CPUs  heavy  medium  light
  1       1      1        2     yes    yes     yes
  2       2      1        3     yes    yes     yes
  3       3      1        4     yes    yes     yes
note: the CPU quota leaves no worker for SMT siblings: CPUs 10-13
note: the CPU quota leaves no worker for further cores: CPU 5
note: below 4 domains all weights use all of them: WeightRanges::strict() keeps them apart
";
    assert_eq!(
        plan(&container.machine(), &Domains::PerCore).to_string(),
        text
    );
    assert_eq!(
        cpus(&plan(&container.machine(), &Domains::PerNuma)),
        ["2|3|4"]
    );
    assert_eq!(
        cpus(&plan(&container.machine(), &Domains::Count(2))),
        ["2|3", "4"]
    );
    // With room for six, every core keeps a worker and the first two keep their sibling.
    let six = container.machine_with(&container.allowed, Some(6));
    assert_eq!(
        cpus(&plan(&six, &Domains::PerCore)),
        ["2,10", "3,11", "4", "5"]
    );
    // A quota that does not bind is none.
    let eight = container.machine_with(&container.allowed, Some(8));
    assert_eq!(eight.quota_cpus(), None);
    assert_eq!(
        container
            .machine_with(&container.allowed, Some(0))
            .quota_cpus(),
        Some(1)
    );
}

#[test]
fn explicit_domains_under_a_quota() {
    let container = recorded("container").machine();
    // The number of domains holds; they take turns on the quota, on CPUs of their own.
    let count = plan(&container, &Domains::Count(4));
    assert_eq!(cpus(&count), ["2", "3", "4", "5"]);
    let turns = "4 domains with one worker each take turns under a quota of 3";
    assert!(count.notes().iter().any(|note| note == turns), "{count}");
    let exact = plan(&container, &Domains::Count(3));
    assert!(!exact.to_string().contains("take turns"), "{exact}");
    // Only what is listed counts against the quota.
    let fits = Domains::Custom(vec![vec![13], vec![4, 12]]);
    assert_eq!(cpus(&plan(&container, &fits)), ["13", "4,12"]);
    let custom = Domains::Custom(vec![vec![5, 13], vec![2, 3], vec![4]]);
    let custom = plan(&container, &custom);
    assert_eq!(cpus(&custom), ["5", "2|3"]);
    assert_eq!(
        custom.notes()[..3],
        [
            "the CPU quota leaves no worker for SMT siblings: CPU 13",
            "the CPU quota leaves no worker for further cores: CPU 4",
            "the CPU quota leaves a worker to 2 of the 3 listed domains",
        ]
    );
}

#[test]
fn single_cpu_serves_every_form() {
    let single = recorded("single").machine();
    let one = [
        Domains::PerCore,
        Domains::PerL2,
        Domains::PerL3,
        Domains::PerNuma,
    ];
    for domains in one
        .into_iter()
        .chain([Domains::Count(1), Domains::Custom(vec![vec![0]])])
    {
        let plan = plan(&single, &domains);
        assert_eq!((size(&plan), cpus(&plan)), ((1, 1, 1), vec!["0".into()]));
        assert_eq!(own(&plan), [[0], [0], [0]]);
    }
    let eight = plan(&single, &Domains::Count(8));
    assert_eq!(
        (size(&eight), cpus(&eight)),
        ((8, 8, 8), vec!["0".to_owned(); 8])
    );
    assert_eq!(
        own(&eight),
        [
            (0..8).collect(),
            (1..8).collect(),
            (2..8).collect::<Vec<_>>()
        ]
    );
    assert_eq!(eight.ranges().reserved(Weight::Heavy), [0]);
}

#[test]
fn holes_are_planned_around_and_named() {
    let holes = recorded("holes").machine();
    assert_eq!(
        holes.notes(),
        [
            "allowed but offline, and left out: CPU 6",
            "what makes no sense is taken as unknown: \
             devices/system/cpu/cpu5/topology/core_id and 1 more",
            "the core of CPUs 4-5,12 is not known: each counts as one of its own",
            "the package of CPUs 4,12 is not known: it is taken as 0",
            "the L2 group of CPUs 4-5 is not known: the NUMA node stands in",
            "the L2 group of CPU 12 is not known: the package stands in",
            "the L3 group of CPUs 0-5,7 is not known: the NUMA node stands in",
            "the L3 group of CPU 12 is not known: the package stands in",
            "the NUMA node of CPU 12 is not known: the package stands in",
        ]
    );
    assert!(holes.cpus().iter().all(|cpu| cpu.package == 0));
    // CPU 1 says nothing itself, but its sibling names it.
    assert_eq!(
        cpus(&plan(&holes, &Domains::PerCore)),
        ["0-1", "2-3", "7", "4", "5", "12"]
    );
    assert_eq!(
        cpus(&plan(&holes, &Domains::PerL2)),
        ["0-1", "2-3", "7", "4|5", "12"]
    );
    assert_eq!(
        cpus(&plan(&holes, &Domains::PerL3)),
        ["0-1|2-3|7|4|5", "12"]
    );
    assert_eq!(
        cpus(&plan(&holes, &Domains::PerNuma)),
        ["0-1|2-3|7|4|5", "12"]
    );
    assert_eq!(
        cpus(&plan(&holes, &Domains::Count(2))),
        ["0-1|2-3|7", "4|5|12"]
    );
    let offline = Plan::new(
        &holes,
        &Domains::Custom(vec![vec![6]]),
        &WeightRanges::default(),
    );
    assert!(matches!(
        offline,
        Err(PlanError::CpuNotAllowed {
            cpu: 6,
            domain: 1,
            ..
        })
    ));
}

#[test]
fn mask_is_believed_where_the_tree_calls_all_of_it_offline() {
    let machine = recorded("holes").machine_with(&[6], None);
    assert_eq!(cpus(&plan(&machine, &Domains::PerCore)), ["6"]);
    assert_eq!(
        machine.notes()[0],
        "all allowed CPUs are said to be offline: this is not believed"
    );
}

#[test]
fn many_cpus_print_short() {
    let many = recorded("many").machine();
    let text = "\
machine: 288 CPUs, 288 cores, 288 L2 groups, 24 L3 groups, 4 NUMA nodes, 4 packages
plan: 288 domains (one per core), 288 cores, 288 workers
  domain  cores  workers  CPUs   heavy  medium  light
  1       1      1        0      yes    lent    lent
  2       2      1        1      yes    yes     lent
  3-288   3-288  1 each   2-287  yes    yes     yes
lent: used by this weight while the domain is idle
";
    assert_eq!(plan(&many, &Domains::PerCore).to_string(), text);
    assert_eq!(size(&plan(&many, &Domains::PerL2)), (288, 288, 288));
    let per_l3 = plan(&many, &Domains::PerL3);
    assert_eq!(size(&per_l3), (24, 288, 288));
    // Domains of several cores keep a line each, or nobody could tell where they end.
    let last = "  24      277-288  12       276-287  yes    yes     yes\n";
    assert!(per_l3.to_string().contains(last), "{per_l3}");
    assert_eq!(size(&plan(&many, &Domains::PerNuma)), (4, 288, 288));
    assert_eq!(
        size(&plan(&many, &Domains::Count(MAX_CPUS))),
        (MAX_CPUS, MAX_CPUS, MAX_CPUS)
    );
    let last = plan(&many, &Domains::Custom(vec![vec![287], vec![64, 256]]));
    assert_eq!(cpus(&last), ["287", "64|256"]);
}

#[test]
fn ids_beyond_1024_are_read() {
    let far = recorded("far").machine();
    assert_eq!(far.notes(), [] as [String; 0]);
    assert_eq!(size(&plan(&far, &Domains::PerCore)), (12, 12, 12));
    assert_eq!(size(&plan(&far, &Domains::PerL2)), (12, 12, 12));
    let halves = [
        "1018|1019|1020|1021|1022|1023",
        "1024|1025|1026|1027|1028|1029",
    ];
    assert_eq!(cpus(&plan(&far, &Domains::PerL3)), halves);
    assert_eq!(size(&plan(&far, &Domains::PerNuma)), (1, 12, 12));
    assert_eq!(cpus(&plan(&far, &Domains::Count(2))), halves);
}

#[test]
fn unknown_tree_gives_a_core_a_cpu_and_one_note() {
    let nowhere = tempfile::tempdir().expect("a temporary folder can be made");
    let machine = Machine::from_sysfs(nowhere.path(), &[3, 1, 3], None);
    assert_eq!(machine.notes().len(), 1, "{:?}", machine.notes());
    assert_eq!(cpus(&plan(&machine, &Domains::PerCore)), ["1", "3"]);
    assert_eq!(cpus(&plan(&machine, &Domains::PerL2)), ["1|3"]);
    assert_eq!(Machine::flat(2).notes(), [] as [String; 0]);
}

#[test]
fn this_machine_can_be_planned() {
    let machine = Machine::detect();
    let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
    for domains in [
        Domains::PerCore,
        Domains::PerL2,
        Domains::PerL3,
        Domains::PerNuma,
    ] {
        let workers = plan(&machine, &domains).worker_count();
        assert!(
            (1..=parallelism).contains(&workers),
            "{workers} workers for {parallelism}"
        );
    }
    assert_eq!(plan(&machine, &Domains::Count(8)).domains().len(), 8);
}

// What holds for any machine.

static MACHINES: LazyLock<Vec<Recorded>> =
    LazyLock::new(|| ["desktop", "laptop", "holes", "board"].map(recorded).into());

fn any_machine() -> impl Strategy<Value = Machine> {
    let mask = prop::collection::vec(any::<bool>(), 16);
    let quota = prop::option::of(1..20_usize);
    (0..MACHINES.len(), mask, quota).prop_map(|(which, mask, quota)| {
        let recorded = &MACHINES[which];
        let mut allowed = recorded.allowed.clone();
        allowed.retain(|&cpu| mask[cpu]);
        if allowed.is_empty() {
            allowed.clone_from(&recorded.allowed);
        }
        recorded.machine_with(&allowed, quota)
    })
}

/// A form of domains; `Custom` is a random division of the machine's CPUs.
fn any_domains(machine: &Machine) -> impl Strategy<Value = Domains> + use<> {
    let ids: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.id).collect();
    let custom = prop::collection::vec(0..4_usize, ids.len()).prop_map(move |owners| {
        let list = |domain| {
            ids.iter()
                .zip(&owners)
                .filter(move |(_, owner)| **owner == domain)
        };
        let lists = (0..4).map(|domain| list(domain).map(|(id, _)| *id).collect());
        Domains::Custom(lists.filter(|list: &Vec<usize>| !list.is_empty()).collect())
    });
    prop_oneof![
        Just(Domains::PerCore),
        Just(Domains::PerL2),
        Just(Domains::PerL3),
        Just(Domains::PerNuma),
        (1..40_usize).prop_map(Domains::Count),
        custom,
    ]
}

fn any_ranges() -> impl Strategy<Value = WeightRanges> {
    prop_oneof![
        Just(WeightRanges::default()),
        Just(WeightRanges::strict()),
        (1..20_usize, 1..20_usize, 1..20_usize, any::<bool>()).prop_map(
            |(heavy, medium, light, lend)| {
                WeightRanges::new(heavy, medium, light).with_lending(lend)
            }
        ),
    ]
}

fn any_case() -> impl Strategy<Value = (Machine, Domains, WeightRanges)> {
    any_machine().prop_flat_map(|machine| {
        let domains = any_domains(&machine);
        (Just(machine), domains, any_ranges())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn workers_have_cpus_of_their_own_within_the_quota((machine, domains, ranges) in any_case()) {
        let plan = Plan::new(&machine, &domains, &ranges).unwrap();
        let allowed: BTreeSet<usize> = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let used: Vec<usize> = plan.domains().iter().flat_map(PlannedDomain::workers)
            .map(|worker| worker.cpu.expect("planned workers are pinned")).collect();
        prop_assert!(used.iter().all(|cpu| allowed.contains(cpu)));
        let distinct = used.iter().collect::<BTreeSet<_>>().len();
        let quota = machine.quota_cpus().unwrap_or(allowed.len());
        match domains {
            Domains::Count(count) if count > quota => {
                prop_assert_eq!(used.len(), count);
                prop_assert_eq!(distinct, count.min(allowed.len()));
            }
            Domains::Count(count) => {
                prop_assert!(distinct == used.len() && used.len() <= quota);
                prop_assert_eq!(plan.domains().len(), count);
            }
            // What is not lost to the quota is used.
            _ => {
                prop_assert_eq!(used.len(), quota);
                prop_assert_eq!(distinct, quota);
            }
        }
    }

    #[test]
    fn domains_and_cores_are_numbered_through_and_never_empty((machine, domains, ranges) in any_case()) {
        let plan = Plan::new(&machine, &domains, &ranges).unwrap();
        let numbers: Vec<usize> = plan.domains().iter().map(|domain| domain.number).collect();
        prop_assert_eq!(numbers, (1..=plan.domains().len()).collect::<Vec<_>>());
        let cores: Vec<_> = plan.domains().iter().flat_map(|domain| &domain.cores).collect();
        let numbers: Vec<usize> = cores.iter().map(|core| core.number).collect();
        prop_assert_eq!(numbers, (1..=plan.core_count()).collect::<Vec<_>>());
        prop_assert!(plan.domains().iter().all(|domain| !domain.cores.is_empty()));
        prop_assert!(cores.iter().all(|core| !core.workers.is_empty()));
    }

    #[test]
    fn ranges_are_never_empty_and_lend_downwards((machine, domains, ranges) in any_case()) {
        let plan = Plan::new(&machine, &domains, &ranges).unwrap();
        let ranges = plan.ranges();
        for weight in Weight::ALL {
            let own = ranges.own(weight);
            prop_assert!(!own.is_empty());
            prop_assert!(own.is_sorted_by(|a, b| a < b) && own[own.len() - 1] < plan.domains().len());
            prop_assert!(ranges.borrowable(weight).iter().all(|domain| !own.contains(domain)));
            prop_assert!(ranges.reserved(weight).iter().all(|domain| own.contains(domain)));
            prop_assert!(ranges.lending() || ranges.borrowable(weight).is_empty());
        }
        prop_assert!(ranges.borrowable(Weight::Heavy).is_empty());
    }

    #[test]
    fn default_ranges_are_nested_and_reach_everything((machine, domains, _) in any_case()) {
        let plan = plan(&machine, &domains);
        let [heavy, medium, light] = own(&plan);
        prop_assert_eq!(heavy.len(), plan.domains().len());
        prop_assert!(medium.iter().all(|domain| heavy.contains(domain)));
        prop_assert!(light.iter().all(|domain| medium.contains(domain)));
        for weight in Weight::ALL {
            let reach = plan.ranges().own(weight).len() + plan.ranges().borrowable(weight).len();
            prop_assert_eq!(reach, plan.domains().len());
        }
    }
}
