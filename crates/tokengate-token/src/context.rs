//! What a thread knows about the token that it runs, and about calls that it has not published.
//!
//! The runner sets the present token for the time of a body; `cancelled()` and `current()` read it.
//! A scheduler that defers publication installs a hook which is called before this thread waits.
//! Neither has a destructor, so both work while the thread ends.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use crate::cell::Header;
use crate::error::Cancelled;
use crate::sync::thread_local;
use crate::{Bond, Operation, Place, TokenId, TokenView};

thread_local! {
    static PRESENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    static BEFORE_WAIT: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// A body on this thread's stack; lives in [`enter`] for as long as the body runs.
struct Frame {
    header: NonNull<Header>,
    /// The body that waits for this one on the same stack.
    below: *const Frame,
}

/// Whether the token whose body runs on this thread has been ended from outside.
///
/// True after a kill: the caller has its answer already, and what the body returns is dropped. A
/// body that takes long asks this from time to time and returns early. Outside a body it is false.
/// Costs a thread-local read and one load.
///
/// ```
/// assert!(!tokengate_token::cancelled());
/// ```
#[inline]
pub fn cancelled() -> bool {
    with_present(|header| header.state().load().resolved()).unwrap_or(false)
}

/// Ends a body early, by `?`, if its token has been ended from outside.
///
/// As [`cancelled`]; what the body returns then is dropped. [`Cancelled`] turns into
/// `Box<dyn Error>`, `anyhow::Error`, or an error of yours with a `From`.
///
/// ```
/// use tokengate_token::{Cancelled, check};
/// fn crunch(parts: &[u64]) -> Result<u64, Cancelled> {
///     let mut sum = 0;
///     for part in parts {
///         check()?;
///         sum += part;
///     }
///     Ok(sum)
/// }
/// assert_eq!(crunch(&[1, 2, 3]), Ok(6));
/// ```
///
/// # Errors
///
/// [`Cancelled`] if the token has been ended.
#[inline]
pub fn check() -> Result<(), Cancelled> {
    if cancelled() { Err(Cancelled) } else { Ok(()) }
}

/// The id and operation of the token whose body runs on this thread.
///
/// ```
/// assert!(tokengate_token::current().is_none());
/// ```
pub fn current() -> Option<(TokenId, &'static Operation)> {
    with_present(|header| (header.id(), header.operation()))
}

/// The place and the bond of the token whose body runs on this thread.
#[inline]
pub fn current_bond() -> Option<(Place, Bond)> {
    with_present(|header| (header.place(), header.bond()))
}

/// Whether the token of this header, which has not resolved, is behind the body that runs on this
/// thread, in the lane of their key.
pub(crate) fn is_behind_this_body(header: &Header) -> bool {
    header.lane().is_some()
        && !header.state().load().resolved()
        && with_present(|present| TokenView::of(header).is_behind(&TokenView::of(present)))
            .unwrap_or(false)
}

/// Whether a body runs on this thread.
#[inline]
pub fn in_body() -> bool {
    !PRESENT.with(Cell::get).is_null()
}

/// Installs what this thread does before it waits for a token, gives the hook before.
///
/// For schedulers that defer publication: the hook publishes, so that no thread waits for a token
/// that only it can publish. It must not panic.
pub fn set_before_wait(hook: Option<fn()>) -> Option<fn()> {
    BEFORE_WAIT.with(|present| present.replace(hook))
}

/// Runs the hook of [`set_before_wait`], if there is one.
#[inline]
pub fn before_wait() {
    if let Some(hook) = BEFORE_WAIT.with(Cell::get) {
        hook();
    }
}

/// Runs `body` with `header` as this thread's present token, and puts the one before back.
#[inline(always)]
pub(crate) fn enter<R>(header: NonNull<Header>, body: impl FnOnce() -> R) -> R {
    struct Restore(*const Frame);
    impl Drop for Restore {
        fn drop(&mut self) {
            PRESENT.with(|present| present.set(self.0));
        }
    }
    let below = PRESENT.with(Cell::get);
    // Before the frame's own end, in whatever way the body ends.
    let frame = Frame { header, below };
    let _restore = Restore(below);
    PRESENT.with(|present| present.set(&raw const frame));
    body()
}

#[expect(unsafe_code, reason = "the present token is alive while its body runs")]
fn with_present<R>(read: impl FnOnce(&Header) -> R) -> Option<R> {
    let header = frames().next()?;
    // SAFETY: `enter` is called by the runner of a body, which has not released its half yet, and
    // restores the value before that ends: the cell is alive, and only shared access is given.
    Some(read(unsafe { header.as_ref() }))
}

/// The cells whose bodies are on this thread's stack, the innermost first: alive until their bodies
/// return.
#[expect(unsafe_code, reason = "frames are alive while their bodies run")]
pub(crate) fn frames() -> impl Iterator<Item = NonNull<Header>> {
    let mut next = PRESENT.with(Cell::get);
    std::iter::from_fn(move || {
        // SAFETY: null, or a frame of an `enter` below on this stack, which restores the value
        // before the frame ends.
        let frame = unsafe { next.as_ref() }?;
        next = frame.below;
        Some(frame.header)
    })
}
