//! Waits for many tokens and is woken once.
//!
//! Each unfinished token gets a waker that counts down; the last one wakes the waiter. So the
//! waiter pays one wake-up, not one for each token.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::cell::Header;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering::AcqRel;
use crate::token::Token;
use crate::wait::{self, Awaited};
use crate::{DeadlockCause, TokenError, context as publication};

/// Blocks until every token has resolved; gives the results in the order of the tokens.
///
/// The thread is woken once, when the last of them resolves.
///
/// ```
/// use tokengate_token::{create, get_all, NoHome, Operation, Plain};
/// static OP: Operation = Operation::new("example");
/// let (tokens, runnables): (Vec<_>, Vec<_>) =
///     (0..4).map(|n| create(&OP, Plain::new(move || n * n))).unzip();
/// for runnable in runnables {
///     let _ = runnable.run(&NoHome::shared());
/// }
/// let squares: Result<Vec<i32>, _> = get_all(tokens).into_iter().collect();
/// assert_eq!(squares.unwrap(), [0, 1, 4, 9]);
/// ```
pub fn get_all<T, E>(
    tokens: impl IntoIterator<Item = Token<T, E>>,
) -> Vec<Result<T, TokenError<E>>> {
    let mut all = join_all(tokens);
    let waited = wait::block_on(&mut all, None);
    let tokens = all.tokens.drain(..);
    tokens
        .map(|token| match waited {
            Err(ref deadlock) if !token.is_finished() => {
                Err(token.would_deadlock(deadlock.clone()))
            }
            _ => token.take_resolved(),
        })
        .collect()
}

/// Waits for every token; gives the results in the order of the tokens.
///
/// The task is woken once, when the last of them resolves.
///
/// # Cancel safety
///
/// Dropping the future detaches the tokens.
pub fn join_all<T, E>(tokens: impl IntoIterator<Item = Token<T, E>>) -> JoinAll<T, E> {
    JoinAll {
        tokens: tokens.into_iter().collect(),
    }
}

/// The future of [`join_all`].
#[must_use = "futures do nothing unless awaited; dropping it detaches the tokens"]
pub struct JoinAll<T, E> {
    tokens: Vec<Token<T, E>>,
}

/// Wakes the waiter when it has been woken as often as was announced.
struct Countdown {
    left: AtomicUsize,
    waiter: Waker,
}

impl Countdown {
    /// Takes `count` off. AcqRel: the last one sees what all tokens wrote before they resolved.
    fn take(&self, count: usize) {
        if self.left.fetch_sub(count, AcqRel) == count {
            self.waiter.wake_by_ref();
        }
    }
}

impl Wake for Countdown {
    fn wake(self: Arc<Self>) {
        self.take(1);
    }
}

impl<T, E> Future for JoinAll<T, E> {
    type Output = Vec<Result<T, TokenError<E>>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        publication::before_wait();
        let all = self.get_mut();
        if let Some(cause) = all.tokens.iter().find_map(Token::is_held_up_here) {
            let each = all.tokens.drain(..);
            return Poll::Ready(
                each.map(|token| Self::without_waiting(token, cause))
                    .collect(),
            );
        }
        if all.register(context.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(all.tokens.drain(..).map(Token::take_resolved).collect())
    }
}

impl<T, E> JoinAll<T, E> {
    /// The outcome of a token of a wait that could not end.
    fn without_waiting(token: Token<T, E>, cause: DeadlockCause) -> Result<T, TokenError<E>> {
        if token.is_finished() {
            token.take_resolved()
        } else {
            Err(token.would_deadlock(cause.into()))
        }
    }
}

impl<T, E> Awaited for JoinAll<T, E> {
    fn is_over(&self) -> bool {
        self.tokens.iter().all(Token::is_finished)
    }

    fn register(&mut self, waker: &Waker) -> bool {
        let tokens = &mut self.tokens;
        let open = tokens.iter().filter(|token| !token.is_finished()).count();
        if open == 0 {
            return false;
        }
        let countdown = Arc::new(Countdown {
            // One more than can be taken off below, so that it does not end before all are in.
            left: AtomicUsize::new(open + 1),
            waiter: waker.clone(),
        });
        let counting = Waker::from(countdown.clone());
        let registered = tokens
            .iter_mut()
            .map(|token| token.watch(&counting))
            .filter(|&registered| registered)
            .count();
        if registered == 0 {
            return false;
        }
        // Those that resolved meanwhile do not count down themselves.
        countdown.take(open - registered + 1);
        true
    }

    fn each(&mut self, f: &mut dyn FnMut(NonNull<Header>)) {
        for token in &mut self.tokens {
            token.awaited().each(f);
        }
    }
}

impl<T, E> fmt::Debug for JoinAll<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinAll")
            .field("tokens", &self.tokens.len())
            .finish()
    }
}
