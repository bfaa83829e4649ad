//! The tokens of a gate that wait for their next attempt.
//!
//! Put in by the worker of the attempt that failed; posted by the timer when due, by whoever has ended
//! such a token, and by orders that are for it. Keeps: a token leaves under the same lock under which
//! it is posted, so a drain finds it here or in its domain; whoever ends a token and who puts it in
//! agree under that lock too, so none that was ended stays. It knows no time and runs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use tokengate_token::{Place, Runnable, TokenId};

use crate::shared::lock;

/// See above.
#[derive(Default)]
pub(crate) struct BackingOff {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashMap<TokenId, Runnable>,
    /// How many were ever put in.
    ever: u64,
}

/// A look at who backs off, to be compared with a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    present: usize,
    ever: u64,
}

impl Look {
    /// Nobody backs off.
    pub(crate) fn is_empty(self) -> bool {
        self.present == 0
    }
}

impl BackingOff {
    /// Puts a token in, unless it has ended or is chosen to go on; then gives it back.
    pub(crate) fn put(
        &self,
        runnable: Runnable,
        goes_on: impl FnOnce(&Runnable) -> bool,
    ) -> Result<(), Runnable> {
        let mut state = self.lock();
        // Under the lock: who ends it later, or gives an order for it, finds it here.
        if runnable.has_ended() || goes_on(&runnable) {
            return Err(runnable);
        }
        state.ever += 1;
        state.tokens.insert(runnable.id(), runnable);
        Ok(())
    }

    /// Posts the token with this id, if it is here; gives it back if `post` does.
    #[must_use = "it is to be ended"]
    pub(crate) fn post(
        &self,
        id: TokenId,
        post: impl FnOnce(Runnable) -> Result<(), Runnable>,
    ) -> Option<Runnable> {
        let mut state = self.lock();
        let runnable = state.tokens.remove(&id)?;
        set_ready(&runnable);
        post(runnable).err()
    }

    /// Posts those that are chosen; gives back those that `post` does.
    #[must_use = "they are to be ended"]
    pub(crate) fn post_if(
        &self,
        choose: impl Fn(&Runnable) -> bool,
        mut post: impl FnMut(Runnable) -> Result<(), Runnable>,
    ) -> Vec<Runnable> {
        let mut state = self.lock();
        let chosen = state.tokens.extract_if(|_, token| choose(token));
        let refused = chosen.filter_map(|(_, token)| {
            set_ready(&token);
            post(token).err()
        });
        refused.collect()
    }

    /// Takes all of them, to be ended.
    pub(crate) fn take_all(&self) -> impl Iterator<Item = Runnable> + use<> {
        let tokens = std::mem::take(&mut self.lock().tokens);
        tokens.into_values()
    }

    /// Who is here now.
    pub(crate) fn look(&self) -> Look {
        let state = self.lock();
        Look {
            present: state.tokens.len(),
            ever: state.ever,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// The token may be started: it goes back to a mailbox.
pub(super) fn set_ready(runnable: &Runnable) {
    runnable.set_place(Place {
        aside: false,
        ..runnable.place()
    });
}
