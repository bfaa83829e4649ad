//! A runtime as small as an expansion allows: a token keeps its body and runs it in `get`.
//!
//! The tests and UI cases of the attribute expand against it with `crate = crate::mock`. It has exactly the names that an
//! expansion may use, so a name beyond them does not compile. It schedules nothing.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::nursery,
    clippy::pedantic,
    reason = "each test uses a part"
)]

pub mod __private {
    use std::future::Future;
    use std::hash::{DefaultHasher, Hash, Hasher};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    pub use std::convert::Infallible;
    pub use std::time::Duration;

    /// The caller's half: here also the body, which runs in [`Token::get`].
    pub struct Token<T, E = Infallible> {
        operation: &'static Operation,
        key: Option<Key>,
        body: Box<dyn FnOnce() -> Result<T, E> + Send>,
    }

    impl<T, E> Token<T, E> {
        pub fn get(self) -> Result<T, E> {
            (self.body)()
        }

        pub fn operation(&self) -> &'static Operation {
            self.operation
        }

        pub fn key(&self) -> Option<Key> {
            self.key
        }
    }

    pub struct Request<B> {
        operation: &'static Operation,
        key: Option<Key>,
        body: B,
    }

    impl<B: Body> Request<B> {
        pub fn submit(self) -> Token<B::Output, B::Error> {
            token(self.operation, self.key, self.body)
        }
    }

    #[derive(Debug, PartialEq)]
    pub struct Operation {
        pub label: &'static str,
        pub weight: Weight,
        pub sticky_anchor: Option<&'static str>,
        pub serial: bool,
        pub external_calls: Option<&'static [&'static str]>,
        pub limit: Option<(Option<&'static str>, usize)>,
        pub blocking: bool,
        pub timeout: Option<Duration>,
        pub ttl: Option<Duration>,
        pub retry: Option<Retry>,
    }

    impl Operation {
        pub const fn new(label: &'static str) -> Self {
            Self {
                label,
                weight: Weight::Medium,
                sticky_anchor: None,
                serial: false,
                external_calls: None,
                limit: None,
                blocking: false,
                timeout: None,
                ttl: None,
                retry: None,
            }
        }

        pub const fn with_weight(self, weight: Weight) -> Self {
            Self { weight, ..self }
        }

        pub const fn with_sticky_anchor(self, anchor: &'static str) -> Self {
            Self {
                sticky_anchor: Some(anchor),
                ..self
            }
        }

        pub const fn serial(self) -> Self {
            Self {
                serial: true,
                ..self
            }
        }

        pub const fn with_external_calls(self, labels: &'static [&'static str]) -> Self {
            Self {
                external_calls: Some(labels),
                ..self
            }
        }

        pub const fn with_limit(self, size: usize) -> Self {
            Self {
                limit: Some((None, size)),
                ..self
            }
        }

        pub const fn with_limit_group(self, group: &'static str, size: usize) -> Self {
            Self {
                limit: Some((Some(group), size)),
                ..self
            }
        }

        pub const fn blocking(self) -> Self {
            Self {
                blocking: true,
                ..self
            }
        }

        pub const fn with_timeout(self, limit: Duration) -> Self {
            Self {
                timeout: Some(limit),
                ..self
            }
        }

        pub const fn with_ttl(self, limit: Duration) -> Self {
            Self {
                ttl: Some(limit),
                ..self
            }
        }
    }

    impl Operation {
        pub const fn with_retry(self, retry: Retry) -> Self {
            Self {
                retry: Some(retry),
                ..self
            }
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Retry {
        pub attempts: u32,
        pub backoff: Option<Duration>,
        pub jitter: bool,
        pub on_panic: bool,
    }

    impl Retry {
        pub const fn new(attempts: u32) -> Self {
            Self {
                attempts,
                backoff: None,
                jitter: false,
                on_panic: false,
            }
        }

        pub const fn with_backoff(self, backoff: Duration) -> Self {
            Self {
                backoff: Some(backoff),
                ..self
            }
        }

        pub const fn with_jitter(self) -> Self {
            Self {
                jitter: true,
                ..self
            }
        }

        pub const fn on_panic(self) -> Self {
            Self {
                on_panic: true,
                ..self
            }
        }
    }

    /// Which attempt this is: here one of three.
    #[derive(Clone, Copy)]
    pub struct Attempt(u32);

    impl Attempt {
        pub fn is_last(self) -> bool {
            self.0 == 3
        }
    }

    /// A body that runs again: here three times, unless it gives something before.
    pub struct Retried<F>(F);

    impl<F> Retried<F> {
        pub fn plain<R>(body: F) -> Retried<Plain<F>>
        where
            F: FnMut(Attempt) -> R,
        {
            Retried(Plain(body))
        }

        pub fn fallible<R: IsResult>(body: F) -> Retried<Fallible<F>>
        where
            F: FnMut(Attempt) -> R,
        {
            Retried(Fallible(body))
        }

        pub fn future<R: Future>(body: F) -> Retried<Async<F>>
        where
            F: FnMut(Attempt) -> R,
        {
            Retried(Async(body))
        }

        pub fn fallible_future<R: Future>(body: F) -> Retried<FallibleAsync<F>>
        where
            F: FnMut(Attempt) -> R,
        {
            Retried(FallibleAsync(body))
        }
    }

    impl<F: FnMut(Attempt) -> R + Send + 'static, R> Body for Retried<Plain<F>> {
        type Output = R;
        type Error = Infallible;

        fn finish(mut self) -> Result<R, Infallible> {
            Ok((self.0.0)(Attempt(3)))
        }
    }

    impl<F: FnMut(Attempt) -> Result<T, E> + Send + 'static, T, E> Body for Retried<Fallible<F>> {
        type Output = T;
        type Error = E;

        fn finish(mut self) -> Result<T, E> {
            let mut attempt = |number| (self.0.0)(Attempt(number));
            attempt(1).or_else(|_| attempt(2)).or_else(|_| attempt(3))
        }
    }

    impl<F, A> Body for Retried<Async<F>>
    where
        F: FnMut(Attempt) -> A + Send + 'static,
        A: Future + Send + 'static,
    {
        type Output = A::Output;
        type Error = Infallible;

        fn finish(mut self) -> Result<A::Output, Infallible> {
            Ok(poll_to_the_end((self.0.0)(Attempt(3))))
        }
    }

    impl<F, A, T, E> Body for Retried<FallibleAsync<F>>
    where
        F: FnMut(Attempt) -> A + Send + 'static,
        A: Future<Output = Result<T, E>> + Send + 'static,
    {
        type Output = T;
        type Error = E;

        fn finish(mut self) -> Result<T, E> {
            let mut attempt = |number| poll_to_the_end((self.0.0)(Attempt(number)));
            attempt(1).or_else(|_| attempt(2)).or_else(|_| attempt(3))
        }
    }

    /// The arguments of a call that may run again.
    pub struct Arguments<A>(Option<A>);

    impl<A> Arguments<A> {
        pub fn new(arguments: A) -> Self {
            Self(Some(arguments))
        }

        pub fn get(&self) -> &A {
            self.0.as_ref().unwrap()
        }

        pub fn take(&mut self) -> A {
            self.0.take().unwrap()
        }
    }

    pub fn again<T: Clone>() -> fn(&T) -> T {
        T::clone
    }

    #[derive(Debug, PartialEq)]
    pub enum Weight {
        Heavy,
        Medium,
        Light,
    }

    /// The hash of a name and of the parts of a key.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Key(u64);

    impl Key {
        /// What `parts` must give under this name.
        pub fn of(scope: &str, parts: impl Hash) -> Self {
            let mut hasher = DefaultHasher::new();
            scope.hash(&mut hasher);
            parts.hash(&mut hasher);
            Self(hasher.finish())
        }
    }

    pub fn key(operation: &Operation, parts: impl FnOnce(&mut DefaultHasher)) -> Key {
        let mut hasher = DefaultHasher::new();
        let scope = operation.sticky_anchor.unwrap_or(operation.label);
        scope.hash(&mut hasher);
        parts(&mut hasher);
        Key(hasher.finish())
    }

    pub fn hash_part<T: Hash + ?Sized>(part: &T, hasher: &mut DefaultHasher) {
        part.hash(hasher);
    }

    pub trait IsResult {
        type Ok;
        type Error;
    }

    impl<T, E> IsResult for Result<T, E> {
        type Ok = T;
        type Error = E;
    }

    pub trait Body: Send + 'static {
        type Output;
        type Error;
        fn finish(self) -> Result<Self::Output, Self::Error>;
    }

    pub struct Plain<F>(F);
    pub struct Fallible<F>(F);
    pub struct Async<F>(F);
    pub struct FallibleAsync<F>(F);

    impl<F> Plain<F> {
        pub fn new(body: F) -> Self {
            Self(body)
        }
    }

    impl<F> Fallible<F> {
        pub fn new(body: F) -> Self {
            Self(body)
        }
    }

    impl<F> Async<F> {
        pub fn new(body: F) -> Self {
            Self(body)
        }
    }

    impl<F> FallibleAsync<F> {
        pub fn new(body: F) -> Self {
            Self(body)
        }
    }

    impl<F: FnOnce() -> R + Send + 'static, R> Body for Plain<F> {
        type Output = R;
        type Error = Infallible;

        fn finish(self) -> Result<R, Infallible> {
            Ok((self.0)())
        }
    }

    impl<F: FnOnce() -> Result<T, E> + Send + 'static, T, E> Body for Fallible<F> {
        type Output = T;
        type Error = E;

        fn finish(self) -> Result<T, E> {
            (self.0)()
        }
    }

    impl<F: Future<Output = R> + Send + 'static, R> Body for Async<F> {
        type Output = R;
        type Error = Infallible;

        fn finish(self) -> Result<R, Infallible> {
            Ok(poll_to_the_end(self.0))
        }
    }

    impl<F: Future<Output = Result<T, E>> + Send + 'static, T, E> Body for FallibleAsync<F> {
        type Output = T;
        type Error = E;

        fn finish(self) -> Result<T, E> {
            poll_to_the_end(self.0)
        }
    }

    fn poll_to_the_end<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(output) = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                return output;
            }
        }
    }

    pub fn assert_argument<T: Send + 'static>() {}

    pub fn assert_return<T: Send + 'static>() {}

    pub fn call<B: Body>(operation: &'static Operation, body: B) -> Token<B::Output, B::Error> {
        token(operation, None, body)
    }

    pub fn call_keyed<B: Body>(
        operation: &'static Operation,
        key: Key,
        body: B,
    ) -> Token<B::Output, B::Error> {
        token(operation, Some(key), body)
    }

    pub fn request<B: Body>(operation: &'static Operation, body: B) -> Request<B> {
        Request {
            operation,
            key: None,
            body,
        }
    }

    pub fn request_keyed<B: Body>(operation: &'static Operation, key: Key, body: B) -> Request<B> {
        Request {
            operation,
            key: Some(key),
            body,
        }
    }

    fn token<B: Body>(
        operation: &'static Operation,
        key: Option<Key>,
        body: B,
    ) -> Token<B::Output, B::Error> {
        Token {
            operation,
            key,
            body: Box::new(move || body.finish()),
        }
    }
}
