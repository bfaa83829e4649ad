//! What the attribute's expansion uses, and nobody else: not covered by any promise.

pub use std::convert::Infallible;

pub use tokengate_scheduler::{
    Async, Body, Fallible, FallibleAsync, IsResult, Operation, Plain, Token, Weight,
};

pub use crate::request::Request;

use crate::global;
use tokengate_scheduler::rejected;

/// An argument of a guarded function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a guarded function",
    label = "not `Send + 'static`",
    note = "a token runs on another thread, later: pass owned data that is `Send` and borrows \
            nothing, such as `String` for `&str` and `Arc<T>` for `&T` or `Rc<T>`"
)]
pub trait Argument: Send + 'static {}
impl<T: Send + 'static> Argument for T {}

/// What a guarded function returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by a guarded function",
    label = "not `Send + 'static`",
    note = "the result goes to another thread: return owned data that is `Send` and borrows nothing"
)]
pub trait Returned: Send + 'static {}
impl<T: Send + 'static> Returned for T {}

/// Fails to compile, at the type, unless it may be an argument.
pub const fn assert_argument<T: Argument>() {}

/// Fails to compile, at the type, unless it may be returned.
pub const fn assert_return<T: Returned>() {}

/// A plain call of a guarded function.
#[inline]
pub fn call<B: Body>(operation: &'static Operation, body: B) -> Token<B::Output, B::Error> {
    global::with_gate(|gate| match gate {
        Ok(handle) => handle.submit(operation, body),
        Err(cause) => rejected(operation.into(), body, cause),
    })
}

/// The request of a guarded function.
pub fn request<B: Body>(operation: &'static Operation, body: B) -> Request<B> {
    Request::new(operation, body)
}
