//! Where a call belongs: to the core of its key, the domain of its chain, or a core of its range.
//!
//! Called by the submit path for each call, after the credit. Keeps the precedence key, chain,
//! weight; a token is counted in its key and chain before anybody else sees it. It posts nothing.

use std::sync::Arc;

use tokengate_anchor::{ChainId, Key, Mark};
use tokengate_token::{Bond, Operation, Runnable, current};

use crate::handle::Call;
use crate::router::Position;
use crate::shared::Shared;
use crate::thread::ThreadState;

/// Binds the token of a call, and says where it goes.
#[inline]
pub(crate) fn bind(
    gate: &Arc<Shared>,
    thread: &ThreadState,
    call: &Call,
    runnable: &Runnable,
) -> Position {
    let chain = if call.anchored {
        thread.chain(gate)
    } else {
        None
    };
    if chain.is_none() && call.plain {
        return gate
            .router
            .route(call.weight, &thread.rotation, &gate.domains);
    }
    bind_to(gate, thread, call, chain, runnable)
}

fn bind_to(
    gate: &Arc<Shared>,
    thread: &ThreadState,
    call: &Call,
    parent: Option<ChainId>,
    runnable: &Runnable,
) -> Position {
    let operation = call.operation;
    let (position, mark) = match (call.key(), parent) {
        (Some(key), _) => {
            let mark = pin(gate, thread, call, key);
            (gate.position(mark.slot as usize), Some(mark))
        }
        (None, Some(chain)) => (
            in_domain(gate, thread, gate.anchors.chains.slot(chain)),
            None,
        ),
        (None, None) => {
            let router = &gate.router;
            let position = router.route(call.weight, &thread.rotation, &gate.domains);
            (position, None)
        }
    };
    if !gate.router.is_in_range(call.weight, position) && (mark.is_some() || parent.is_some()) {
        thread.counts.outside(gate, operation);
    }
    if parent.is_some() {
        note_undeclared(gate, operation);
    }
    let chain = match operation.external_calls() {
        Some(calls) => {
            let id = runnable.id().get();
            let chains = &gate.anchors.chains;
            Some(chains.open(id, calls, u32::from(position.domain), parent))
        }
        None => parent.inspect(|&chain| gate.anchors.chains.join(chain)),
    };
    runnable.set_bond(Bond {
        entry: mark.map(|mark| mark.entry.number()),
        turn: mark.filter(|_| operation.is_serial()).map(|mark| mark.turn),
        chain: chain.map(ChainId::number),
        limit: gate.anchors.permits.number(operation),
    });
    position
}

/// The core that the key is pinned to. A new key is pinned to the less busy one of two, and so is one that
/// is free again, unless it may as well stay. In turn if there is a lane.
#[inline]
fn pin(gate: &Shared, thread: &ThreadState, call: &Call, key: Key) -> Mark {
    let place = || {
        let router = &gate.router;
        let deferred = |core| thread.batches.deferred(gate, core);
        let position = router.route_key(call.weight, &thread.rotation, &gate.domains, deferred);
        position.flat_index() as u32
    };
    let (keys, domains) = (&gate.anchors.keys, &gate.domains);
    let keeps = |slot| {
        let at = gate.position(slot as usize);
        gate.router
            .keeps(call.weight, at, keys.known(), &thread.rotation, domains)
    };
    if call.operation.is_serial() {
        keys.mark_in_turn(key, keeps, place)
    } else {
        keys.mark_or_keep(key, keeps, place)
    }
}

/// A core of a domain, one after the other.
fn in_domain(gate: &Shared, thread: &ThreadState, domain: u32) -> Position {
    let cores = gate.cores_of(domain as usize);
    match cores {
        [only] => *only,
        cores => cores[thread.rotation.next() % cores.len()],
    }
}

/// Notes a call that the lead, whose body makes it, does not declare.
fn note_undeclared(gate: &Shared, called: &Operation) {
    let Some((_, lead)) = current() else { return };
    if let Some(declared) = lead.external_calls()
        && !declared.contains(&called.label())
    {
        gate.anchors.chains.note_undeclared(called.label());
    }
}
