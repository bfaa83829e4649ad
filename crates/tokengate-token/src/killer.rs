//! A way to end a token from anywhere, for as long as the token lives.
//!
//! A `Killer` does not keep the cell alive: the last owner of the cell empties the shared slot
//! before it frees it. A kill claims under the slot's lock and cleans up outside of it.

use std::borrow::Cow;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError};

use crate::cell::Header;
use crate::cell::kill::{self, Claim};
use crate::extras::Ending;
use crate::sync::Mutex;
use crate::{TokenState, TokenView, context};

/// Ends one token from any thread; made by [`Token::killer`](crate::Token::killer).
///
/// Cloning it is cheap. After the token is gone its kills give `false`.
///
/// ```
/// use tokengate_token::{create, Operation, Plain, TokenError};
/// static OP: Operation = Operation::new("example");
/// let (token, runnable) = create(&OP, Plain::new(|| 1));
/// let killer = token.killer();
/// std::thread::spawn(move || assert!(killer.kill("not needed any more"))).join().unwrap();
/// assert!(matches!(token.get(), Err(TokenError::Killed { .. })));
/// # drop(runnable);
/// ```
#[derive(Clone)]
pub struct Killer {
    slot: Arc<KillerSlot>,
}

/// The cell, as long as it is alive.
pub(crate) struct KillerSlot {
    cell: Mutex<Option<NonNull<Header>>>,
}

#[expect(unsafe_code, reason = "the slot points to a cell that threads share")]
// SAFETY: the pointer is used under the lock only, for a claim, which any thread may make.
unsafe impl Send for KillerSlot {}
#[expect(unsafe_code, reason = "the slot points to a cell that threads share")]
// SAFETY: as above.
unsafe impl Sync for KillerSlot {}

impl KillerSlot {
    /// Called by the last owner of the cell before it frees it.
    pub(crate) fn clear(&self) {
        *self.cell.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Killer {
    pub(crate) fn of(cell: NonNull<Header>, header: &Header) -> Self {
        let slot = header.extras().killer().get_or_init(|| {
            Arc::new(KillerSlot {
                cell: Mutex::new(Some(cell)),
            })
        });
        Self { slot: slot.clone() }
    }

    /// Ends the token; `false` if it has an outcome already, or is gone.
    ///
    /// As [`Token::kill`](crate::Token::kill).
    pub fn kill(&self, reason: impl Into<Cow<'static, str>>) -> bool {
        context::before_wait();
        // The user's conversion may do anything, free this cell included: not under the lock.
        self.end(Ending::Killed(reason.into()), kill::claim)
    }

    /// The token as it is, unless it is gone.
    pub fn look(&self) -> Option<TokenLook> {
        let slot = self
            .slot
            .cell
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        #[expect(unsafe_code, reason = "reads through the cell pointer")]
        let look = slot.map(|cell| {
            // SAFETY: the last owner clears the slot, under this lock, before it frees the cell.
            TokenLook::of(unsafe { cell.as_ref() })
        });
        look
    }

    /// Ends the token by a claim of this kind; `false` if that is lost, or the token gone.
    #[expect(unsafe_code, reason = "claims through the cell pointer")]
    pub(crate) fn end(
        &self,
        ending: Ending,
        claim: unsafe fn(NonNull<Header>, Ending) -> Claim,
    ) -> bool {
        let slot = self
            .slot
            .cell
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the last owner clears the slot, under this lock, before it frees the cell.
        let claimed = slot.map(|cell| unsafe { claim(cell, ending) });
        drop(slot);
        // The clean-up drops the body and wakes the caller: not under the lock.
        claimed.is_some_and(|claim| claim.is_won())
    }
}

/// A token, as [`Killer::look`] found it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenLook {
    /// Who it is.
    pub view: TokenView,
    /// Where it is in its life.
    pub state: TokenState,
    /// The number of the attempt that runs or comes next, or was the last one; counted from 1.
    pub attempt: u32,
    /// Whether its body and arguments are gone.
    pub exited: bool,
}

impl TokenLook {
    fn of(header: &Header) -> Self {
        Self {
            view: TokenView::of(header),
            state: TokenState::of(header),
            attempt: header.state().load().attempt(),
            exited: header.state().load().exited(),
        }
    }
}

impl fmt::Debug for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Killer").finish_non_exhaustive()
    }
}
