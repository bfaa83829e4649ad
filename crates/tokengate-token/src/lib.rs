//! A task cell in one allocation: the token for the caller, the runnable for the executor.
//!
//! [`create`] turns a closure or a future into two halves. The [`Token`] is awaited, blocked on,
//! killed or dropped by whoever made the call; the [`Runnable`] is queued and run, or abandoned, by
//! whatever executor there is. The crate has no threads, no clock and no queue but an [`Inbox`] to build
//! some on.
//!
//! Use it alone to give an executor or thread pool of your own handles that resolve exactly once,
//! under any async runtime or none; the example on [`Token`] is a whole executor. With pinned
//! workers, routing and guarded functions it is the crate `tokengate`.
//!
//! # Costs
//!
//! A token is one allocation of 112 bytes for bodies and results of up to 32, recycled by the
//! thread that frees it (at most 2 MiB a thread). Its life takes two atomic read-modify-writes if
//! nobody waits: the start and the end.
//!
//! # Consistency
//!
//! Making a token happens before its body runs; the body, and its arguments' destructors, happen
//! before the token is seen as resolved, unless it was killed.
#![doc = include_str!("STATE.md")]

mod barrier;
mod body;
mod bond;
mod cell;
mod companion;
mod context;
mod deadline;
mod deadlock;
mod error;
mod extras;
mod id;
mod inbox;
mod join;
mod keeper;
mod killer;
mod list;
mod memory;
mod moment;
mod operation;
mod present;
mod retried;
mod retry;
mod runnable;
mod state;
mod sync;
mod token;
mod view;
mod wait;
mod weight;

pub use body::{Async, Body, Fallible, FallibleAsync, IsResult, Plain, create};
pub use bond::Bond;
pub use cell::Place;
pub use companion::Companion;
pub use context::{before_wait, cancelled, check, current, current_bond, in_body, set_before_wait};
pub use deadline::{Deadline, Phase};
pub use deadlock::{forget_permits, set_permits};
pub use error::{
    Cancelled, Deadlock, DeadlockCause, KillReason, Panic, RejectCause, Rejection, TokenError,
    panic_message,
};
pub use extras::{AlarmId, Times};
pub use id::TokenId;
pub use inbox::{Inbox, Posted};
pub use join::{JoinAll, get_all, join_all};
pub use keeper::{GateNumber, Keeper};
pub use killer::{Killer, TokenLook};
pub use list::RunnableList;
pub use moment::set_clock;
pub use operation::Operation;
pub use present::{Present, PresentKilled, PresentToken, Watcher};
pub use retried::Retried;
pub use retry::{Attempt, Retry};
pub use runnable::{Abandoned, Failure, FailureKind, Home, NoHome, Ran, Runnable, TaskRef};
pub use state::Outcome;
pub use token::{KillOnDrop, Status, Token, TokenState};
pub use view::TokenView;
pub use wait::{Startable, Wait, WaitHook, set_wait_hook};
pub use weight::Weight;

/// Calls user code whose panic must not get any further: destructors and wakers.
fn contain(call: impl FnOnce()) {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    if cfg!(tokengate_loom) {
        // The model checker speaks by panics.
        return call();
    }
    let mut thrown = catch_unwind(AssertUnwindSafe(call)).err();
    // A payload's destructor may panic too, with a payload of its own, but there is an end to it.
    for _ in 0..8 {
        let Some(payload) = thrown else { return };
        thrown = catch_unwind(AssertUnwindSafe(|| drop(payload))).err();
    }
    std::mem::forget(thrown);
}
