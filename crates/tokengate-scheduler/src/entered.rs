//! Which gate a call goes to: the one entered last on this thread.
//!
//! `Handle::enter` and `scope` enter, their guards leave; a worker's thread is inside its own gate
//! from its start to its end. It starts no gate.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::handle::Handle;
use crate::thread;

/// The gates entered on a thread, innermost last.
#[derive(Default)]
pub(crate) struct EnteredGates {
    stack: RefCell<Vec<(u64, Rc<Handle>)>>,
    next_key: Cell<u64>,
}

impl EnteredGates {
    /// The innermost gate. A count of this thread's own: no other thread touches it.
    #[inline]
    pub(crate) fn innermost(&self) -> Option<Rc<Handle>> {
        self.stack.borrow().last().map(|(_, handle)| handle.clone())
    }

    fn push(&self, handle: Handle) -> u64 {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        self.stack.borrow_mut().push((key, Rc::new(handle)));
        key
    }

    fn remove(&self, key: u64) {
        let left = {
            let mut stack = self.stack.borrow_mut();
            let place = stack.iter().rposition(|(entered, _)| *entered == key);
            place.map(|place| stack.remove(place))
        };
        // Outside of the borrow.
        drop(left);
    }
}

/// Calls on this thread go to the entered gate until this is dropped.
///
/// Not `Send`. Guards may be dropped in any order; calls go to the innermost that is left.
#[must_use = "calls go to the gate until this is dropped"]
pub struct Entered {
    key: u64,
    // Belongs to this thread.
    not_send: PhantomData<*const ()>,
}

impl Entered {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            key: thread::with(|thread| thread.entered.push(handle)),
            not_send: PhantomData,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        thread::with(|thread| thread.entered.remove(self.key));
    }
}

impl fmt::Debug for Entered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

pin_project! {
    /// A future whose calls go to one gate, on whatever thread it is polled.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scope<F> {
        handle: Handle,
        #[pin]
        future: F,
    }
}

impl<F> Scope<F> {
    pub(crate) fn new(handle: Handle, future: F) -> Self {
        Self { handle, future }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.handle.enter();
        this.future.poll(context)
    }
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
