//! Finds blocking waits that can never end: those that lead back to the body that makes them.
//!
//! Called by a scheduler's wait hook before it parks. Every blocked body of the process is announced
//! here with the tokens that it waits for, under one lock, so that of the waits of a cycle the last
//! one finds the others. It blocks nobody: a wait that is not part of a cycle ends when its tokens
//! do.
//!
//! A thread that is blocked holds up all bodies on its stack, with what they hold. A token waits for
//! such a stack if
//!
//! * its body is on it, or
//! * it is behind a body on it in the lane of their key, or
//! * it has not started, and each permit of its limit is held by a body on this or another stack.
//!
//! Of lane and body one stack is enough; of the permits one that comes free is. So a wait is
//! *hopeless* if one of its tokens waits only for stacks of hopeless waits: [`Waits::hopeless`] begins
//! with all waits and takes out those that can end, until none is left that can.
//!
//! Waits with a limit of time end by themselves, so they are not announced, and nobody is refused for
//! their sake; but they are refused at once. Not found is a token behind another one in its lane that
//! waits for a permit and runs nowhere: see the scheduler's page on permits.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cell::Header;
use crate::context;
use crate::error::{Deadlock, DeadlockCause};
use crate::view::TokenView;
use crate::wait::Wait;

/// The waits of the process, and what they may wait for.
static WAITS: Mutex<Waits> = Mutex::new(Waits {
    blocked: Vec::new(),
    permits: BTreeMap::new(),
});

struct Waits {
    /// Those that are announced.
    blocked: Vec<Blocked>,
    permits: BTreeMap<Limit, usize>,
}

/// The number of a gate, and that of a limit in it.
type Limit = (u16, NonZeroU16);

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

/// Notes how many tokens of a limit may execute at once, for those who wait for one.
///
/// Both numbers are those in the tokens' [`Place`](crate::Place) and [`Bond`](crate::Bond). A limit that is not
/// noted keeps nobody from starting.
pub fn set_permits(gate: u16, limit: NonZeroU16, permits: usize) {
    waits().permits.insert((gate, limit), permits);
}

/// Forgets the limits of a gate, whose number is used by another one from now on.
pub fn forget_permits(gate: u16) {
    waits().permits.retain(|&(other, _), _| other != gate);
}

impl Held {
    #[expect(unsafe_code, reason = "reads through the cell pointer")]
    fn header(&self) -> &Header {
        // SAFETY: see the type; who reads it holds the lock, or made the list.
        unsafe { self.0.as_ref() }
    }

    fn view(&self) -> TokenView {
        TokenView::of(self.header())
    }

    fn is_open(&self) -> bool {
        !self.header().state().load().resolved()
    }

    /// Whether this token, which is waited for, cannot resolve before that body exits.
    fn needs(&self, body: &Self) -> bool {
        self.is_open() && (self.0 == body.0 || self.view().is_behind(&body.view()))
    }

    /// The limit that it needs a permit of, and has none yet.
    fn lacks(&self) -> Option<Limit> {
        let now = self.header().state().load();
        let view = self.view();
        if now.started() || now.resolved() || view.place.permit {
            return None;
        }
        view.limit()
    }
}

impl Blocked {
    /// Whether this wait cannot end before a body on that stack exits, permits apart.
    fn needs(&self, stack: &[Held]) -> bool {
        self.awaited
            .iter()
            .any(|token| stack.iter().any(|body| token.needs(body)))
    }

    /// How many permits of this limit are held on the stack.
    fn holds(&self, limit: Limit) -> usize {
        let holds = |body: &&Held| body.view().limit() == Some(limit);
        self.stack.iter().filter(holds).count()
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
        let wait = Blocked {
            key: 0,
            stack: context::frames().map(Held).collect(),
            awaited: self.open_cells().into_iter().map(Held).collect(),
        };
        let announced = !self.has_limit() && !wait.stack.is_empty();
        let mut waits = waits();
        // In order of the keys, so the last one has the greatest.
        let key = waits.blocked.last().map_or(0, |last| last.key) + 1;
        waits.blocked.push(Blocked { key, ..wait });
        let deadlock = waits.deadlock_of_last();
        if deadlock.is_some() || !announced {
            waits.blocked.pop();
        }
        match deadlock {
            Some(deadlock) => Err(deadlock),
            None => Ok(Announced {
                key: announced.then_some(key),
            }),
        }
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
            waits().blocked.retain(|wait| wait.key != key);
        }
    }
}

fn waits() -> MutexGuard<'static, Waits> {
    // Nothing that can panic runs under this lock.
    WAITS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a token of this header, which is awaited by the body that runs on this thread, lacks a
/// permit, while that body holds all that there are.
pub(crate) fn is_permit_of_this_body(header: NonNull<Header>) -> bool {
    let Some(limit) = Held(header).lacks() else {
        return false;
    };
    let held = Blocked {
        key: 0,
        stack: context::frames().map(Held).collect(),
        awaited: Vec::new(),
    }
    .holds(limit);
    held > 0 && waits().permits_of(limit) <= held
}

impl Waits {
    fn permits_of(&self, limit: Limit) -> usize {
        self.permits.get(&limit).copied().unwrap_or(usize::MAX)
    }

    /// Whether this wait cannot end as long as none of the chosen ones does.
    fn depends(&self, wait: &Blocked, chosen: &[bool]) -> bool {
        let stacks = || {
            let all = self.blocked.iter().zip(chosen);
            all.filter(|&(_, &chosen)| chosen).map(|(other, _)| other)
        };
        let lacks = |limit| {
            let held: usize = stacks().map(|other| other.holds(limit)).sum();
            held >= self.permits_of(limit)
        };
        stacks().any(|other| wait.needs(&other.stack))
            || wait.awaited.iter().filter_map(Held::lacks).any(lacks)
    }

    /// The waits that can never end, if the last one is one of them.
    fn hopeless(&self) -> Option<Vec<bool>> {
        let mut hopeless = vec![true; self.blocked.len()];
        let mut changed = true;
        while changed {
            // The last one first: mostly it is not, and that ends it.
            changed = false;
            for index in (0..self.blocked.len()).rev() {
                if hopeless[index] && !self.depends(&self.blocked[index], &hopeless) {
                    (hopeless[index], changed) = (false, true);
                    if index + 1 == self.blocked.len() {
                        return None;
                    }
                }
            }
        }
        Some(hopeless)
    }

    /// What the last wait would be part of.
    fn deadlock_of_last(&self) -> Option<Deadlock> {
        let (wait, _) = self.blocked.split_last()?;
        if wait.needs(&wait.stack) {
            return Some(DeadlockCause::OwnLane.into());
        }
        let hopeless = self.hopeless()?;
        let last = self.blocked.len() - 1;
        let alone: Vec<_> = (0..=last).map(|index| index == last).collect();
        if self.depends(wait, &alone) {
            return Some(DeadlockCause::OwnPermit.into());
        }
        Some(Deadlock {
            cause: DeadlockCause::Cycle,
            through: self.way_back(&hopeless),
        })
    }

    /// Whether what one wait needs is on the stack of the other.
    fn leads_to(&self, wait: &Blocked, other: &Blocked) -> bool {
        let lacks = || wait.awaited.iter().filter_map(Held::lacks);
        wait.needs(&other.stack) || lacks().any(|limit| other.holds(limit) > 0)
    }

    /// The labels of the bodies that wait for one another, from the last wait back to it.
    fn way_back(&self, hopeless: &[bool]) -> Box<[&'static str]> {
        let last = self.blocked.len() - 1;
        // Depth first, each wait once; `from` says by which one it was reached.
        let mut from = vec![None; self.blocked.len()];
        let mut next = vec![last];
        while let Some(at) = next.pop() {
            if at != last && self.leads_to(&self.blocked[at], &self.blocked[last]) {
                let back = std::iter::successors(Some(at), |&at| from[at]);
                let mut labels: Vec<_> = back.map(|at| self.blocked[at].label()).collect();
                labels.reverse();
                return labels.into_iter().flatten().collect();
            }
            for other in 0..last {
                let fresh = hopeless[other] && from[other].is_none();
                if fresh && self.leads_to(&self.blocked[at], &self.blocked[other]) {
                    from[other] = Some(at);
                    next.push(other);
                }
            }
        }
        // It leads into a cycle of others.
        self.blocked[last].label().into_iter().collect()
    }
}
