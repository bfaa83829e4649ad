//! What the attribute's expansion uses, and nobody else: not covered by any promise.

pub use std::convert::Infallible;
pub use std::time::Duration;

pub use tokengate_scheduler::{
    Async, Body, Fallible, FallibleAsync, IsResult, Key, KeyHasher, Operation, Plain, Retried,
    Retry, Token, Weight,
};

pub use crate::request::Request;

use std::hash::Hash;

use crate::global;
use tokengate_scheduler::{Call, rejected};

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

/// What takes part in a sticky key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot take part in a sticky key",
    label = "not `Hash`",
    note = "the key is the hash of its parts: derive `Hash`, or choose other arguments or a part of \
            this one with the tag `key(..)`, as in `key(order.id)`"
)]
pub trait KeyPart: Hash {}
impl<T: Hash + ?Sized> KeyPart for T {}

/// An argument of a guarded function that is retried.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a guarded function that is retried",
    label = "not `Clone`",
    note = "each attempt but the last takes a clone of the arguments: derive `Clone`, pass an `Arc` of \
            it, or remove the tag `retry(..)`"
)]
pub trait Repeated: Clone {}
impl<T: Clone> Repeated for T {}

/// What clones an argument for one attempt; fails to compile, at the type, if nothing does.
#[inline]
pub const fn again<T: Repeated>() -> fn(&T) -> T {
    T::clone
}

/// The arguments of a call that may run again, until its last attempt takes them.
pub struct Arguments<A>(Option<A>);

impl<A> Arguments<A> {
    /// Keeps them.
    pub const fn new(arguments: A) -> Self {
        Self(Some(arguments))
    }

    /// For an attempt that another one may follow.
    pub fn get(&self) -> &A {
        self.0.as_ref().expect("kept until the last attempt")
    }

    /// For the last attempt.
    pub fn take(&mut self) -> A {
        self.0.take().expect("there is one last attempt")
    }
}

/// Feeds a part of a key to its hasher.
#[inline]
pub fn hash_part<T: KeyPart + ?Sized>(part: &T, hasher: &mut KeyHasher) {
    part.hash(hasher);
}

/// The key of a call of this operation.
///
/// # Panics
///
/// If a part's `Hash` does.
#[inline]
pub fn key(operation: &Operation, parts: impl FnOnce(&mut KeyHasher)) -> Key {
    Key::from_parts(operation.key_scope(), parts)
}

/// Fails to compile, at the type, unless it may be an argument.
pub const fn assert_argument<T: Argument>() {}

/// Fails to compile, at the type, unless it may be returned.
pub const fn assert_return<T: Returned>() {}

/// A plain call of a guarded function.
#[inline]
pub fn call<B: Body>(operation: &'static Operation, body: B) -> Token<B::Output, B::Error> {
    submit(Call::new(operation), body)
}

/// As [`call`], under a key.
#[inline]
pub fn call_keyed<B: Body>(
    operation: &'static Operation,
    key: Key,
    body: B,
) -> Token<B::Output, B::Error> {
    submit(Call::new(operation).with_key(key), body)
}

#[inline]
fn submit<B: Body>(call: Call, body: B) -> Token<B::Output, B::Error> {
    global::with_gate(|gate| match gate {
        Ok(handle) => handle.submit(call, body),
        Err(cause) => rejected(call, body, cause),
    })
}

/// The request of a guarded function.
pub fn request<B: Body>(operation: &'static Operation, body: B) -> Request<B> {
    Request::new(Call::new(operation), body)
}

/// As [`request`], under a key.
pub fn request_keyed<B: Body>(operation: &'static Operation, key: Key, body: B) -> Request<B> {
    Request::new(Call::new(operation).with_key(key), body)
}
