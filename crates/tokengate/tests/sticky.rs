//! Tokens of one key go to one domain for as long as any of them is in flight.

mod common;

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use common::{Held, Latch, lone_workers, outcome, small_gate, value, wait_until, wide_gate};
use tokengate::{
    Call, Gate, Key, Operation, Token, TokenError, TokenState, Weight, WeightRanges,
    task_token_guard,
};

static OP: Operation = Operation::new("test.keyed");
static SERIAL: Operation = Operation::new("test.serial").serial();
static FREE: Operation = Operation::new("test.free");

fn keyed(key: u64) -> Call {
    Call::new(&OP).with_key(Key::of(OP.key_scope(), &key))
}

fn domain_of<T, E>(token: &Token<T, E>) -> usize {
    token.status().domain.expect("it was routed")
}

/// Nothing is pinned any more, at the latest when the workers have looked around.
fn assert_nothing_pinned(gate: &Gate) {
    wait_until("no key is pinned", || gate.sticky().snapshot().is_empty());
}

#[test]
fn all_tokens_of_a_key_run_where_the_first_one_went() {
    let gate = wide_gate();
    let hold = Latch::new();
    let first = {
        let hold = hold.clone();
        gate.spawn(keyed(1), move || hold.wait())
    };
    let pinned = domain_of(&first);
    let bursts = [1, 10, 100, 1_000, 10_000];
    let handle = gate.handle();
    for burst in bursts {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || {
                    let tokens = (0..burst / 8 + 1).map(|_| handle.spawn(keyed(1), || ()));
                    tokens.collect::<Vec<_>>()
                })
            })
            .collect();
        for thread in threads {
            for token in thread.join().unwrap() {
                assert_eq!(domain_of(&token), pinned);
                token.detach();
            }
        }
    }
    let snapshot = gate.sticky().snapshot();
    assert_eq!(snapshot.len(), 1);
    assert_eq!(snapshot[0].domain, pinned);
    assert_eq!(
        gate.handle().sticky().domain_of(snapshot[0].key),
        Some(pinned)
    );
    hold.open();
    value(first);
    assert_nothing_pinned(&gate);
}

#[test]
fn a_key_without_tokens_is_free_to_go_elsewhere_and_does() {
    let gate = wide_gate();
    let one_by_one = (0..100).map(|_| {
        let token = gate.spawn(keyed(1), || ());
        let domain = domain_of(&token);
        value(token);
        assert_nothing_pinned(&gate);
        domain
    });
    let domains: HashSet<usize> = one_by_one.collect();
    assert_eq!(domains.len(), 3);
}

#[test]
fn a_pin_holds_until_the_body_is_gone_though_its_token_has_resolved() {
    let gate = wide_gate();
    let (entered, hold) = (Latch::new(), Latch::new());
    let zombie = {
        let (entered, hold) = (entered.clone(), hold.clone());
        gate.spawn(keyed(1), move || {
            entered.open();
            hold.wait();
        })
    };
    entered.wait();
    let pinned = domain_of(&zombie);
    assert!(zombie.kill("test"));
    assert!(matches!(outcome(zombie), Err(TokenError::Killed { .. })));
    for _ in 0..10 {
        let behind = gate.spawn(keyed(1), || ());
        assert_eq!(domain_of(&behind), pinned);
    }
    hold.open();
    assert_nothing_pinned(&gate);
}

#[test]
fn a_killed_token_that_never_started_gives_its_pin_back() {
    let gate = small_gate();
    let held = Held::new(&gate.handle(), &FREE);
    let tokens: Vec<_> = (0..10).map(|_| gate.spawn(keyed(1), || ())).collect();
    assert_eq!(gate.sticky().snapshot()[0].tokens, 10);
    for token in tokens {
        token.kill("test");
    }
    held.release();
    assert_nothing_pinned(&gate);
}

#[test]
fn a_key_goes_over_the_range_of_its_weight_only_if_it_is_pinned_there() {
    let gate = Gate::builder()
        .domains(lone_workers(3))
        .weight_ranges(WeightRanges::strict())
        .start()
        .unwrap();
    let light = |key| keyed(key).with_weight(Weight::Light);
    for key in 0..20 {
        let token = gate.spawn(light(key), || ());
        assert_eq!(domain_of(&token), 2);
        value(token);
    }
    // Pinned by a heavy one, light ones follow.
    let (tokens, hold): (Vec<_>, Latch) = (Vec::new(), Latch::new());
    let mut tokens = tokens;
    for key in 0..20 {
        let hold = hold.clone();
        let heavy = gate.spawn(keyed(key).with_weight(Weight::Heavy), move || hold.wait());
        let follower = gate.spawn(light(key), || ());
        assert_eq!(domain_of(&follower), domain_of(&heavy));
        tokens.extend([heavy, follower]);
    }
    hold.open();
    tokens.into_iter().for_each(value);
    assert_nothing_pinned(&gate);
}

#[test]
fn many_keys_leave_nothing_behind() {
    let gate = wide_gate();
    for round in 0..20_u64 {
        let tokens: Vec<_> = gate.batch(|| {
            let keys = (0..5_000).map(|key| round * 5_000 + key);
            keys.map(|key| gate.spawn(keyed(key), || ())).collect()
        });
        for result in tokengate::get_all(tokens) {
            result.unwrap();
        }
    }
    assert_nothing_pinned(&gate);
}

#[test]
fn a_key_lingers_if_that_is_asked_for() {
    let gate = Gate::builder()
        .domains(lone_workers(3))
        .sticky_linger(common::HANG, 100)
        .start()
        .unwrap();
    let first = gate.spawn(keyed(1), || ());
    let pinned = domain_of(&first);
    value(first);
    assert_nothing_pinned(&gate);
    for _ in 0..50 {
        let token = gate.spawn(keyed(1), || ());
        assert_eq!(domain_of(&token), pinned);
        value(token);
    }
    assert_nothing_pinned(&gate);
}

#[test]
fn a_hash_that_panics_reaches_the_caller_and_pins_nothing() {
    struct Panics;
    impl Hash for Panics {
        fn hash<H: Hasher>(&self, _: &mut H) {
            panic!("no hash");
        }
    }
    let gate = wide_gate();
    let call = AssertUnwindSafe(|| Key::of("scope", &Panics));
    assert!(catch_unwind(call).is_err());
    assert!(gate.sticky().snapshot().is_empty());
    value(gate.spawn(keyed(1), || ()));
}

#[test]
fn two_keys_of_one_hash_share_pin_and_lane_and_nothing_else() {
    let gate = wide_gate();
    let same = Key::from_hash(7);
    let hold = Latch::new();
    let first = {
        let hold = hold.clone();
        gate.spawn(Call::new(&SERIAL).with_key(same), move || {
            hold.wait();
            1
        })
    };
    let second = gate.spawn(Call::new(&SERIAL).with_key(same), || 2);
    assert_eq!(domain_of(&first), domain_of(&second));
    assert_eq!(second.state(), TokenState::Waiting);
    hold.open();
    assert_eq!((value(first), value(second)), (1, 2));
    assert_nothing_pinned(&gate);
}

#[test]
fn pins_of_two_gates_have_nothing_to_do_with_each_other() {
    let (one, other) = (wide_gate(), wide_gate());
    let hold = Latch::new();
    let token = {
        let hold = hold.clone();
        one.spawn(keyed(1), move || hold.wait())
    };
    assert!(other.sticky().snapshot().is_empty());
    value(other.spawn(keyed(1), || ()));
    hold.open();
    value(token);
    assert_nothing_pinned(&one);
}

#[test]
fn what_remains_of_a_gate_that_ends_is_given_back() {
    let gate = wide_gate();
    let counted = Arc::new(());
    let held = Held::new(&gate.handle(), keyed(0));
    for key in 0..100 {
        let counted = counted.clone();
        gate.spawn(keyed(key % 7), move || drop(counted)).detach();
    }
    let handle = gate.handle();
    drop(held);
    drop(gate);
    assert_eq!(Arc::strong_count(&counted), 1);
    assert!(handle.sticky().snapshot().is_empty());
}

#[task_token_guard(operation_type = "test.mutates", tags(serial, key(list)))]
fn mutates(mut list: Vec<u64>, entered: Latch, release: Latch) -> usize {
    list.push(7);
    list.sort_unstable();
    entered.open();
    release.wait();
    list.len()
}

#[test]
fn an_argument_that_the_body_changes_leaves_its_key_as_it_was() {
    let gate = wide_gate();
    let _entered = gate.enter();
    let (entered, release) = (Latch::new(), Latch::new());
    let first = mutates(vec![9, 8], entered.clone(), release.clone());
    entered.wait();
    // The first one's list is another by now; the key is that of the call.
    let second = mutates(vec![9, 8], Latch::new(), release.clone());
    assert_eq!(domain_of(&second), domain_of(&first));
    assert_eq!(second.state(), TokenState::Waiting);
    release.open();
    assert_eq!((value(first), value(second)), (3, 3));
    assert_nothing_pinned(&gate);
}
