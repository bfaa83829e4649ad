//! Where tokens go: ranges kept, cores used equally, lending only to the idle, comparison both ways.

use std::collections::HashSet;

use tokengate_token::{Operation, Plain, create};

use tokengate_anchor::StickyRegistry;

use super::*;
use crate::anchors::Anchors;
use crate::config::Hooks;
use crate::local::LocalQueue;
use crate::permits::Permits;
use crate::sleep::Sleeper;
use crate::topology::{Domains, Machine, WeightRanges};

static OP: Operation = Operation::new("test.operation");

fn anchors(domains: usize) -> Arc<Anchors> {
    Arc::new(Anchors::new(
        StickyRegistry::new(),
        Permits::new(0),
        domains,
    ))
}

/// A router with domains of one core and one worker each, which nobody runs.
struct Cores {
    router: Router,
    domains: Vec<Arc<Domain>>,
    workers: Vec<(Sleeper, LocalQueue)>,
}

impl Cores {
    fn new(count: usize, ranges: &WeightRanges) -> Self {
        let plan = Plan::new(&Machine::flat(count), &Domains::PerCore, ranges).unwrap();
        let made = (0..count).map(|index| {
            let (domain, mut workers) = Domain::new(
                index as u16,
                1,
                1,
                0,
                anchors(count),
                Arc::default(),
                Arc::default(),
            );
            (domain, workers.remove(0))
        });
        let (domains, workers) = made.unzip();
        Self {
            router: Router::new(&plan),
            domains,
            workers,
        }
    }

    /// The domain of the next token.
    fn route(&self, weight: Weight, rotation: &Rotation) -> usize {
        let position = self.router.route(weight, rotation, &self.domains);
        assert_eq!(position.core, 0);
        assert_eq!(position.flat_index(), usize::from(position.domain));
        usize::from(position.domain)
    }

    /// How many of so many tokens each domain gets.
    fn shares(&self, weight: Weight, calls: usize) -> Vec<usize> {
        let rotation = Rotation::new();
        let mut shares = vec![0; self.domains.len()];
        for _ in 0..calls {
            shares[self.route(weight, &rotation)] += 1;
        }
        shares
    }

    fn post(&self, domain: usize, count: usize) {
        for _ in 0..count {
            let (token, runnable) = create(&OP, Plain::new(|| ()));
            token.detach();
            self.domains[domain].post(0, runnable).unwrap();
        }
    }

    /// Calls `f` while the worker of the domain is about to park.
    fn while_idle<R>(&self, domain: usize, f: impl FnOnce() -> R) -> R {
        let mut result = None;
        let (sleeper, _) = &self.workers[domain];
        let parked = self.domains[domain].sleepers.sleep(sleeper, || {
            result = Some(f());
            true
        });
        assert!(!parked);
        result.unwrap()
    }
}

impl Cores {
    /// Calls `f` while all workers from this domain on are about to park.
    fn while_all_idle<R>(&self, from: usize, f: impl FnOnce() -> R) -> R {
        let mut f = Some(f);
        self.idle_from(from, &mut || f.take().unwrap()())
    }

    fn idle_from<R>(&self, from: usize, f: &mut dyn FnMut() -> R) -> R {
        if from == self.domains.len() {
            return f();
        }
        self.while_idle(from, || self.idle_from(from + 1, f))
    }
}

fn strict(count: usize) -> Cores {
    Cores::new(count, &WeightRanges::strict())
}

/// All weights use all cores.
fn shared(count: usize) -> Cores {
    Cores::new(count, &WeightRanges::new(1, 1, 1))
}

/// Nobody has more than `by` more than another.
fn assert_equal(shares: &[usize], by: usize) {
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(most - least <= by, "{shares:?}");
}

#[test]
fn all_cores_are_used_equally_whatever_their_number() {
    for count in 1..=9 {
        for weight in Weight::ALL {
            let shares = shared(count).shares(weight, 500 * count);
            // The thread began and ended within a round.
            assert_equal(&shares, 2);
        }
    }
}

#[test]
fn a_fixed_order_of_operations_is_in_step_with_no_number_of_cores() {
    for count in 2..=9 {
        let cores = shared(count);
        for operations in 1..=9 {
            let rotation = Rotation::new();
            let mut shares = vec![vec![0; count]; operations];
            for call in 0..1_000 * count * operations {
                let domain = cores.route(Weight::Medium, &rotation);
                shares[call % operations][domain] += 1;
            }
            for shares in shares {
                assert_equal(&shares, 150);
            }
        }
    }
}

#[test]
fn strict_ranges_are_kept() {
    for count in 4..=9 {
        let cores = strict(count);
        for (weight, first) in [(Weight::Medium, 1), (Weight::Light, 2)] {
            // So that nothing leans there.
            cores.post(first, 1);
            let shares = cores.while_idle(0, || cores.shares(weight, 1_000));
            assert_eq!(
                shares[..first].iter().sum::<usize>(),
                0,
                "{weight}: {shares:?}"
            );
            assert!(shares[first..].iter().all(|&share| share > 0));
        }
    }
}

#[test]
fn ranges_hold_with_few_domains_if_they_are_strict() {
    let cores = strict(2);
    for weight in [Weight::Medium, Weight::Light] {
        assert_eq!(cores.shares(weight, 100), [0, 100]);
    }
    assert_eq!(strict(1).shares(Weight::Light, 100), [100]);
}

#[test]
fn few_domains_are_used_by_all_weights_by_default() {
    let cores = Cores::new(3, &WeightRanges::default());
    for weight in Weight::ALL {
        assert_equal(&cores.shares(weight, 300), 2);
    }
}

#[test]
fn a_reserved_domain_is_lent_while_it_is_idle_and_no_more_than_its_share() {
    let cores = Cores::new(6, &WeightRanges::default());
    let calls = 6_000;
    let busy = cores.shares(Weight::Light, calls);
    assert_eq!(busy[..2], [0, 0], "nobody is parked there");
    assert_equal(&busy[2..], 2);
    let idle = cores.while_idle(0, || cores.shares(Weight::Light, calls));
    assert!(idle[0].abs_diff(calls / 6) <= 2, "{idle:?}");
    assert_eq!(idle[1], 0);
    assert_equal(&idle[2..], calls / 50);
    cores.post(0, 1);
    let queued = cores.while_idle(0, || cores.shares(Weight::Light, calls));
    assert_eq!(queued[0], 0, "parked, but with something in its mailbox");
}

#[test]
fn heavy_tokens_are_never_lent_anything_and_lean_to_what_is_reserved_for_them() {
    let cores = Cores::new(6, &WeightRanges::default());
    assert_eq!(
        cores.shares(Weight::Heavy, 100)[0],
        100,
        "no queue is shorter"
    );
    cores.post(0, 1);
    let others = cores.shares(Weight::Heavy, 6_000);
    assert!(others[0].abs_diff(1_000) <= 2, "its turn only: {others:?}");
    for domain in 1..6 {
        cores.post(domain, 1);
    }
    assert_eq!(
        cores.shares(Weight::Heavy, 100)[0],
        100,
        "no longer than the others"
    );
}

#[test]
fn heavy_tokens_do_not_queue_behind_one_that_runs_while_others_are_idle() {
    let cores = Cores::new(6, &WeightRanges::default());
    // Nothing is queued anywhere, but the first worker is busy.
    let shares = cores.while_all_idle(1, || cores.shares(Weight::Heavy, 6_000));
    assert!(shares[0].abs_diff(1_000) <= 2, "its turn only: {shares:?}");
}

#[test]
fn from_time_to_time_the_clearly_shorter_of_two_queues_is_taken() {
    for count in 2..=9 {
        let cores = shared(count);
        let long = count / 2;
        cores.post(long, CLEARLY_LONGER);
        let rotation = Rotation::new();
        for call in 1..=COMPARE_EVERY * 20 * count {
            let domain = cores.route(Weight::Medium, &rotation);
            if call % COMPARE_EVERY == 0 {
                assert_ne!(domain, long, "{count} cores, call {call}");
            }
        }
    }
}

#[test]
fn a_queue_that_is_a_little_longer_keeps_its_turn() {
    let cores = shared(4);
    cores.post(1, CLEARLY_LONGER - 1);
    assert_equal(&cores.shares(Weight::Medium, 4_000), 2);
}

#[test]
fn a_comparison_reaches_every_other_core() {
    let cores = shared(5);
    cores.post(2, 10 * CLEARLY_LONGER);
    let rotation = Rotation::new();
    let mut taken = HashSet::new();
    for call in 1..=COMPARE_EVERY * 200 {
        // Where the turn alone would have led.
        let turn = rotation.next.get();
        let domain = cores.route(Weight::Medium, &rotation);
        if call % COMPARE_EVERY == 0 && in_turn(turn, 5) == 2 {
            taken.insert(domain);
        }
    }
    assert_eq!(taken, HashSet::from([0, 1, 3, 4]));
}

#[test]
fn threads_start_at_places_of_their_own() {
    let threads: Vec<_> = (0..64)
        .map(|_| std::thread::spawn(|| Rotation::new().next.get()))
        .collect();
    let starts: HashSet<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(starts.len(), 64);
}

#[test]
fn the_rotation_goes_on_beyond_the_largest_number() {
    for count in 2..=9 {
        for ranges in [WeightRanges::default(), WeightRanges::new(1, 1, 1)] {
            let cores = Cores::new(count, &ranges);
            let rotation = Rotation::new();
            rotation.next.set(usize::MAX - 100);
            for _ in 0..200 {
                cores.route(Weight::Light, &rotation);
            }
        }
    }
}

#[test]
fn batches_find_the_core_that_was_routed_to() {
    // Several cores in a domain, and several domains: the flat index goes through all of them.
    let machine = Machine::flat(6);
    let plan = Plan::new(&machine, &Domains::Count(2), &WeightRanges::new(1, 1, 1)).unwrap();
    let router = Router::new(&plan);
    let domains: Vec<_> = (0..2)
        .map(|index| {
            Domain::new(
                index,
                3,
                3,
                0,
                anchors(2),
                Arc::default(),
                Arc::<Hooks>::default(),
            )
            .0
        })
        .collect();
    let rotation = Rotation::new();
    let flat: HashSet<_> = (0..600)
        .map(|_| {
            let position = router.route(Weight::Medium, &rotation, &domains);
            let before = 3 * usize::from(position.domain);
            assert_eq!(position.flat_index(), before + usize::from(position.core));
            position.flat_index()
        })
        .collect();
    assert_eq!(flat.len(), 6);
}

#[test]
fn a_key_stays_unless_another_core_has_a_clearly_shorter_queue_or_nothing_to_do() {
    let cores = shared(2);
    let at = |domain| Position::new(domain, 0, domain);
    // In eight calls in a row it is compared with each core.
    let keeps = |domain, keys| {
        let rotation = Rotation::new();
        let keeps = || {
            let router = &cores.router;
            router.keeps(Weight::Medium, at(domain), keys, &rotation, &cores.domains)
        };
        [(); 8].map(|()| keeps()) == [true; 8]
    };
    assert!(keeps(0, 1_000) && keeps(1, 1_000));
    assert!(!keeps(0, 2 * MANY_KEYS), "they are few");
    cores.while_idle(1, || {
        assert!(!keeps(0, 1_000), "the other one has nothing to do");
        assert!(keeps(1, 1_000));
    });
    cores.while_all_idle(0, || assert!(keeps(0, 1_000) && keeps(1, 1_000)));
    cores.post(0, CLEARLY_LONGER);
    assert!(keeps(0, 1_000));
    cores.post(0, 16);
    assert!(!keeps(0, 1_000), "its queue is long");
    assert!(keeps(1, 1_000));
}

#[test]
fn a_new_key_goes_where_nothing_is_to_do() {
    let cores = shared(2);
    let rotation = Rotation::new();
    let routes = |deferred: [usize; 2]| {
        let deferred = |core: Position| deferred[core.flat_index()];
        let route = |_| {
            let router = &cores.router;
            router.route_key(Weight::Medium, &rotation, &cores.domains, deferred)
        };
        let routes: HashSet<_> = (0..10).map(route).map(|core| core.domain).collect();
        routes
    };
    assert_eq!(routes([0, 0]), HashSet::from([0, 1]));
    cores.while_idle(1, || {
        assert_eq!(routes([0, 0]), HashSet::from([1]));
        assert_eq!(routes([0, 1]), HashSet::from([0, 1]), "it will have to do");
    });
    cores.while_all_idle(0, || {
        assert_eq!(routes([0, 0]), HashSet::from([0, 1]));
        assert_eq!(routes([1, 0]), HashSet::from([1]));
    });
}

#[test]
fn of_keys_that_come_at_one_time_each_core_gets_as_many() {
    let cores = shared(3);
    // From whatever start.
    for _ in 0..10 {
        let rotation = Rotation::new();
        let mut keys = [0; 3];
        for _ in 0..6 {
            let router = &cores.router;
            let core = router.route_key(Weight::Medium, &rotation, &cores.domains, |_| 0);
            keys[usize::from(core.domain)] += 1;
        }
        assert_eq!(keys, [2; 3]);
    }
}

#[test]
fn a_new_key_goes_where_less_is_to_do_by_a_single_token_and_with_what_workers_have_taken() {
    let cores = shared(2);
    let rotation = Rotation::new();
    let routes = || {
        let router = &cores.router;
        let route = |_| router.route_key(Weight::Medium, &rotation, &cores.domains, |_| 0);
        let routes: HashSet<_> = (0..10).map(route).map(|core| core.domain).collect();
        routes
    };
    cores.post(0, 1);
    assert_eq!(routes(), HashSet::from([1]));
    cores.post(1, 1);
    assert_eq!(routes(), HashSet::from([0, 1]));
    let (_, queue) = &cores.workers[1];
    assert_eq!(cores.domains[1].drain(0, queue), 1);
    assert_eq!(
        routes(),
        HashSet::from([0, 1]),
        "it is in the worker's queue"
    );
    cores.post(1, 1);
    assert_eq!(routes(), HashSet::from([0]));
}

#[test]
fn a_key_that_is_free_does_not_stay_outside_of_the_range_of_its_weight() {
    let cores = strict(4);
    (0..4).for_each(|domain| cores.post(domain, 1));
    for (weight, first) in [(Weight::Heavy, 0), (Weight::Medium, 1), (Weight::Light, 2)] {
        for domain in 0..4 {
            let at = Position::new(domain, 0, domain);
            let keeps = cores
                .router
                .keeps(weight, at, 1_000, &Rotation::new(), &cores.domains);
            assert_eq!(keeps, domain >= first, "{weight} in {domain}");
        }
    }
    // Where there is no choice it stays, however few keys there are.
    let only = Position::new(0, 0, 0);
    let cores = shared(1);
    assert!(
        cores
            .router
            .keeps(Weight::Light, only, 1, &Rotation::new(), &cores.domains)
    );
}
