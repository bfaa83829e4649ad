//! Exits on threads that are not the gate's own: tokens that are ended before they have started.
//!
//! Called by the token crate from whoever ends such a token: a user's thread, a body, the timer.
//! Keeps: what such a token held is given back at once, and the next one of its lane is posted, never
//! run here. A drain does not take the gate for quiet while somebody is inside.

use tokengate_token::{Bond, Home, Keeper, Runnable};

use crate::shared::Shared;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::{AcqRel, Acquire};

/// Counts those who come and those who leave.
///
/// Between the claim of a token whose turn it is in its lane and the post of the next one, those who wait
/// are in no queue: workers may find nothing, and park.
#[derive(Default)]
pub(crate) struct Outsiders {
    entered: AtomicUsize,
    left: AtomicUsize,
    /// How many give back what a token held at the moment: no destructor of a body runs there.
    exiting: AtomicUsize,
}

impl Outsiders {
    /// How many have ever come, if all have left. Two looks with one answer had nobody in between.
    pub(crate) fn none_inside(&self) -> Option<usize> {
        // Acquire, and in this order: who has left is among those who have entered. What they have
        // posted is seen after it.
        let left = self.left.load(Acquire);
        (self.entered.load(Acquire) == left).then_some(left)
    }

    /// Whether nobody is at an exit. To be asked when nothing comes into lanes any more, and what was there
    /// is taken: whoever has taken the next one out of a lane before that is seen here.
    pub(crate) fn none_exiting(&self) -> bool {
        self.exiting.load(Acquire) == 0
    }
}

impl Keeper for Shared {
    fn entered(&self) {
        // AcqRel: before the claim, so that whoever finds the tombstone and then parks has it seen.
        self.outsiders.entered.fetch_add(1, AcqRel);
    }

    fn exited(&self, bond: Bond) {
        // AcqRel, both: before the lock of the lane, which who takes all acquires, and after the post.
        self.outsiders.exiting.fetch_add(1, AcqRel);
        let over = self.anchors.exit(bond);
        let left = over.tombstone.into_iter().chain(over.next);
        left.for_each(|runnable| self.post_home(runnable));
        self.outsiders.exiting.fetch_sub(1, AcqRel);
        self.note_progress();
    }

    fn has_turn(&self, bond: Bond) -> bool {
        self.anchors.has_turn(bond)
    }

    fn left(&self) {
        // AcqRel: after the post.
        self.outsiders.left.fetch_add(1, AcqRel);
        self.note_progress();
    }
}

impl Shared {
    /// Posts a token to its domain; ends it if that is closed.
    fn post_home(&self, runnable: Runnable) {
        let domain = runnable.place().domain.map_or(0, usize::from);
        Home::post(&*self.domains[domain], runnable);
    }
}
