//! What a lane knows of the turns to come.
//!
//! Used under the lane's lock. Keeps: a place for each turn from the first to the last one of which
//! anything is known; how many tokens wait, for the router to know how busy their domain is.

use std::collections::VecDeque;
use std::mem;

use crossbeam_utils::CachePadded;
use tokengate_token::{Place, Runnable};

use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::Relaxed;

/// A lane that was long keeps memory for no more places than these.
const KEPT: usize = 16;

/// A lane tells of so many that wait at a time: it costs a line that all lanes of the domain share.
const TOLD: usize = 16;

/// What is known of some turns, one after the other.
#[derive(Default)]
pub(super) struct Places {
    /// The turn of the first place.
    first: u64,
    all: VecDeque<Turn>,
    /// How many of them wait.
    waiting: usize,
    /// How many of these the domain was told of.
    told: usize,
}

/// What is known of a turn to come.
#[derive(Default)]
pub(super) enum Turn {
    /// Nothing: its token is queued somewhere.
    #[default]
    Open,
    /// A worker came upon the token.
    Waits(Runnable),
    /// It is over: the token was ended before.
    Over,
}

impl Places {
    /// The place of a turn that comes after `now`.
    pub(super) fn of(&mut self, now: u64, turn: u64) -> &mut Turn {
        debug_assert!(now < turn);
        if self.all.is_empty() {
            self.first = now + 1;
        }
        // No overflow: a place is 16 bytes, so memory ends before the index does.
        let index = (turn - self.first) as usize;
        if index >= self.all.len() {
            self.all.resize_with(index + 1, Turn::default);
        }
        &mut self.all[index]
    }

    /// The token waits for its turn, which comes after `now`.
    pub(super) fn put(&mut self, now: u64, turn: u64, runnable: Runnable, backlogs: &Backlogs) {
        note_aside(&runnable, true);
        self.count(&runnable, self.waiting + 1, backlogs);
        *self.of(now, turn) = Turn::Waits(runnable);
    }

    /// Takes the token with this turn, if it waits.
    pub(super) fn take(&mut self, now: u64, turn: u64, backlogs: &Backlogs) -> Option<Runnable> {
        let taken = self.of(now, turn).take();
        self.taken(taken, backlogs)
    }

    /// The first turn after this one that is not over, and whoever waits for it.
    pub(super) fn advance(&mut self, turn: u64, backlogs: &Backlogs) -> (u64, Option<Runnable>) {
        let mut now = turn + 1;
        let mut next = None;
        while next.is_none()
            && let Some(place) = self.all.front_mut()
        {
            match place {
                _ if self.first < now => {}
                Turn::Over => now += 1,
                Turn::Waits(_) => next = place.take(),
                Turn::Open => break,
            }
            self.all.pop_front();
            self.first += 1;
        }
        if self.all.is_empty() && self.all.capacity() > KEPT {
            self.all = VecDeque::new();
        }
        (now, self.taken(next, backlogs))
    }

    /// Takes all that wait, oldest first.
    pub(super) fn take_all(&mut self, backlogs: &Backlogs) -> Vec<Runnable> {
        let taken: Vec<_> = self.all.iter_mut().filter_map(Turn::take).collect();
        let taken = taken.into_iter();
        taken
            .filter_map(|runnable| self.taken(Some(runnable), backlogs))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A token waits no more.
    fn taken(&mut self, taken: Option<Runnable>, backlogs: &Backlogs) -> Option<Runnable> {
        let runnable = taken?;
        note_aside(&runnable, false);
        self.count(&runnable, self.waiting - 1, backlogs);
        Some(runnable)
    }

    /// So many wait from now on.
    fn count(&mut self, runnable: &Runnable, waiting: usize, backlogs: &Backlogs) {
        self.waiting = waiting;
        let tell = waiting - waiting % TOLD;
        if tell != self.told {
            // All of a lane are in one domain.
            let domain = runnable.place().domain.unwrap_or(0);
            backlogs.change(domain, self.told, tell);
            self.told = tell;
        }
    }
}

impl Turn {
    /// Takes the runnable, if one waits.
    fn take(&mut self) -> Option<Runnable> {
        match mem::take(self) {
            Self::Waits(runnable) => Some(runnable),
            other => {
                *self = other;
                None
            }
        }
    }
}

fn note_aside(runnable: &Runnable, aside: bool) {
    runnable.set_place(Place {
        aside,
        ..runnable.place()
    });
}

/// About how many tokens wait in the lanes of each domain.
///
/// Relaxed throughout: for the router.
pub(crate) struct Backlogs(Box<[CachePadded<AtomicUsize>]>);

impl Backlogs {
    /// For so many domains.
    pub(crate) fn new(domains: usize) -> Self {
        Self((0..domains).map(|_| CachePadded::default()).collect())
    }

    /// Of this domain.
    pub(crate) fn of(&self, domain: u16) -> usize {
        self.0[usize::from(domain)].load(Relaxed)
    }

    fn change(&self, domain: u16, before: usize, after: usize) {
        let change = after.wrapping_sub(before);
        self.0[usize::from(domain)].fetch_add(change, Relaxed);
    }
}
