//! The inbox of a consumer: many producers, one step to post, one to take everything.
//!
//! A scheduler builds its mailboxes on it. Posting is one compare-and-swap, for one runnable or a
//! whole list; the answer says whether the inbox was empty, so that only the *edge* from empty to
//! non-empty has to unpark anybody. Taking swaps the whole content out, hence no removal of single
//! nodes, no ABA. Closing is a take that leaves a mark: whoever posts after it gets the runnables
//! back. It parks nobody and keeps no count.

use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};

use crate::cell::Header;
use crate::list::RunnableList;
use crate::runnable::Runnable;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

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
        let Some(front) = list.front() else {
            return Ok(Posted::Joined);
        };
        let mut newest = self.newest.load(Relaxed);
        loop {
            if newest == closed() {
                // Restores the end, which the last round may have overwritten.
                list.link(None);
                return Err(list);
            }
            list.link(NonNull::new(newest));
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
    #[expect(unsafe_code, reason = "takes the runnables over from the inbox")]
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
                // SAFETY: the exchange gave all of them to us, each once.
                Ok(_) => return unsafe { RunnableList::turned(NonNull::new(newest)) },
                Err(now) => newest = now,
            }
        }
        RunnableList::new()
    }

    /// Takes everything, and gives whatever is posted from now on back to its producer.
    #[expect(unsafe_code, reason = "takes the runnables over from the inbox")]
    pub fn close(&self) -> RunnableList {
        let newest = self.newest.swap(closed(), AcqRel);
        if newest == closed() {
            return RunnableList::new();
        }
        // SAFETY: as in `take`.
        unsafe { RunnableList::turned(NonNull::new(newest)) }
    }
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
