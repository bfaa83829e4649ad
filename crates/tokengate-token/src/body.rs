//! The four forms of a body: plain or fallible, sync or async.
//!
//! Used by `create`, and by the attribute's expansion. Each form says what its token gives; none
//! holds more than the closure or future.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::cell::handle::Handle;
use crate::cell::{self, Header};
use crate::{Operation, Runnable, Token};

/// What a token runs: one of [`Plain`], [`Fallible`], [`Async`], [`FallibleAsync`], or one of them
/// [`Retried`](crate::Retried).
///
/// Sealed: a further form would have to know the cell.
pub trait Body: Send + 'static + sealed::Sealed {
    /// What the token gives when all goes well.
    type Output: Send + 'static;
    /// What its body may fail with; [`Infallible`] for plain bodies.
    type Error: Send + 'static;

    #[doc(hidden)]
    fn into_halves(
        self,
        operation: &'static Operation,
    ) -> (Token<Self::Output, Self::Error>, Runnable);
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Makes a token: the half for the caller and the half to be run.
///
/// One allocation, recycled per thread. Nothing runs; see [`Runnable::run`].
///
/// ```
/// use tokengate_token::{create, Fallible, NoHome, Operation};
/// static PARSE: Operation = Operation::new("parse");
/// let (token, runnable) = create(&PARSE, Fallible::new(|| "42".parse::<u32>()));
/// let _ = runnable.run(&NoHome::shared());
/// assert_eq!(token.get().unwrap(), 42);
/// ```
#[inline(always)]
pub fn create<B: Body>(
    operation: &'static Operation,
    body: B,
) -> (Token<B::Output, B::Error>, Runnable) {
    body.into_halves(operation)
}

#[inline(always)]
#[expect(
    unsafe_code,
    reason = "makes the one owner of a fresh cell's runnable half"
)]
pub(crate) fn halves<T, E>(
    (handle, cell): (Handle<T, E>, NonNull<Header>),
) -> (Token<T, E>, Runnable) {
    // SAFETY: the cell is fresh, so its runnable half has no owner yet.
    let runnable = unsafe { Runnable::from_raw(cell) };
    (Token::new(handle), runnable)
}

/// A closure that gives a value: `Token<R>`.
#[derive(Debug)]
pub struct Plain<F>(pub(crate) F);

impl<F> Plain<F> {
    /// Wraps the closure.
    pub fn new(body: F) -> Self {
        Self(body)
    }
}

impl<F> sealed::Sealed for Plain<F> {}

impl<F, R> Body for Plain<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;
    type Error = Infallible;

    #[inline(always)]
    fn into_halves(self, operation: &'static Operation) -> (Token<R>, Runnable) {
        let body = self.0;
        halves(cell::create_sync(operation, move || Ok(body())))
    }
}

/// A closure that gives a `Result`: `Token<T, E>`.
#[derive(Debug)]
pub struct Fallible<F>(pub(crate) F);

impl<F> Fallible<F> {
    /// Wraps the closure.
    pub fn new(body: F) -> Self {
        Self(body)
    }
}

impl<F> sealed::Sealed for Fallible<F> {}

impl<F, R> Body for Fallible<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: IsResult + 'static,
{
    type Output = R::Ok;
    type Error = R::Error;

    #[inline(always)]
    fn into_halves(self, operation: &'static Operation) -> (Token<R::Ok, R::Error>, Runnable) {
        let body = self.0;
        halves(cell::create_sync(operation, move || body().into_result()))
    }
}

/// A future that gives a value: `Token<R>`.
#[derive(Debug)]
pub struct Async<F>(pub(crate) F);

impl<F> Async<F> {
    /// Wraps the future.
    pub fn new(body: F) -> Self {
        Self(body)
    }
}

impl<F> sealed::Sealed for Async<F> {}

impl<F> Body for Async<F>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    type Output = F::Output;
    type Error = Infallible;

    fn into_halves(self, operation: &'static Operation) -> (Token<F::Output>, Runnable) {
        halves(cell::create_async(operation, mapped(self.0, Ok)))
    }
}

/// A future that gives a `Result`: `Token<T, E>`.
#[derive(Debug)]
pub struct FallibleAsync<F>(pub(crate) F);

impl<F> FallibleAsync<F> {
    /// Wraps the future.
    pub fn new(body: F) -> Self {
        Self(body)
    }
}

impl<F> sealed::Sealed for FallibleAsync<F> {}

impl<F, R> Body for FallibleAsync<F>
where
    F: Future<Output = R> + Send + 'static,
    R: IsResult + 'static,
{
    type Output = R::Ok;
    type Error = R::Error;

    fn into_halves(self, operation: &'static Operation) -> (Token<R::Ok, R::Error>, Runnable) {
        halves(cell::create_async(
            operation,
            mapped(self.0, R::into_result),
        ))
    }
}

pin_project! {
    /// A future whose output goes through a function: `async move` would hold the future twice.
    struct Mapped<F, M> {
        #[pin]
        future: F,
        // A function's own type, so it takes no space.
        map: M,
    }
}

impl<F: Future, R, M: Fn(F::Output) -> R> Future for Mapped<F, M> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        this.future.poll(context).map(this.map)
    }
}

fn mapped<F: Future, R, M: Fn(F::Output) -> R>(future: F, map: M) -> Mapped<F, M> {
    Mapped { future, map }
}

/// A `Result` under whatever alias: gives its two types to the attribute's expansion.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Result`",
    label = "the guarded function counts as fallible",
    note = "a return type named `Result`, or the flag `fallible`, needs a `Result<T, E>` with \
            `Send + 'static` contents: return one, or remove the flag"
)]
pub trait IsResult: sealed::Sealed {
    /// The value's type.
    type Ok: Send + 'static;
    /// The error's type.
    type Error: Send + 'static;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Ok, Self::Error>;
}

impl<T, E> sealed::Sealed for Result<T, E> {}

impl<T: Send + 'static, E: Send + 'static> IsResult for Result<T, E> {
    type Ok = T;
    type Error = E;

    #[inline(always)]
    fn into_result(self) -> Self {
        self
    }
}
