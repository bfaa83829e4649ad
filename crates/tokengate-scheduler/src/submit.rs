//! One call: room, cell, route, publication, in this order, inline on the calling thread.
//!
//! Called by the forms of `Handle`. Keeps: a refused call has made no token and gives its body
//! back; a token that was made is published, deferred in an open batch, or rejected.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use tokengate_token::{Body, Keeper, Place, RejectCause, Runnable, Times, Token, create, in_body};

use crate::batch;
use crate::bind::bind;
use crate::clock;
use crate::config::Full;
use crate::contain::contain;
use crate::deadlines::apply;
use crate::handle::{Call, Refused};
use crate::router::Position;
use crate::shared::Shared;
use crate::thread::{self, ThreadState};

/// What to do about room.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Room {
    /// In a body none is needed; else what the scheduler's policy says.
    Policy,
    /// It must be there now.
    Now,
    /// Wait for it until then, or for as long as it takes.
    Until(Option<Instant>),
}

type Submitted<B> = Result<Token<<B as Body>::Output, <B as Body>::Error>, Refused<B>>;

/// Submits, or gives the body back.
#[inline]
pub(crate) fn submit<B: Body>(
    gate: &Arc<Shared>,
    call: &Call,
    body: B,
    room: Room,
) -> Submitted<B> {
    thread::with(|thread| match take_room(gate, thread, room) {
        Ok(credit) => Ok(publish(gate, thread, call, body, credit)),
        Err(cause) => {
            if matches!(room, Room::Policy) {
                // Then the caller gets a token, which is rejected.
                gate.refused(call.operation);
            }
            Err(Refused { body, cause })
        }
    })
}

/// Waits for room, then submits.
pub(crate) async fn submit_async<B: Body>(
    gate: &Arc<Shared>,
    call: Call,
    refused: Refused<B>,
) -> Token<B::Output, B::Error> {
    if refused.cause == RejectCause::ShutDown {
        return rejected_by(gate, call, refused.body, refused.cause);
    }
    batch::flush();
    let child = thread::with(ThreadState::calls_children);
    let drawn = gate.admission.draw_async(|| refuses(gate, child)).await;
    if drawn == 0 {
        return rejected_by(gate, call, refused.body, RejectCause::ShutDown);
    }
    thread::with(|thread| {
        thread.keep_credits(gate, drawn - 1);
        publish(gate, thread, &call, refused.body, true)
    })
}

/// A token that is rejected from the start: for calls that have no scheduler to go to.
///
/// Drops the body here and now.
#[cold]
pub fn rejected<B: Body>(call: Call, body: B, cause: RejectCause) -> Token<B::Output, B::Error> {
    let (token, runnable) = create(call.operation(), body);
    runnable.reject(cause);
    token
}

/// As [`rejected`], by this scheduler.
#[cold]
pub(crate) fn rejected_by<B: Body>(
    gate: &Shared,
    call: Call,
    body: B,
    cause: RejectCause,
) -> Token<B::Output, B::Error> {
    gate.refused(call.operation);
    rejected(call, body, cause)
}

/// Makes the token and publishes it.
#[inline]
fn publish<B: Body>(
    gate: &Arc<Shared>,
    thread: &ThreadState,
    call: &Call,
    body: B,
    credit: bool,
) -> Token<B::Output, B::Error> {
    let (token, runnable) = create(call.operation, body);
    if thread.sampling.is_next(gate.sample_step) {
        note_submission(&runnable);
    }
    let position = bind(gate, thread, call, &runnable);
    thread.counts.made(gate, call.operation, position.domain);
    runnable.set_place(Place {
        gate: gate.number.get(),
        domain: Some(position.domain),
        aside: false,
        permit: false,
        published: true,
        credit,
    });
    // After it is bound: from here the timer may end it.
    if (!call.plain && call.is_limited() || gate.equips_all)
        && let Err(cause) = equip(gate, call, &runnable)
    {
        thread.keep_credits(gate, usize::from(credit));
        reject_alone(gate, runnable, &cause);
        return token;
    }
    post(gate, thread, position, runnable);
    token
}

/// Gives the token what is rare.
#[cold]
fn equip(gate: &Arc<Shared>, call: &Call, runnable: &Runnable) -> Result<(), RejectCause> {
    if let Some(tracking) = &gate.tracking {
        tracking.add(runnable);
    }
    if let Some(hook) = &gate.hooks.companion {
        let companion = contain(|| hook(runnable.id(), runnable.operation())).flatten();
        companion
            .into_iter()
            .for_each(|it| runnable.set_companion(it));
    }
    apply(gate, call, runnable)
}

/// Rejects a token that has not been posted; those behind it in its lane go on.
#[cold]
fn reject_alone(gate: &Shared, runnable: Runnable, cause: &RejectCause) {
    // The next one is in no queue for a moment.
    gate.entered();
    let bond = gate
        .anchors
        .give_up(runnable, |it| it.reject(cause.clone()));
    gate.exited(bond);
    gate.left();
}

/// The token is one to measure.
#[cold]
fn note_submission(runnable: &Runnable) {
    runnable.set_times(Times {
        submitted: NonZeroU64::new(clock::now_ns()),
        ..Times::default()
    });
}

#[inline]
fn post(gate: &Arc<Shared>, thread: &ThreadState, position: Position, runnable: Runnable) {
    let runnable = match thread.batches.defer(gate, position, runnable) {
        Ok(None) => return,
        Ok(Some(due)) => return due.publish(gate, position.flat_index()),
        Err(runnable) => runnable,
    };
    let domain = &*gate.domains[usize::from(position.domain)];
    let Err(runnable) = thread.push_local(domain, runnable) else {
        return;
    };
    if let Err(runnable) = domain.post(usize::from(position.core), runnable) {
        gate.anchors.reject(runnable, &RejectCause::ShutDown);
    }
}

/// Takes a credit, if the call needs one; whether it did.
#[inline]
fn take_room(gate: &Arc<Shared>, thread: &ThreadState, room: Room) -> Result<bool, RejectCause> {
    if !gate.refuses_roots() && !in_body() && thread.use_credit(gate) {
        return Ok(true);
    }
    take_room_slowly(gate, thread, room)
}

#[cold]
fn take_room_slowly(
    gate: &Arc<Shared>,
    thread: &ThreadState,
    room: Room,
) -> Result<bool, RejectCause> {
    let child = thread.calls_children();
    if refuses(gate, child) {
        return Err(RejectCause::ShutDown);
    }
    if child && matches!(room, Room::Policy) {
        return Ok(false);
    }
    if thread.use_credit(gate) {
        return Ok(true);
    }
    let admission = &gate.admission;
    let deadline = match (room, gate.full) {
        (Room::Now, _) | (Room::Policy, Full::Reject) => None,
        (Room::Policy, Full::Wait) => Some(None),
        (Room::Until(deadline), _) => Some(deadline),
    };
    let mut drawn = admission.draw();
    if drawn == 0
        && let Some(deadline) = deadline
    {
        // What this thread has not published could be what everybody waits for.
        batch::flush();
        drawn = admission.draw_waiting(deadline, || refuses(gate, child));
    }
    if drawn == 0 {
        return Err(if refuses(gate, child) {
            RejectCause::ShutDown
        } else {
            RejectCause::Full {
                capacity: admission.capacity(),
            }
        });
    }
    thread.keep_credits(gate, drawn - 1);
    Ok(true)
}

/// Whether the gate takes no such calls any more: a drain refuses roots, and lets bodies call.
fn refuses(gate: &Shared, child: bool) -> bool {
    if child {
        gate.is_stopping()
    } else {
        gate.refuses_roots()
    }
}
