//! The attribute `#[task_token_guard]`: turns a function into one whose call gives a token.
//!
//! The pipeline, a file for each step: `args.rs` and `tags.rs` read the attribute, `function.rs` the item, `validate.rs` checks
//! both, `expand.rs` writes the items, `key.rs` their keys and `retry.rs` bodies that run again, `fallback.rs` the items of a
//! faulty function. Users reach the attribute through the runtime crate, which re-exports it. This crate depends on no
//! runtime and knows of it only the names in `expand.rs`, `key.rs` and `retry.rs`.

mod args;
mod attributes;
mod duration;
mod entry;
mod expand;
mod fallback;
mod faults;
mod function;
mod key;
mod owned;
mod retry;
mod tags;
#[cfg(test)]
mod tests;
mod validate;

use proc_macro::TokenStream;
use quote::quote;

/// Turns a function into one whose call gives a token and runs later.
///
/// Use it for work that should run on a worker of its own core domain. A call costs what making a token costs and never runs
/// the body. For a single closure there is `spawn`, which needs no function; the attribute gives the work a name, a weight
/// and tags in one place.
///
/// ```
/// use tokengate::{Token, task_token_guard};
///
/// #[task_token_guard(operation_type = "double")]
/// fn double(n: u64) -> u64 {
///     n * 2
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let token: Token<u64> = double(21);
/// assert_eq!(token.get()?, 42);
/// # Ok(())
/// # }
/// ```
///
/// # What it makes
///
/// Beside the function stands an empty enum of the same name and visibility, with associated functions that take the same
/// arguments:
///
/// * `double::run(21)` is the plain body: it runs here and now, as a test may want it.
/// * `double::request(21)` is a call that is not submitted yet, to choose its gate or its limits first.
/// * `double::operation()` is the static descriptor: the label, the weight, and what the tags say of keys and chains.
///
/// The function itself returns a `Token<R>` for `-> R`, and a `Token<T, E>` for `-> Result<T, E>` or an alias whose
/// name is `Result`, such as `io::Result<T>`. An `async` function gives a token too, and its body may await. In the body, a
/// call of the function itself is a call like any other and gives a token.
///
/// Docs and lint levels of the function stay with it, `#[cfg]` holds for all items, and attributes about code, such as
/// `#[inline]` or `#[tracing::instrument]`, go to the body.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "parse")]
/// async fn parse(text: String) -> Result<u64, std::num::ParseIntError> {
///     Ok(text.parse::<u64>()? + 1)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(parse("41".into()).get()?, 42);
/// assert_eq!(parse::request("41".into()).submit().get()?, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Arguments
///
/// ## `operation_type = "name"`
///
/// The stable label of the operation in statistics, messages and control calls. It must be there and not be empty.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "index_page")]
/// fn index(page: String) -> usize {
///     page.split_whitespace().count()
/// }
///
/// assert_eq!(index::run("to be or not".into()), 4);
/// ```
///
/// ## `crate = path`
///
/// Where the runtime crate is found, if not at `::tokengate`: for a crate that re-exports it.
///
/// ```
/// mod runtime {
///     pub use tokengate;
/// }
///
/// #[tokengate::task_token_guard(operation_type = "ping", crate = crate::runtime::tokengate)]
/// fn ping() {}
/// # fn main() {}
/// ```
///
/// ## `tags(..)`
///
/// What the runtime should know about the operation. It may be empty or absent.
///
/// # Tags
///
/// ## `weight = "heavy"`, `"medium"` or `"light"`
///
/// The range of core domains that a call may be routed to: a heavy one to all, lighter ones to fewer, so that a light call
/// does not wait behind heavy ones. Without it the weight is medium.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "compress", tags(weight = "heavy"))]
/// fn compress(data: Vec<u8>) -> usize {
///     data.chunk_by(|a, b| a == b).count()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(compress(vec![1, 1, 2]).get()?, 2);
/// # Ok(())
/// # }
/// ```
///
/// ## `sticky`
///
/// Calls with equal arguments go to one core domain, for as long as any of them is in flight: what one of them brought into
/// the caches serves the next. All arguments take part in the key and are `Hash`, unless `key(..)` chooses. The key counts
/// under the label, which `operation().key_scope()` shows.
///
/// It is computed at the call, before the arguments move, and costs their hash. If a `Hash` panics, the panic goes to the
/// caller and there is no token.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "render", tags(sticky))]
/// fn render(tile: (u32, u32)) -> u32 {
///     tile.0 * tile.1
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(render((6, 7)).get()?, 42);
/// assert_eq!(render::operation().key_scope(), "render");
/// # Ok(())
/// # }
/// ```
///
/// ## `sticky_anchor = "name"`
///
/// As `sticky`, but the key counts under this name: calls of all operations with the anchor go to one domain if their keys
/// are equal. It excludes `sticky`.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "parse_page", tags(sticky_anchor = "pages"))]
/// fn parse(page: u64) -> u64 {
///     page + 1
/// }
///
/// #[task_token_guard(operation_type = "index_page", tags(sticky_anchor = "pages", key(page)))]
/// fn index(page: u64, words: usize) -> bool {
///     page > 0 && words > 0
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (parsed, indexed) = (parse(7), index(7, 100)); // to one domain
/// assert_eq!((parsed.get()?, indexed.get()?), (8, true));
/// assert_eq!(parse::operation().key_scope(), index::operation().key_scope());
/// # Ok(())
/// # }
/// ```
///
/// ## `key(a, b.id)`
///
/// What takes part in the key in place of all arguments: expressions over them, each of which is `Hash`. They are evaluated
/// at the call, in order, and only borrow. `key()` gives all calls one key. It needs `sticky`, `sticky_anchor` or `serial`.
///
/// ```
/// # use tokengate::task_token_guard;
/// struct Order {
///     customer: u64,
///     total: f64, // not `Hash`, and need not be
/// }
///
/// #[task_token_guard(operation_type = "bill", tags(sticky, key(order.customer, currency.as_str())))]
/// fn bill(order: Order, currency: String) -> String {
///     format!("{} {currency}", order.total)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let order = Order { customer: 1, total: 9.5 };
/// assert_eq!(bill(order, "EUR".into()).get()?, "9.5 EUR");
/// # Ok(())
/// # }
/// ```
///
/// ## `serial`
///
/// Calls of one key run one at a time, in the order of the calls, and each sees what the ones before it wrote. Alone it
/// implies `sticky`. Operations of one anchor without `serial` share the domain of a key and do not wait for its calls.
///
/// ```
/// # use tokengate::task_token_guard;
/// # use std::sync::{Arc, Mutex};
/// #[task_token_guard(operation_type = "append", tags(serial, key(file)))]
/// fn append(file: u32, log: Arc<Mutex<Vec<String>>>, line: String) {
///     log.lock().unwrap().push(format!("{file}: {line}"));
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = Arc::default();
/// append(3, Arc::clone(&log), "first".into()).get()?;
/// append(3, Arc::clone(&log), "second".into()).get()?;
/// assert_eq!(*log.lock().unwrap(), ["3: first", "3: second"]);
/// assert!(append::operation().is_serial());
/// # Ok(())
/// # }
/// ```
///
/// ## `external_calls = ["child_op", ..]`
///
/// The call is a lead: every call under it, at any depth, goes to its core domain until the last of them is done, unless it
/// has a key. The labels name what the body calls and give the chain its public seed; calls that are not listed come along
/// all the same. The list may be empty.
///
/// ```
/// # use tokengate::{Token, task_token_guard};
/// #[task_token_guard(operation_type = "split", tags(external_calls = ["count"]))]
/// fn split(text: String) -> Vec<Token<usize>> {
///     text.lines().map(|line| count(line.to_owned())).collect()
/// }
///
/// #[task_token_guard(operation_type = "count")]
/// fn count(line: String) -> usize {
///     line.split_whitespace().count()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut words = 0;
/// for line in split("to be\nor not to be".into()).get()? {
///     words += line.get()?;
/// }
/// assert_eq!(words, 6);
/// assert_eq!(split::operation().external_calls(), Some(&["count"][..]));
/// # Ok(())
/// # }
/// ```
///
/// ## `limit = 4` or `limit("group", 4)`
///
/// At most so many tokens of this operation, or of all operations of the group, execute at once in a gate. The others wait
/// in the order in which workers came to them, and hold no worker. An async body counts until it exits, also while it is
/// suspended, and so does a body that goes on after its token was killed. `gate.set_limit` changes a limit live; operations
/// that declare one group with different sizes get the smallest.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "thumbnail", tags(limit = 4))]
/// fn thumbnail(image: Vec<u8>) -> usize {
///     image.len()
/// }
///
/// #[task_token_guard(operation_type = "upload", tags(limit("network", 8)))]
/// async fn upload(bytes: Vec<u8>) -> usize {
///     bytes.len()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(thumbnail(vec![0; 3]).get()? + upload(vec![0; 4]).get()?, 7);
/// # Ok(())
/// # }
/// ```
///
/// ## `blocking`
///
/// The body may block: sleep, read files, wait for a lock. It runs on a further thread of its domain, a *spare*, so that the
/// worker goes on with other tokens. At most three quarters of a domain's spares do that at once; without a free one the
/// token waits and holds no worker. Spares share the CPU of their domain, so a body that computes gains nothing by this. Of
/// an async body each poll runs there. On a gate with `max_spares(0)` it runs on the worker.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "read", tags(blocking))]
/// fn read(path: String) -> std::io::Result<String> {
///     std::fs::read_to_string(path)
/// }
///
/// # fn main() {
/// assert!(read("no such file".into()).get().is_err());
/// # }
/// ```
///
/// ## `storage_speed = "slow"`, `"moderate"`, `"fast"` or `"insane"`
///
/// Work on storage: short for `blocking` and a limit of 10, 25, 50 or 70 for all operations of that speed. The groups are
/// named `storage.slow` and so on. It excludes `limit`.
///
/// ```
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "load", tags(storage_speed = "fast"))]
/// fn load(path: String) -> std::io::Result<Vec<u8>> {
///     std::fs::read(path)
/// }
///
/// # fn main() {
/// assert!(load("no such file".into()).get().is_err());
/// assert_eq!(load::operation().limit(), Some(50));
/// # }
/// ```
///
/// ## `timeout = "30s"`
///
/// The longest execution of a call, suspensions included: a whole number with the unit `ms`, `s`, `m` or `h`. When it is
/// over the token resolves as [`TimedOut`] and [`cancelled`] turns true in the body. A sync body is not interrupted: its worker,
/// its turn among `serial` calls and its chain stay taken until it returns. An async body is dropped. A request can set
/// another limit, and a gate a default; `operation().timeout()` shows the tag's.
///
/// [`TimedOut`]: https://docs.rs/tokengate/latest/tokengate/enum.TokenError.html
/// [`cancelled`]: https://docs.rs/tokengate/latest/tokengate/fn.cancelled.html
///
/// ```
/// # use tokengate::{TokenError, cancelled, task_token_guard};
/// #[task_token_guard(operation_type = "search", tags(timeout = "10ms"))]
/// fn search(start: u64) -> u64 {
///     let mut n = start;
///     while !cancelled() { // a real search would also find something
///         n += 1;
///     }
///     n
/// }
///
/// # fn main() {
/// assert!(matches!(search(0).get(), Err(TokenError::TimedOut { .. })));
/// # }
/// ```
///
/// ## `ttl = "5s"`
///
/// The longest wait of a call for its start, from its submission on, also behind other `serial` calls of its key. When it
/// is over the token resolves as `TimedOut`, and its body is dropped and never runs. Written as `timeout` is.
///
/// ```
/// # use tokengate::{Phase, TokenError, task_token_guard};
/// #[task_token_guard(operation_type = "quote", tags(ttl = "5s"))]
/// fn quote(n: u64) -> u64 {
///     2 * n
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// match quote(21).get() {
///     Ok(quote) => assert_eq!(quote, 42),
///     Err(TokenError::TimedOut { phase: Phase::Waiting, .. }) => println!("too late to matter"),
///     Err(other) => return Err(other.into()),
/// }
/// # Ok(())
/// # }
/// ```
///
/// ## `retry(attempts = 3, backoff = "100ms", jitter, on_panic)`
///
/// A body that returns an `Err` runs again, up to so many times in all: the token stays the same, with its key, chain and
/// turn among `serial` calls, and resolves with what the last attempt gave. Only `attempts` must be there.
///
/// * `backoff` is the pause before the second attempt, 100 ms without it; it doubles from one attempt to the next, up to a
///   minute. Written as `timeout` is; `"0ms"` is no pause. A call that waits holds no worker.
/// * `jitter` draws each pause at random, from nothing to its whole length, so that calls which failed together do not
///   come back together.
/// * `on_panic` has a panic count as a failure. A function that returns no `Result` needs it.
///
/// The arguments are cloned for each attempt but the last, so they are `Clone`. `timeout` limits one attempt, `ttl` the
/// wait for the first; a call that is killed or out of time is not retried. Each operation has a *budget* in each gate: a
/// reserve of 100 retries, filled again by one for every five calls. When it is empty a failure is final at once, so that
/// retries do not multiply the load on what has failed.
///
/// ```
/// # use std::sync::Arc;
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "connect", tags(retry(attempts = 3, backoff = "1ms", jitter)))]
/// fn connect(tries: Arc<AtomicU32>) -> Result<u32, &'static str> {
///     match tries.fetch_add(1, Ordering::Relaxed) {
///         0 => Err("refused"),
///         tries => Ok(tries),
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// assert_eq!(connect(Arc::default()).get()?, 1);
/// # Ok(())
/// # }
/// ```
///
/// ## `fallible`
///
/// The return type is a `Result` under another name, so the token has its error type.
///
/// ```
/// # use tokengate::{Token, task_token_guard};
/// type Outcome<T> = Result<T, std::fmt::Error>;
///
/// #[task_token_guard(operation_type = "store", tags(fallible))]
/// fn store(n: u64) -> Outcome<u64> {
///     Ok(n)
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let token: Token<u64, std::fmt::Error> = store(1);
/// assert_eq!(token.get()?, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Compile errors
///
/// A guarded function is a free function, neither `unsafe`, `const` nor `extern`. Its arguments are plain names, `mut` or not,
/// and a token outlives the call, so the types of arguments and result own their data, have a name and are `Send + 'static`.
/// It may have type and const parameters. Every error names the remedy and points at what is at fault.
///
/// ```compile_fail
/// # use tokengate::task_token_guard;
/// #[task_token_guard(operation_type = "length")]
/// fn length(text: &str) -> usize { // error: use `String` or `Arc<str>`
///     text.len()
/// }
/// ```
///
/// Two faults are told by the compiler in its own words:
///
/// * ``enum is not supported in `trait`s or `impl`s``: the function stands in an `impl`, though it takes no `self`. Guard a free
///   function and call that one.
///
/// ```compile_fail
/// # use tokengate::task_token_guard;
/// # struct Order;
/// impl Order {
///     #[task_token_guard(operation_type = "price_order")]
///     fn price(units: u64) -> u64 {
///         units * 3
///     }
/// }
/// # fn main() {}
/// ```
///
/// ```
/// # use tokengate::{Token, task_token_guard};
/// # struct Order;
/// impl Order {
///     fn price(units: u64) -> Token<u64> {
///         price_order(units)
///     }
/// }
///
/// #[task_token_guard(operation_type = "price_order")]
/// fn price_order(units: u64) -> u64 {
///     units * 3
/// }
/// # fn main() {}
/// ```
///
/// * `the name is defined multiple times`: a module or type of the same name stands beside the function, where the enum has
///   to be. Rename one of them.
///
/// ```compile_fail
/// # use tokengate::task_token_guard;
/// mod report {}
///
/// #[task_token_guard(operation_type = "report")]
/// fn report() {}
/// # fn main() {}
/// ```
///
/// ```
/// # use tokengate::task_token_guard;
/// mod report {}
///
/// #[task_token_guard(operation_type = "report")]
/// fn send_report() {}
/// # fn main() {}
/// ```
#[proc_macro_attribute]
pub fn task_token_guard(arguments: TokenStream, item: TokenStream) -> TokenStream {
    guard(arguments.into(), item.into()).into()
}

/// The attribute as a function of its two inputs: all faults, then the items.
fn guard(
    arguments: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let mut faults = faults::Faults::default();
    let arguments = args::Arguments::read(arguments, &mut faults);
    let Some(function) = faults.keep(function::Function::read(item.clone())) else {
        return quote!(#faults #item);
    };
    validate::check_arguments(&arguments, &function, &mut faults);
    let items = match faults.keep(validate::check_signature(&function, &arguments)) {
        Some(call) => expand::expand(&arguments, &function, &call),
        None => fallback::fallback(&arguments, &function),
    };
    quote!(#faults #items)
}
