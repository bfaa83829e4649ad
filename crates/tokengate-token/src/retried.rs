//! Bodies that can run again: the four forms, as closures that are called once for each attempt.
//!
//! Used by `create`, and by the attribute's expansion where `retry` is declared. How often such a body
//! runs is the policy of its operation; without one it runs once. The cell is told nothing about
//! attempts but when a new one begins.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::body::{halves, sealed};
use crate::cell::retry::{self, Anew};
use crate::retry::Attempt;
use crate::{Async, Body, Fallible, FallibleAsync, IsResult, Operation, Plain, Runnable, Token};

/// A body that can run again, after its error or panic, as its operation's [`Retry`](crate::Retry) says.
///
/// Its closure is called for each attempt, with what it has kept from the ones before; it learns which
/// attempt it is. The token stays the same, and resolves when the last attempt has.
///
/// ```
/// use tokengate_token::{create, NoHome, Operation, Ran, Retried, Retry};
/// static FLAKY: Operation = Operation::new("flaky").with_retry(Retry::new(3));
/// let body = Retried::fallible(|attempt| if attempt.number() < 3 { Err("not yet") } else { Ok(7) });
/// let (token, mut runnable) = create(&FLAKY, body);
/// while let Ran::Retry(again) = runnable.run(&NoHome::shared()) {
///     runnable = again; // whoever runs it would wait here
/// }
/// assert_eq!((token.status().attempt, token.get().unwrap()), (3, 7));
/// ```
#[derive(Debug)]
pub struct Retried<B>(B);

impl<F> Retried<Plain<F>> {
    /// A closure that gives a value: only a panic lets it run again.
    pub fn plain<R>(body: F) -> Self
    where
        F: FnMut(Attempt) -> R,
    {
        Self(Plain::new(body))
    }
}

impl<F> Retried<Fallible<F>> {
    /// A closure that gives a `Result`.
    pub fn fallible<R>(body: F) -> Self
    where
        F: FnMut(Attempt) -> R,
        R: IsResult,
    {
        Self(Fallible::new(body))
    }
}

impl<F> Retried<Async<F>> {
    /// A closure that makes a future for each attempt: only a panic lets it run again.
    pub fn future<R>(body: F) -> Self
    where
        F: FnMut(Attempt) -> R,
        R: Future,
    {
        Self(Async::new(body))
    }
}

impl<F> Retried<FallibleAsync<F>> {
    /// A closure that makes a future for each attempt, which gives a `Result`.
    pub fn fallible_future<R>(body: F) -> Self
    where
        F: FnMut(Attempt) -> R,
        R: Future<Output: IsResult>,
    {
        Self(FallibleAsync::new(body))
    }
}

/// Counts the attempts of one body: in step with its token, which begins each of them.
struct Attempts {
    begun: u32,
    of: u32,
}

impl Attempts {
    fn of(operation: &Operation) -> Self {
        Self {
            begun: 0,
            of: operation.retry().map_or(1, |retry| retry.attempts()),
        }
    }

    fn next(&mut self) -> Attempt {
        self.begun += 1;
        Attempt::new(self.begun, self.of)
    }
}

impl<B> sealed::Sealed for Retried<B> {}

impl<F, R> Body for Retried<Plain<F>>
where
    F: FnMut(Attempt) -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;
    type Error = Infallible;

    fn into_halves(self, operation: &'static Operation) -> (Token<R>, Runnable) {
        let (mut body, mut attempts) = (self.0.0, Attempts::of(operation));
        halves(retry::create_sync(operation, move || {
            Ok(body(attempts.next()))
        }))
    }
}

impl<F, R> Body for Retried<Fallible<F>>
where
    F: FnMut(Attempt) -> R + Send + 'static,
    R: IsResult + 'static,
{
    type Output = R::Ok;
    type Error = R::Error;

    fn into_halves(self, operation: &'static Operation) -> (Token<R::Ok, R::Error>, Runnable) {
        let (mut body, mut attempts) = (self.0.0, Attempts::of(operation));
        halves(retry::create_sync(operation, move || {
            body(attempts.next()).into_result()
        }))
    }
}

impl<F, A> Body for Retried<Async<F>>
where
    F: FnMut(Attempt) -> A + Send + 'static,
    A: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = A::Output;
    type Error = Infallible;

    fn into_halves(self, operation: &'static Operation) -> (Token<A::Output>, Runnable) {
        let body = Repeat::new(self.0.0, operation, Ok);
        halves(retry::create_async(operation, body))
    }
}

impl<F, A, R> Body for Retried<FallibleAsync<F>>
where
    F: FnMut(Attempt) -> A + Send + 'static,
    A: Future<Output = R> + Send + 'static,
    R: IsResult + 'static,
{
    type Output = R::Ok;
    type Error = R::Error;

    fn into_halves(self, operation: &'static Operation) -> (Token<R::Ok, R::Error>, Runnable) {
        let body = Repeat::new(self.0.0, operation, R::into_result);
        halves(retry::create_async(operation, body))
    }
}

pin_project! {
    /// A future that can begin anew: the closure, and what it made for the present attempt.
    struct Repeat<F, A, M> {
        make: F,
        attempts: Attempts,
        #[pin]
        present: Option<A>,
        // A function's own type, so it takes no space.
        map: M,
    }
}

impl<F, A, M> Repeat<F, A, M> {
    fn new<T, E>(make: F, operation: &Operation, map: M) -> Self
    where
        F: FnMut(Attempt) -> A,
        A: Future,
        M: Fn(A::Output) -> Result<T, E>,
    {
        Self {
            make,
            attempts: Attempts::of(operation),
            present: None,
            map,
        }
    }
}

impl<F, A, M, T, E> Future for Repeat<F, A, M>
where
    F: FnMut(Attempt) -> A,
    A: Future,
    M: Fn(A::Output) -> Result<T, E>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        let mut this = self.project();
        if this.present.is_none() {
            let future = (this.make)(this.attempts.next());
            this.present.set(Some(future));
        }
        let present = this.present.as_pin_mut().expect("made if there was none");
        Poll::Ready((this.map)(ready!(present.poll(context))))
    }
}

impl<F, A, M, T, E> Anew for Repeat<F, A, M>
where
    F: FnMut(Attempt) -> A,
    A: Future,
    M: Fn(A::Output) -> Result<T, E>,
{
    fn begin_anew(self: Pin<&mut Self>) {
        self.project().present.set(None);
    }
}
