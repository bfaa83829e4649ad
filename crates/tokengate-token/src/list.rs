//! A list of runnables, linked through their cells.
//!
//! What inboxes and batches are made of. Keeps: a list owns its runnables, and the link of a
//! cell belongs to whoever owns its runnable. It allocates nothing.

use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::ptr::NonNull;

use crate::cell::Header;
use crate::runnable::Runnable;

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

impl RunnableList {
    /// The cell at the front.
    pub(crate) fn front(&self) -> Option<NonNull<Header>> {
        self.front
    }

    /// Sets what the last one links to: what is newest in a stack that the list is put on, or
    /// nothing.
    #[inline]
    #[expect(unsafe_code, reason = "the link belongs to the runnable's owner")]
    pub(crate) fn link(&self, next: Option<NonNull<Header>>) {
        let Some(back) = self.back else { return };
        // SAFETY: the cell is alive and its link is the list's, which owns its runnable.
        let set = |link: *mut Option<NonNull<Header>>| unsafe { *link = next };
        // SAFETY: as above.
        unsafe { back.as_ref() }.next().with_mut(set);
    }

    /// The list of a stack, turned round: the last one of the stack is the front.
    ///
    /// # Safety
    ///
    /// The caller owns all runnables that the stack links, and gives them up.
    #[expect(unsafe_code, reason = "takes the runnables over from a stack")]
    pub(crate) unsafe fn turned(newest: Option<NonNull<Header>>) -> Self {
        let mut list = Self::new();
        let mut next = newest;
        while let Some(cell) = next {
            // SAFETY: as the caller says.
            let runnable = unsafe { Runnable::from_raw(cell) };
            next = next_of(&runnable);
            prefetch_body(cell);
            list.push_front(runnable);
        }
        list
    }
}

/// Asks for the cache line with the body, which another core has written: the runner needs it soon.
/// Some 4 % of an empty token, one by one and in batches.
#[inline(always)]
fn prefetch_body(cell: NonNull<Header>) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let body = cell.as_ptr().wrapping_add(1).cast::<i8>();
        #[expect(unsafe_code, reason = "the instruction's interface")]
        // SAFETY: a prefetch reads nothing, and takes any address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(body);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = cell;
}
