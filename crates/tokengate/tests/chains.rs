//! All tokens of a chain run in the domain of its lead, until the last one has exited.

mod common;

use std::collections::HashSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use common::{Held, Latch, lone_workers, outcome, small_gate, value, wait_until, wide_gate};
use smol::future::yield_now;
use tokengate::{
    Call, Chain, Gate, Handle, Key, Operation, Seed, Token, TokenError, chain, get_all,
};

static LEAD: Operation = Operation::new("test.lead").with_external_calls(&["test.child"]);
static NESTED: Operation = Operation::new("test.nested").with_external_calls(&[]);
static CHILD: Operation = Operation::new("test.child");
static STRANGER: Operation = Operation::new("test.stranger");
static KEYED: Operation = Operation::new("test.keyed");

fn assert_no_chain(gate: &Gate) {
    wait_until("no chain lives", || gate.conductor().snapshot().is_empty());
}

fn current() -> Handle {
    Handle::current().expect("in a body")
}

/// The thread that runs this, as the kernel names it where it does.
fn kernel_thread() -> String {
    std::fs::read_link("/proc/thread-self").map_or_else(
        |_| format!("{:?}", std::thread::current().id()),
        |link| link.display().to_string(),
    )
}

type Seen = Arc<Mutex<Vec<HashSet<String>>>>;

/// Notes the thread for this chain.
fn note(seen: &Seen, of: usize) {
    seen.lock().unwrap()[of].insert(kernel_thread());
}

/// A chain of 1 lead, 4 children and 8 grandchildren: sync and async, some panic, some are killed.
fn family(gate: &Handle, seen: &Seen, number: usize) -> Token<Seed> {
    let seen = seen.clone();
    gate.spawn(&LEAD, move || {
        note(&seen, number);
        let children: Vec<_> = (0..4_usize)
            .map(|place| child(&seen, number, place))
            .collect();
        if number.is_multiple_of(7) {
            children[1].kill("test");
        }
        if number.is_multiple_of(2) {
            // The others are left alone, and outlive their lead.
            let _ = get_all(children);
        }
        chain().expect("a lead has one").seed()
    })
}

fn child(seen: &Seen, number: usize, place: usize) -> Token<()> {
    let seen = seen.clone();
    match place {
        0 => current().spawn_async(&CHILD, async move {
            note(&seen, number);
            yield_now().await;
            note(&seen, number);
            let inner = seen.clone();
            let grandchild = current().spawn(&STRANGER, move || note(&inner, number));
            grandchild.await.unwrap();
            note(&seen, number);
        }),
        1 => current().spawn(&CHILD, move || {
            note(&seen, number);
            let inner = seen.clone();
            current()
                .spawn(&CHILD, move || note(&inner, number))
                .detach();
            assert_ne!(number % 3, 0, "expected");
        }),
        2 => current().spawn(&NESTED, move || {
            note(&seen, number);
            for _ in 0..4 {
                let seen = seen.clone();
                current()
                    .spawn(&CHILD, move || note(&seen, number))
                    .detach();
            }
        }),
        _ => current().spawn(&CHILD, move || {
            note(&seen, number);
            let killed = current().spawn(&CHILD, || ());
            killed.kill("test");
            let inner = seen.clone();
            current()
                .spawn(&CHILD, move || note(&inner, number))
                .detach();
        }),
    }
}

fn gate_without_reports() -> Gate {
    Gate::builder()
        .domains(lone_workers(3))
        .max_spares(0)
        .on_unobserved_failure(|_| {})
        .start()
        .unwrap()
}

#[test]
fn a_whole_chain_runs_in_one_domain_and_is_released_at_its_end() {
    // A single thread in each domain, so that the thread is the domain.
    let gate = gate_without_reports();
    let count = 1_000;
    let seen: Seen = Arc::new(Mutex::new(vec![HashSet::new(); count]));
    let handle = gate.handle();
    let leads: Vec<_> = (0..count)
        .map(|number| family(&handle, &seen, number))
        .collect();
    let ids: Vec<u64> = leads.iter().map(|lead| lead.id().get()).collect();
    let seeds: Vec<Seed> = leads.into_iter().map(value).collect();
    for (id, seed) in ids.iter().zip(&seeds) {
        assert_eq!(*seed, Seed::of(*id, &["test.child"]));
    }
    assert_eq!(seeds.iter().collect::<HashSet<_>>().len(), count);
    assert_no_chain(&gate);
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|threads| threads.len() == 1));
    let all: HashSet<_> = seen.iter().flatten().collect();
    assert_eq!(all.len(), 3, "the chains are spread over the domains");
}

#[test]
fn a_hundred_thousand_leads_in_flight_leave_nothing_behind() {
    let gate = wide_gate();
    let leads: Vec<_> = (0..100_000_u64)
        .map(|number| {
            gate.spawn(&LEAD, move || {
                let child = current().spawn(&CHILD, move || number);
                (chain().expect("a lead has one").domain(), child)
            })
        })
        .collect();
    for (number, lead) in leads.into_iter().enumerate() {
        let (domain, child) = value(lead);
        assert_eq!(child.status().domain, Some(domain));
        assert_eq!(value(child), number as u64);
    }
    assert_no_chain(&gate);
}

#[test]
fn a_chain_is_named_by_its_seed_and_counts_who_has_not_exited() {
    let gate = small_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let lead = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(&LEAD, move || {
            for _ in 0..3 {
                current().spawn(&CHILD, || ()).detach();
            }
            entered.open();
            release.wait();
        })
    };
    entered.wait();
    let live = gate.conductor().snapshot();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].seed, Seed::of(lead.id().get(), &["test.child"]));
    assert_eq!((live[0].lead, live[0].count), (lead.id().get(), 4));
    release.open();
    value(lead);
    assert_no_chain(&gate);
}

#[test]
fn a_nested_lead_stays_in_the_domain_has_its_own_seed_and_holds_its_parent() {
    let gate = wide_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let lead = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(&LEAD, move || {
            let outer = chain().expect("a lead has one");
            let nested = current().spawn_async(&NESTED, async move {
                let inner = chain().expect("a lead has one");
                assert_ne!(inner.seed(), outer.seed());
                assert_eq!(inner.domain(), outer.domain());
                drop((inner, outer));
                entered.open();
                while !release.is_open() {
                    yield_now().await;
                }
            });
            nested.detach();
        })
    };
    value(lead);
    entered.wait();
    let counts: Vec<_> = gate
        .conductor()
        .snapshot()
        .iter()
        .map(|live| live.count)
        .collect();
    assert_eq!(counts, [1, 1], "the inner chain holds the outer one");
    release.open();
    assert_no_chain(&gate);
}

#[test]
fn unanchored_calls_and_keys_leave_the_domain() {
    let gate = wide_gate();
    let here = gate.spawn(&LEAD, || {
        let domain = chain().expect("a lead has one").domain();
        // A busy domain: whoever goes by weight or by a new key leaves it.
        let waiting = (0..1_000).map(|_| current().spawn(&CHILD, || ()));
        let waiting: Vec<_> = waiting.collect();
        let away: HashSet<_> = (0..30_u64)
            .flat_map(|number| {
                let key = Key::of(KEYED.key_scope(), &number);
                let calls = [
                    Call::new(&CHILD).unanchored(),
                    Call::new(&KEYED).with_key(key),
                ];
                calls.map(|call| current().spawn(call, || ()).status().domain)
            })
            .collect();
        let here = waiting
            .iter()
            .all(|token| token.status().domain == Some(domain));
        (here, away.len())
    });
    assert_eq!(value(here), (true, 3));
    assert_no_chain(&gate);
}

#[test]
fn children_of_an_unanchored_call_are_not_in_the_chain() {
    let gate = wide_gate();
    let lead = gate.spawn(&LEAD, || {
        let call = Call::new(&CHILD).unanchored();
        current().spawn(call, || chain().is_none())
    });
    assert!(value(value(lead)));
}

#[test]
fn children_of_a_keyed_child_are_in_the_chain() {
    let gate = wide_gate();
    let lead = gate.spawn(&LEAD, || {
        let domain = chain().expect("a lead has one").domain();
        let tokens = (0..30_u64).map(|number| {
            let key = Key::of(KEYED.key_scope(), &number);
            current().spawn(Call::new(&KEYED).with_key(key), move || {
                let grandchild = current().spawn(&CHILD, || ());
                grandchild.status().domain == Some(domain)
            })
        });
        tokens.collect::<Vec<_>>()
    });
    assert!(value(lead).into_iter().all(value));
    assert_no_chain(&gate);
}

#[test]
fn undeclared_children_are_anchored_and_counted_by_name() {
    let gate = wide_gate();
    let lead = gate.spawn(&LEAD, || {
        let domain = chain().expect("a lead has one").domain();
        let strangers = (0..10).map(|_| current().spawn(&STRANGER, || ()));
        let strangers: Vec<_> = strangers.collect();
        current().spawn(&CHILD, || ()).detach();
        strangers
            .iter()
            .all(|token| token.status().domain == Some(domain))
    });
    assert!(value(lead));
    let undeclared = gate.conductor().undeclared();
    assert_eq!(
        undeclared.into_iter().collect::<Vec<_>>(),
        [("test.stranger", 10)]
    );
}

#[test]
fn a_carried_chain_anchors_calls_of_other_threads_and_keeps_the_chain() {
    let gate = wide_gate();
    for _ in 0..10 {
        let carried: Chain = value(gate.spawn(&LEAD, || chain().expect("a lead has one")));
        let seed = carried.seed();
        assert_eq!(
            gate.conductor().snapshot()[0].count,
            1,
            "the handle is counted"
        );
        let domain = carried.domain();
        let token = std::thread::spawn(move || {
            assert!(chain().is_none());
            let token = carried.run(|| {
                assert_eq!(chain().expect("it was entered").seed(), seed);
                current().spawn(&CHILD, move || {
                    chain().is_some_and(|chain| chain.seed() == seed)
                })
            });
            assert!(chain().is_none());
            token
        });
        let token = token.join().unwrap();
        assert_eq!(token.status().domain, Some(domain));
        assert!(value(token));
        assert_no_chain(&gate);
    }
}

#[test]
fn a_carried_chain_follows_a_future_and_ends_inside_another_body() {
    let gate = wide_gate();
    let carried = value(gate.spawn(&LEAD, || chain().expect("a lead has one")));
    let domain = carried.domain();
    let in_chain = carried.scope(async { [current().spawn(&CHILD, || ())] });
    let [token] = smol::block_on(in_chain);
    assert_eq!(token.status().domain, Some(domain));
    value(token);
    // A body has the chain of its own call, whatever is entered below it.
    let other = gate.handle();
    let inside = carried.run(|| other.spawn(Call::new(&CHILD).unanchored(), || chain().is_none()));
    assert!(value(inside));
    drop(carried);
    assert_no_chain(&gate);
}

#[test]
fn a_call_to_another_gate_is_not_in_the_chain() {
    let (gate, other) = (wide_gate(), wide_gate());
    let handle = other.handle();
    let lead = gate.spawn(&LEAD, move || handle.spawn(&CHILD, || chain().is_none()));
    assert!(value(value(lead)));
    assert!(other.conductor().snapshot().is_empty());
    assert_no_chain(&gate);
}

#[test]
fn a_killed_lead_whose_body_still_runs_and_calls_keeps_its_domain() {
    let gate = wide_gate();
    let (entered, release) = (Latch::new(), Latch::new());
    let (sender, receiver) = channel();
    let lead = {
        let (entered, release) = (entered.clone(), release.clone());
        gate.spawn(&LEAD, move || {
            entered.open();
            release.wait();
            let tokens = (0..10).map(|_| current().spawn(&CHILD, || ()));
            sender.send(tokens.collect::<Vec<_>>()).unwrap();
        })
    };
    entered.wait();
    let domain = lead.status().domain;
    assert!(lead.kill("test"));
    assert!(matches!(outcome(lead), Err(TokenError::Killed { .. })));
    assert_eq!(gate.conductor().snapshot().len(), 1, "it has not exited");
    release.open();
    for token in receiver.recv().unwrap() {
        assert_eq!(token.status().domain, domain);
        value(token);
    }
    assert_no_chain(&gate);
}

#[test]
fn a_lead_that_is_killed_before_it_starts_releases_its_chain() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &STRANGER);
    let lead = gate.spawn(&LEAD, || ());
    assert_eq!(gate.conductor().snapshot().len(), 1);
    lead.kill("test");
    held.release();
    assert_no_chain(&gate);
}

#[test]
fn leads_nested_as_deep_as_they_go_are_released_one_after_the_other() {
    fn dive(depth: usize, sender: Sender<Chain>) {
        if depth == 0 {
            sender.send(chain().expect("a lead has one")).unwrap();
        } else {
            current()
                .spawn(&NESTED, move || dive(depth - 1, sender))
                .detach();
        }
    }
    let gate = wide_gate();
    // Held by a handle at the bottom, all of them live until it goes.
    let (sender, receiver) = channel();
    gate.spawn(&NESTED, move || dive(100_000, sender)).detach();
    let bottom = receiver.recv().unwrap();
    wait_until("only the handle is left", || {
        gate.conductor()
            .snapshot()
            .iter()
            .all(|live| live.count == 1)
    });
    assert_eq!(gate.conductor().snapshot().len(), 100_001);
    drop(bottom);
    assert!(gate.conductor().snapshot().is_empty());
}

#[test]
fn a_chain_of_another_gate_that_is_entered_does_not_hide_the_own_one() {
    let (gate, other) = (wide_gate(), wide_gate());
    let carried = value(other.spawn(&LEAD, || chain().expect("a lead has one")));
    let lead = gate.spawn(&LEAD, move || {
        let (gate, own) = (current(), chain().expect("a lead has one").seed());
        let child = carried.run(|| gate.spawn(&CHILD, || chain().map(|chain| chain.seed())));
        (own, child)
    });
    let (own, child) = value(lead);
    assert_eq!(value(child), Some(own));
    assert_no_chain(&gate);
    assert_no_chain(&other);
}
