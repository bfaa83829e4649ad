//! The queue of one serial key: whoever comes first holds it, the others wait in order.
//!
//! A scheduler builds its lanes on it. Joining is one compare-and-swap, which either makes the
//! runnable the holder or puts it behind the others; so is passing on when nobody waits. It counts
//! nothing and posts nothing.
//!
//! | word | meaning | leaves it by |
//! |---|---|---|
//! | null | nobody holds the lane | join → held |
//! | held | one holds it, nobody waits | join → waiting; pass → null; close → closed |
//! | a cell | one holds it, and these wait, newest first | join → waiting; pass or take → held; close → closed |
//! | closed | its scheduler has ended: joins are refused | |
//!
//! *Join against pass.* Both change the word.
//! * Join first: the pass finds it waiting, and takes it.
//! * Pass first: the join finds nobody, and holds the lane. Its compare-and-swap acquires what the
//!   pass released, so its body sees what the one before has written.
//!
//! *Take against pass.* Both change the word.
//! * Take first: the lane is held with nobody waiting, and the pass leaves it free.
//! * Pass first: the take finds nobody, or whoever has come since.

use std::fmt;
use std::mem;
use std::ptr::{self, NonNull};

use crate::cell::Header;
use crate::inbox::closed;
use crate::list::RunnableList;
use crate::runnable::Runnable;
use crate::sync::atomic::AtomicPtr;
use crate::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Those who wait for one holder to pass on, oldest first.
///
/// # Consistency
///
/// At most one holds the lane. Those who wait come out in the order of their joins. A join happens
/// before the pass or take that gives its runnable; a pass that leaves the lane free happens before
/// the next join that holds it.
///
/// ```
/// use tokengate_token::{create, Joined, LaneQueue, Operation, Plain};
/// static OP: Operation = Operation::new("example");
/// let lane = LaneQueue::new();
/// let (_, first) = create(&OP, Plain::new(|| 1));
/// let (second, runnable) = create(&OP, Plain::new(|| 2));
/// let Ok(Joined::Holds(first)) = lane.join(first) else { panic!("nobody was there") };
/// assert!(matches!(lane.join(runnable), Ok(Joined::Waits)));
/// drop(first); // its turn is over, however it ended
/// assert_eq!(lane.pass().pop_front().unwrap().id(), second.id());
/// assert!(lane.pass().is_empty() && lane.is_free());
/// ```
pub struct LaneQueue {
    /// See the table above.
    word: AtomicPtr<Header>,
}

/// What came of a join.
#[derive(Debug)]
#[must_use = "`Holds` gives the runnable back: dropping it kills the token, and blocks the lane"]
pub enum Joined {
    /// Nobody held the lane: this one does.
    Holds(Runnable),
    /// It waits behind others.
    Waits,
}

/// The mark of a lane that is held with nobody waiting: an address that no cell has.
fn held() -> *mut Header {
    ptr::without_provenance_mut(usize::MAX - 1)
}

/// The newest of those who wait, if any do.
fn waiting(word: *mut Header) -> Option<NonNull<Header>> {
    NonNull::new(word).filter(|cell| cell.as_ptr() != held() && cell.as_ptr() != closed())
}

impl LaneQueue {
    /// A lane that nobody holds.
    pub fn new() -> Self {
        Self {
            word: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Holds the lane, or waits behind the others.
    ///
    /// # Errors
    ///
    /// Gives the runnable back if the lane is closed.
    #[inline]
    pub fn join(&self, runnable: Runnable) -> Result<Joined, Runnable> {
        // Acquire: pairs with the Release of the pass that left it free.
        let free = self
            .word
            .compare_exchange(ptr::null_mut(), held(), Acquire, Relaxed);
        match free {
            Ok(_) => Ok(Joined::Holds(runnable)),
            Err(now) => self.join_others(now, runnable),
        }
    }

    fn join_others(&self, mut now: *mut Header, runnable: Runnable) -> Result<Joined, Runnable> {
        let mut list = RunnableList::new();
        list.push_front(runnable);
        loop {
            let next = if now.is_null() {
                held()
            } else if now == closed() {
                break;
            } else {
                list.link(waiting(now));
                let front = list.front().expect("one was put in");
                front.as_ptr()
            };
            // Acquire where it holds, as in `join`. Release where it waits: link and body are
            // visible to the taker, whose exchange is an Acquire.
            match self.word.compare_exchange_weak(now, next, AcqRel, Relaxed) {
                Ok(_) if next == held() => {
                    let runnable = take_only(&mut list);
                    return Ok(Joined::Holds(runnable));
                }
                Ok(_) => {
                    // The lane owns it now.
                    mem::forget(list);
                    return Ok(Joined::Waits);
                }
                Err(other) => now = other,
            }
        }
        Err(take_only(&mut list))
    }

    /// For the holder: takes those who wait, oldest first, and goes on holding the lane for them;
    /// leaves it free if there are none.
    pub fn pass(&self) -> RunnableList {
        // Release: the next who holds it sees what the holder has written.
        while let Err(now) = self
            .word
            .compare_exchange(held(), ptr::null_mut(), Release, Relaxed)
        {
            let list = self.take();
            if !list.is_empty() || waiting(now).is_none() {
                return list;
            }
            // Another has taken them in between, and the lane is still held: nobody else leaves it.
        }
        RunnableList::new()
    }

    /// Takes those who wait, oldest first; the holder goes on holding the lane.
    #[expect(unsafe_code, reason = "takes the runnables over from the lane")]
    pub fn take(&self) -> RunnableList {
        let mut now = self.word.load(Relaxed);
        while waiting(now).is_some() {
            // Acquire: pairs with the Release of each join; their exchanges form a release
            // sequence, so the newest one shows all of them.
            match self
                .word
                .compare_exchange_weak(now, held(), Acquire, Relaxed)
            {
                // SAFETY: the exchange gave all of them to us, each once.
                Ok(_) => return unsafe { RunnableList::turned(waiting(now)) },
                Err(other) => now = other,
            }
        }
        RunnableList::new()
    }

    /// Takes those who wait, and gives whoever joins from now on back.
    #[expect(unsafe_code, reason = "takes the runnables over from the lane")]
    pub fn close(&self) -> RunnableList {
        // Acquire: as in `take`.
        let now = self.word.swap(closed(), AcqRel);
        // SAFETY: the swap gave all of them to us, each once.
        unsafe { RunnableList::turned(waiting(now)) }
    }

    /// Whether nobody holds it.
    pub fn is_free(&self) -> bool {
        // Relaxed: a look.
        self.word.load(Relaxed).is_null()
    }

    /// Whether somebody does; not once it is closed.
    pub fn is_held(&self) -> bool {
        // Relaxed: a look.
        let word = self.word.load(Relaxed);
        !word.is_null() && word != closed()
    }
}

fn take_only(list: &mut RunnableList) -> Runnable {
    // The last round may have linked it to others.
    list.link(None);
    list.pop_front().expect("one was put in")
}

impl Default for LaneQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for LaneQueue {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl fmt::Debug for LaneQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneQueue")
            .field("is_free", &self.is_free())
            .finish()
    }
}
