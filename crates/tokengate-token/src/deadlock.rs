//! Finds blocking waits that can never end: those that lead back to the body that makes them.
//!
//! Called by a scheduler's wait hook before it parks. Every blocked body of the process is announced
//! here with the tokens that it waits for, under one lock, so that of the waits of a cycle the last
//! one finds the others. It blocks nobody: a wait that is not part of a cycle ends when its tokens
//! do.
//!
//! A body waits for another one if it waits
//!
//! * for the token of that body, or
//! * for a token behind that body in the lane of their key: it cannot start before that body exits.
//!
//! A thread that is blocked holds up all bodies on its stack. Waits with a limit end by themselves,
//! so they are not announced, and nobody is refused for their sake; but they are refused at once.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cell::Header;
use crate::context;
use crate::error::{Deadlock, DeadlockCause};
use crate::view::TokenView;
use crate::wait::Wait;

/// The waits of the process that are announced.
static BLOCKED: Mutex<Vec<Blocked>> = Mutex::new(Vec::new());

/// A thread whose innermost body waits.
struct Blocked {
    key: usize,
    /// The bodies on its stack, the innermost first.
    stack: Vec<Held>,
    awaited: Vec<Held>,
}

/// A cell that is alive as long as its wait is announced: its body is on the stack of the thread
/// that waits, or its handle is borrowed by the wait.
#[derive(Clone, Copy)]
struct Held(NonNull<Header>);

#[expect(unsafe_code, reason = "points to a cell that threads share")]
// SAFETY: only the header is read, which is made for sharing, and only while it is alive.
unsafe impl Send for Held {}

impl Held {
    #[expect(unsafe_code, reason = "reads through the cell pointer")]
    fn header(&self) -> &Header {
        // SAFETY: see the type; who reads it holds the lock, or made the list.
        unsafe { self.0.as_ref() }
    }

    /// Whether this token, which is waited for, cannot resolve before that body exits.
    fn needs(&self, body: &Self) -> bool {
        !self.header().state().load().resolved()
            && (self.0 == body.0
                || TokenView::of(self.header()).shares_lane(&TokenView::of(body.header())))
    }
}

impl Blocked {
    /// Whether this wait cannot end before a body on that stack exits.
    fn needs(&self, stack: &[Held]) -> bool {
        self.awaited
            .iter()
            .any(|token| stack.iter().any(|body| token.needs(body)))
    }

    /// The label of the body that waits.
    fn label(&self) -> Option<&'static str> {
        Some(self.stack.first()?.header().operation().label())
    }
}

impl Wait<'_> {
    /// Calls `blocked`, and makes this wait of the bodies that run on this thread known meanwhile;
    /// not if it could never end.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] if it leads back to one of these bodies; else what `blocked` gives.
    pub fn announced<R>(
        &mut self,
        blocked: impl FnOnce(&mut Self) -> Result<R, Deadlock>,
    ) -> Result<R, Deadlock> {
        let _announced = self.announce()?;
        blocked(self)
    }

    fn announce(&mut self) -> Result<Announced, Deadlock> {
        let mut wait = Blocked {
            key: 0,
            stack: context::frames().map(Held).collect(),
            awaited: self.open_cells().into_iter().map(Held).collect(),
        };
        let mut all = blocked();
        if let Some(deadlock) = find_cycle(&wait, &all) {
            return Err(deadlock);
        }
        let announced = !self.has_limit() && !wait.stack.is_empty();
        let key = announced.then(|| {
            // In order of the keys, so the last one has the greatest.
            let last = all.last().map_or(0, |last| last.key);
            wait.key = last + 1;
            all.push(wait);
            last + 1
        });
        Ok(Announced { key })
    }
}

/// A wait that others can see; ends with this.
///
/// It does not leave this file: to forget one would leave cells in the list that are gone.
struct Announced {
    /// None for waits with a limit.
    key: Option<usize>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            blocked().retain(|wait| wait.key != key);
        }
    }
}

fn blocked() -> MutexGuard<'static, Vec<Blocked>> {
    // Nothing that can panic runs under this lock.
    BLOCKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cycle that this wait would close.
fn find_cycle(wait: &Blocked, all: &[Blocked]) -> Option<Deadlock> {
    if wait.needs(&wait.stack) {
        return Some(DeadlockCause::OwnLane.into());
    }
    // Depth first, each wait once; `from` says by which one it was reached.
    let mut from: Vec<Option<usize>> = vec![None; all.len()];
    let mut reached = vec![false; all.len()];
    let mut next = Vec::new();
    let mut at = None;
    loop {
        let present = at.map_or(wait, |index: usize| &all[index]);
        for (index, other) in all.iter().enumerate() {
            if !reached[index] && present.needs(&other.stack) {
                reached[index] = true;
                from[index] = at;
                next.push(index);
            }
        }
        let index = next.pop()?;
        if all[index].needs(&wait.stack) {
            let back = std::iter::successors(Some(index), |&at| from[at]);
            let mut through: Vec<_> = back.map(|at| all[at].label()).collect();
            through.push(wait.label());
            through.reverse();
            return Some(Deadlock {
                cause: DeadlockCause::Cycle,
                through: through.into_iter().flatten().collect(),
            });
        }
        at = Some(index);
    }
}
