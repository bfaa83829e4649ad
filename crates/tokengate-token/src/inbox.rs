//! The inbox of a consumer: many producers, one step to post, one to take everything.
//!
//! A scheduler builds its mailboxes on it. Posting is one compare-and-swap, for one runnable or a
//! whole list; the answer says whether the inbox was empty, so that only the *edge* from empty to
//! non-empty has to unpark anybody. Taking swaps the whole content out, hence no removal of single
//! nodes, no ABA. Closing is a take that leaves a mark: whoever posts after it gets the runnables
//! back. It parks nobody and keeps no count.

use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use crate::cell::Header;
use crate::runnable::Runnable;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A list of runnables; dropping it abandons them.
///
/// Pushes and pops at the front, in constant time and without allocation.
///
/// ```
/// use tokengate_token::{create, Operation, Plain, RunnableList};
/// static OP: Operation = Operation::new("example");
/// let mut list = RunnableList::new();
/// let (first, runnable) = create(&OP, Plain::new(|| 1));
/// list.push_front(runnable);
/// assert_eq!(list.len(), 1);
/// assert_eq!(list.pop_front().unwrap().id(), first.id());
/// ```
#[derive(Default)]
pub struct RunnableList {
    front: Option<NonNull<Header>>,
    back: Option<NonNull<Header>>,
    len: usize,
}

#[expect(unsafe_code, reason = "the list is made of pointers to cells")]
// SAFETY: the list owns runnables, which are `Send`.
unsafe impl Send for RunnableList {}

impl RunnableList {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            front: None,
            back: None,
            len: 0,
        }
    }

    /// How many runnables are in the list.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.front.is_none()
    }

    /// Puts one at the front.
    #[inline]
    pub fn push_front(&mut self, runnable: Runnable) {
        set_next(&runnable, self.front);
        let cell = runnable.into_raw();
        self.front = Some(cell);
        self.back.get_or_insert(cell);
        self.len += 1;
    }

    /// Takes the one at the front.
    #[inline]
    #[expect(unsafe_code, reason = "the list owns the runnables of its cells")]
    pub fn pop_front(&mut self) -> Option<Runnable> {
        let front = self.front?;
        // SAFETY: the list owned it; it leaves the list with the next lines.
        let runnable = unsafe { Runnable::from_raw(front) };
        self.front = next_of(&runnable);
        if self.front.is_none() {
            self.back = None;
        }
        self.len -= 1;
        Some(runnable)
    }

    /// Calls `look` with each, from the front to the back.
    #[expect(unsafe_code, reason = "the list owns the runnables of its cells")]
    pub fn for_each(&self, mut look: impl FnMut(&Runnable)) {
        let mut next = self.front;
        while let Some(cell) = next {
            // SAFETY: the list owns it, and keeps it: this copy is not dropped.
            let runnable = ManuallyDrop::new(unsafe { Runnable::from_raw(cell) });
            next = next_of(&runnable);
            look(&runnable);
        }
    }

    /// Turns the order round, in one pass.
    pub fn reverse(&mut self) {
        let mut old = mem::take(self);
        while let Some(runnable) = old.pop_front() {
            self.push_front(runnable);
        }
    }
}

impl Drop for RunnableList {
    fn drop(&mut self) {
        while let Some(runnable) = self.pop_front() {
            drop(runnable);
        }
    }
}

impl fmt::Debug for RunnableList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunnableList")
            .field("len", &self.len)
            .finish()
    }
}

#[expect(unsafe_code, reason = "the link belongs to the runnable's owner")]
fn set_next(runnable: &Runnable, next: Option<NonNull<Header>>) {
    // SAFETY: the link belongs to the owner of the runnable, which the caller is.
    let set = |link: *mut Option<NonNull<Header>>| unsafe { *link = next };
    runnable.header().next().with_mut(set);
}

#[expect(unsafe_code, reason = "the link belongs to the runnable's owner")]
fn next_of(runnable: &Runnable) -> Option<NonNull<Header>> {
    // SAFETY: as in `set_next`.
    runnable.header().next().with(|link| unsafe { *link })
}

/// What a post found.
#[must_use = "the edge has to unpark somebody"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The inbox was empty: its consumer may be parked.
    Edge,
    /// There were others before: whoever posted the first of them sees to the consumer.
    Joined,
}

/// Many producers, one step to post, one to take everything.
///
/// # Consistency
///
/// Runnables of one producer come out in the order of its posts; those of several producers, in the
/// order of their compare-and-swaps. A post happens before the take that gets its runnables.
pub struct Inbox {
    /// Newest first; null when empty, [`closed`] at the end.
    newest: AtomicPtr<Header>,
}

/// The mark of a closed inbox: an address that no cell has.
fn closed() -> *mut Header {
    ptr::without_provenance_mut(usize::MAX)
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Self {
        Self {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Posts one runnable.
    ///
    /// # Errors
    ///
    /// Gives the runnable back if the inbox is closed.
    #[inline]
    pub fn post(&self, runnable: Runnable) -> Result<Posted, Runnable> {
        let mut list = RunnableList::new();
        list.push_front(runnable);
        self.post_list(list)
            .map_err(|mut list| list.pop_front().expect("one was put in"))
    }

    /// Posts a whole list, whose front is the newest. An empty list is no post.
    ///
    /// # Errors
    ///
    /// Gives the list back if the inbox is closed.
    #[inline]
    pub fn post_list(&self, list: RunnableList) -> Result<Posted, RunnableList> {
        let (Some(front), Some(back)) = (list.front, list.back) else {
            return Ok(Posted::Joined);
        };
        let mut newest = self.newest.load(Relaxed);
        loop {
            if newest == closed() {
                // Restores the end, which the last round may have overwritten.
                link(back, None);
                return Err(list);
            }
            link(back, NonNull::new(newest));
            // Release: links and bodies are visible to the taker, whose swap is an Acquire. A
            // failed exchange uses the value only for the next attempt, hence Relaxed.
            match self
                .newest
                .compare_exchange_weak(newest, front.as_ptr(), Release, Relaxed)
            {
                Ok(_) => break,
                Err(now) => newest = now,
            }
        }
        // The inbox owns them now.
        mem::forget(list);
        Ok(if newest.is_null() {
            Posted::Edge
        } else {
            Posted::Joined
        })
    }

    /// Whether nothing is in it: true as well when it is closed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Relaxed: who must not miss a post puts a fence before this (see the scheduler's sleep).
        let newest = self.newest.load(Relaxed);
        newest.is_null() || newest == closed()
    }

    /// Takes everything, oldest first.
    pub fn take(&self) -> RunnableList {
        let mut newest = self.newest.load(Relaxed);
        // Not a swap: between swapping the mark of a closed inbox out and putting it back, a post
        // could succeed and be lost.
        while !newest.is_null() && newest != closed() {
            // Acquire: pairs with the Release of each post; their compare-and-swaps form a release
            // sequence, so the newest one shows all of them. The node may have left and come back
            // meanwhile: what counts is what it links to when the exchange succeeds.
            match self
                .newest
                .compare_exchange_weak(newest, ptr::null_mut(), Acquire, Relaxed)
            {
                Ok(_) => return oldest_first(newest),
                Err(now) => newest = now,
            }
        }
        RunnableList::new()
    }

    /// Takes everything, and gives whatever is posted from now on back to its producer.
    pub fn close(&self) -> RunnableList {
        let newest = self.newest.swap(closed(), AcqRel);
        if newest == closed() {
            return RunnableList::new();
        }
        oldest_first(newest)
    }
}

/// Sets the link at the end of a list that the caller owns.
#[inline]
#[expect(unsafe_code, reason = "the link belongs to the runnable's owner")]
fn link(back: NonNull<Header>, next: Option<NonNull<Header>>) {
    // SAFETY: the cell is alive and its link is ours: the caller owns the list that it is in.
    let set = |link: *mut Option<NonNull<Header>>| unsafe { *link = next };
    // SAFETY: as above.
    unsafe { back.as_ref() }.next().with_mut(set);
}

#[expect(unsafe_code, reason = "takes the runnables over from the inbox")]
fn oldest_first(newest: *mut Header) -> RunnableList {
    let mut list = RunnableList::new();
    let mut next = NonNull::new(newest);
    while let Some(cell) = next {
        // SAFETY: the swap gave all of them to us, each once.
        let runnable = unsafe { Runnable::from_raw(cell) };
        next = next_of(&runnable);
        list.push_front(runnable);
    }
    list
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("is_empty", &self.is_empty())
            .finish()
    }
}
