//! Guarded functions on a real gate: recursion, generics, results, timers and network, requests.
//!
//! Also which gate a call goes to: the innermost that was entered, and in a body the body's own.

mod common;

use std::io;
use std::sync::Arc;

use common::{lone_workers, outcome, small_gate, value, wide_gate};
use tokengate::{
    Domains, Gate, Token, TokenError, TokenState, Weight, WeightRanges, get_all, task_token_guard,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[task_token_guard(operation_type = "double", tags(weight = "heavy"))]
fn double(n: u64) -> u64 {
    n * 2
}

#[test]
fn an_async_function_may_await_a_call_of_itself() {
    #[task_token_guard(operation_type = "sum_up_to")]
    async fn sum_up_to(n: u64) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        if n == 0 {
            return Ok(0);
        }
        let rest = sum_up_to(n - 1).await?;
        Ok(rest + n)
    }
    // One domain: the callers wait on the one worker that runs what they wait for.
    let gate = small_gate();
    let _entered = gate.enter();
    assert_eq!(outcome(sum_up_to(200)).unwrap(), 200 * 201 / 2);
}

#[test]
fn a_body_may_call_and_hand_the_tokens_on() {
    #[task_token_guard(operation_type = "halve")]
    fn halve(from: u64, to: u64) -> Vec<Token<Vec<u64>>> {
        let middle = from.midpoint(to);
        vec![list(from, middle), list(middle, to)]
    }
    #[task_token_guard(operation_type = "list", tags(weight = "light"))]
    fn list(from: u64, to: u64) -> Vec<u64> {
        (from..to).collect()
    }
    let gate = wide_gate();
    let _entered = gate.enter();
    let halves = get_all(value(halve(0, 10)));
    let all: Vec<u64> = halves.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_generic_function_is_guarded_with_its_bounds() {
    #[task_token_guard(operation_type = "largest")]
    fn largest<T, const N: usize>(items: [T; N]) -> Option<T>
    where
        T: Ord + Send + 'static,
    {
        items.into_iter().max()
    }
    let gate = small_gate();
    let _entered = gate.enter();
    assert_eq!(value(largest([3, 1, 2])), Some(3));
    assert_eq!(
        value(largest(["a".to_owned(), "b".to_owned()])),
        Some("b".into())
    );
    assert_eq!(value(largest::<u8, 0>([])), None);
}

#[test]
fn results_under_any_name_give_fallible_tokens() {
    type Outcome<T> = Result<T, std::num::ParseIntError>;

    #[task_token_guard(operation_type = "read")]
    fn read(name: String) -> io::Result<usize> {
        match name.as_str() {
            "page" => Ok(4),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, name)),
        }
    }
    #[task_token_guard(operation_type = "parse", tags(fallible))]
    fn parse(text: String) -> Outcome<u64> {
        text.parse()
    }
    let gate = small_gate();
    let _entered = gate.enter();
    assert_eq!(value(read("page".into())), 4);
    let missing: Token<usize, io::Error> = read("other".into());
    let error = outcome(missing).unwrap_err().into_failed().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(value(parse("7".into())), 7);
    let wrong: Token<u64, std::num::ParseIntError> = parse("seven".into());
    assert!(matches!(outcome(wrong), Err(TokenError::Failed(_))));
}

#[test]
fn async_bodies_use_tokios_timers_and_sockets() {
    #[task_token_guard(operation_type = "serve")]
    async fn serve(listener: TcpListener) -> io::Result<String> {
        let (mut stream, _) = listener.accept().await?;
        let mut asked = String::new();
        stream.read_to_string(&mut asked).await?;
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        stream.write_all(asked.to_uppercase().as_bytes()).await?;
        Ok(asked)
    }
    #[task_token_guard(operation_type = "ask", tags(weight = "light"))]
    async fn ask(address: std::net::SocketAddr, question: String) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
    let gate = wide_gate();
    let _entered = gate.enter();
    // The listener is made in a body, where the gate's runtime is.
    let listener = value(gate.try_spawn_async("listen", TcpListener::bind(("127.0.0.1", 0))));
    let address = listener.local_addr().unwrap();
    let (served, answer) = (serve(listener), ask(address, "which core?".into()));
    assert_eq!(value(answer), "WHICH CORE?");
    assert_eq!(value(served), "which core?");
}

#[test]
fn a_runtime_that_was_given_serves_the_bodies() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .runtime(runtime.handle().clone())
        .start()
        .unwrap();
    let id = gate.spawn_async("which", async {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        tokio::runtime::Handle::current().id()
    });
    assert_eq!(value(id), runtime.handle().id());
}

#[test]
fn a_request_chooses_gate_and_weight_and_explains_itself() {
    let gate = Gate::builder()
        .domains(Domains::Count(4))
        .weight_ranges(WeightRanges::strict())
        .start()
        .unwrap();
    let request = double::request(21).on(&gate.handle());
    let explained = request.explain().unwrap();
    assert_eq!(explained.operation, "double");
    assert_eq!(explained.weight, Weight::Heavy);
    assert_eq!(explained.domains, [1, 2, 3, 4]);
    assert!(explained.needs_room);
    let request = request.weight(Weight::Light);
    let explained = request.explain().unwrap();
    assert_eq!(explained.domains, [3, 4]);
    assert!(explained.to_string().contains("3-4"), "{explained}");
    for _ in 0..50 {
        let token = double::request(21)
            .on(&gate.handle())
            .weight(Weight::Light)
            .submit();
        let domain = token.status().domain.expect("a submitted token was routed");
        assert!(
            domain >= 2,
            "the request's weight counts, not the operation's"
        );
        assert_eq!(value(token), 42);
    }
    // The plain body, here and now.
    assert_eq!(double::run(4), 8);
    assert_eq!(double::operation().label(), "double");
    // A request that is dropped does nothing but drop its arguments.
    #[task_token_guard(operation_type = "keep")]
    fn keep(_argument: Arc<()>) {}
    let argument = Arc::new(());
    drop(keep::request(argument.clone()));
    assert_eq!(Arc::strong_count(&argument), 1);
}

#[test]
fn functions_with_keys_and_leads_run_and_say_so() {
    #[task_token_guard(
        operation_type = "ship",
        tags(weight = "heavy", serial, sticky_anchor = "orders", key(id, lines.len()), external_calls = ["double"])
    )]
    async fn ship(id: u64, mut lines: Vec<f64>) -> Result<u64, f64> {
        let doubled = double(id).await.unwrap();
        lines.pop().map_or(Ok(doubled), Err)
    }
    let gate = wide_gate();
    let _entered = gate.enter();
    assert_eq!(value(ship(21, Vec::new())), 42);
    let token = ship::request(1, vec![0.5]).on(&gate.handle()).submit();
    assert_eq!(outcome(token).unwrap_err().into_failed(), Some(0.5));
    let operation = ship::operation();
    assert_eq!(operation.label(), "ship");
    assert_eq!(operation.weight(), Weight::Heavy);
    assert_eq!(operation.key_scope(), "orders");
    assert_eq!(operation.external_calls(), Some(&["double"][..]));
    assert!(operation.is_serial());
    assert_eq!(double::operation().key_scope(), "double");
    assert_eq!(double::operation().external_calls(), None);
    assert!(!double::operation().is_serial());
}

#[test]
fn a_key_that_panics_unwinds_to_the_caller_and_makes_no_token() {
    struct Unhashable(Arc<()>);
    impl std::hash::Hash for Unhashable {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {
            panic!("no hash");
        }
    }
    #[task_token_guard(operation_type = "hash", tags(sticky))]
    fn hash(argument: Unhashable) -> usize {
        Arc::strong_count(&argument.0)
    }
    let gate = small_gate();
    let _entered = gate.enter();
    let owned = Arc::new(());
    let call = || hash(Unhashable(owned.clone()));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no hash"));
    assert_eq!(Arc::strong_count(&owned), 1, "its arguments are gone");
    // The next call is like any other.
    assert_eq!(value(double(2)), 4);
}

#[test]
fn a_call_in_a_body_explains_that_it_needs_no_room() {
    let gate = small_gate();
    let explained = gate.spawn("explain", || double::request(1).explain().unwrap());
    assert!(!value(explained).needs_room);
}

#[test]
fn a_token_says_what_it_is_and_where() {
    let gate = small_gate();
    let held = common::Held::new(&gate.handle(), "hold");
    let _entered = gate.enter();
    let token = double(1);
    assert_eq!(token.operation().label(), "double");
    assert_eq!(token.state(), TokenState::Admitted);
    assert_eq!(token.status().domain, Some(0));
    assert!(!token.is_finished());
    assert_ne!(token.id(), double(1).id());
    held.release();
    common::wait_until("it ran", || token.is_finished());
    assert_eq!(token.state(), TokenState::Completed);
    assert_eq!(value(token), 2);
}

/// A gate whose workers have this name.
fn named(name: &'static str) -> Gate {
    Gate::builder()
        .domains(lone_workers(1))
        .thread_name(move |_| name.to_owned())
        .start()
        .unwrap()
}

#[task_token_guard(operation_type = "where")]
fn whose_thread() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

#[test]
fn calls_go_to_the_innermost_gate_that_was_entered() {
    let (outer, inner) = (named("outer"), named("inner"));
    let in_outer = outer.enter();
    assert_eq!(value(whose_thread()), "outer");
    let in_inner = inner.enter();
    assert_eq!(value(whose_thread()), "inner");
    let again = outer.enter();
    assert_eq!(value(whose_thread()), "outer");
    drop(again);
    assert_eq!(value(whose_thread()), "inner");
    // Not in order: what counts is the innermost that is left.
    drop(in_outer);
    assert_eq!(value(whose_thread()), "inner");
    drop(in_inner);
    // Another thread has entered nothing of this.
    let _entered = inner.enter();
    let elsewhere = std::thread::spawn(|| value(whose_thread())).join().unwrap();
    assert!(
        elsewhere.starts_with("tokengate-"),
        "the global gate: {elsewhere}"
    );
}

#[test]
fn a_body_counts_as_entering_its_gate() {
    let (outer, inner) = (named("outer"), named("inner"));
    let _entered = outer.enter();
    // Sync and async, whatever the caller had entered.
    let child = value(inner.spawn("parent", whose_thread));
    assert_eq!(value(child), "inner");
    let child = inner.spawn_async("parent", async {
        tokio::task::yield_now().await;
        whose_thread().await
    });
    assert_eq!(value(child).unwrap(), "inner");
    // A body may enter another gate for what it calls.
    let other = outer.handle();
    let child = inner.spawn("parent", move || {
        let _entered = other.enter();
        whose_thread()
    });
    assert_eq!(value(value(child)), "outer");
    assert_eq!(value(value(inner.spawn("parent", whose_thread))), "inner");
}

#[test]
fn a_scope_enters_its_gate_at_every_poll() {
    let (outer, inner) = (named("outer"), named("inner"));
    let _entered = outer.enter();
    let scoped = inner.scope(async {
        let first = whose_thread().await;
        tokio::task::yield_now().await;
        (first, whose_thread().await)
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (first, second) = runtime.block_on(async {
        let (scoped, beside) = tokio::join!(scoped, async { whose_thread().await });
        assert_eq!(beside.unwrap(), "outer", "only the scope is inside");
        scoped
    });
    assert_eq!([first.unwrap(), second.unwrap()], ["inner", "inner"]);
}
