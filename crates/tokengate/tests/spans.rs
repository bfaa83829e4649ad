//! Tracing spans: one for each token, inside of the caller's, entered while the body runs.

mod common;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use common::{HANG, Held, elsewhere, lone_workers, outcome, value};
use smol::future::yield_now;
use tokengate::{Gate, Operation, Token};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static PLAIN: Operation = Operation::new("test.plain");
static ASYNC: Operation = Operation::new("test.async");
static HOLD: Operation = Operation::new("test.hold");

/// What is known of a span.
#[derive(Clone, Debug, Default)]
struct Seen {
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
    entered: usize,
    left: usize,
    events: Vec<String>,
    references: usize,
}

/// Remembers all spans, by number.
#[derive(Clone, Default)]
struct Memory {
    spans: Arc<Mutex<BTreeMap<u64, Seen>>>,
    last: Arc<AtomicU64>,
    target: &'static str,
}

thread_local! {
    static STACK: std::cell::RefCell<Vec<u64>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Memory {
    fn change(&self, id: u64, change: impl FnOnce(&mut Seen)) {
        change(
            self.spans
                .lock()
                .unwrap()
                .get_mut(&id)
                .expect("a span that was made"),
        );
    }

    fn of(&self, operation: &str) -> Vec<Seen> {
        let spans = self.spans.lock().unwrap();
        let spans = spans.values();
        let of = |seen: &&Seen| seen.fields.get("operation").map(String::as_str) == Some(operation);
        spans.filter(of).cloned().collect()
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Memory {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(self.target)
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.last.fetch_add(1, SeqCst) + 1;
        let mut seen = Seen {
            parent: STACK.with_borrow(|stack| stack.last().copied()),
            references: 1,
            ..Seen::default()
        };
        attributes.record(&mut Fields(&mut seen.fields));
        self.spans.lock().unwrap().insert(id, seen);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.change(id.into_u64(), |seen| {
            values.record(&mut Fields(&mut seen.fields))
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        if let Some(id) = STACK.with_borrow(|stack| stack.last().copied()) {
            let message = fields.remove("message").unwrap_or_default();
            self.change(id, |seen| seen.events.push(message));
        }
    }

    fn enter(&self, id: &Id) {
        STACK.with_borrow_mut(|stack| stack.push(id.into_u64()));
        self.change(id.into_u64(), |seen| seen.entered += 1);
    }

    fn exit(&self, id: &Id) {
        STACK.with_borrow_mut(|stack| assert_eq!(stack.pop(), Some(id.into_u64())));
        self.change(id.into_u64(), |seen| seen.left += 1);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.change(id.into_u64(), |seen| seen.references += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut last = false;
        self.change(id.into_u64(), |seen| {
            seen.references -= 1;
            last = seen.references == 0;
        });
        last
    }
}

/// A gate whose tokens have spans, and its workers' subscriber.
fn gate_with(memory: &Memory, spans: bool) -> Gate {
    let memory = memory.clone();
    Gate::builder()
        .domains(lone_workers(1))
        .spans(spans)
        .on_thread_start(move |_| {
            // For the rest of the thread.
            std::mem::forget(tracing::subscriber::set_default(memory.clone()));
        })
        .start()
        .unwrap()
}

#[test]
fn each_token_has_a_span_inside_of_the_callers_that_ends_with_it() {
    let memory = Memory::default();
    let gate = gate_with(&memory, true);
    let handle = gate.handle();
    let (plain, id) = tracing::subscriber::with_default(memory.clone(), || {
        let caller = tracing::info_span!("caller");
        let _entered = caller.enter();
        let plain = handle.spawn(&PLAIN, || tracing::info!("inside"));
        let suspends = handle.spawn_async(&ASYNC, async {
            yield_now().await;
            tracing::info!("after");
        });
        value(suspends);
        (plain, caller.id().map(|id| id.into_u64()))
    });
    let number = plain.id().get();
    // The handle is kept: it is the exit that ends a span.
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    for (operation, entered, event) in [("test.plain", 1, "inside"), ("test.async", 2, "after")] {
        let spans = memory.of(operation);
        assert_eq!(spans.len(), 1);
        let span = &spans[0];
        assert_eq!(span.parent, id);
        assert_eq!((span.entered, span.left), (entered, entered));
        assert_eq!(span.events, [event]);
        assert_eq!(span.fields["outcome"], "completed");
        assert_eq!(span.references, 0, "it is closed: {span:?}");
    }
    assert_eq!(memory.of("test.plain")[0].fields["id"], number.to_string());
    value(plain);
}

#[test]
fn a_token_that_never_starts_ends_its_span_too() {
    let memory = Memory::default();
    let gate = gate_with(&memory, true);
    let handle = gate.handle();
    let held = Held::new(&handle, &HOLD);
    let killed: Vec<Token<()>> = tracing::subscriber::with_default(memory.clone(), || {
        (0..3).map(|_| handle.spawn(&PLAIN, || ())).collect()
    });
    killed[0].kill("test");
    let ender = std::thread::spawn(move || gate.shutdown(std::time::Duration::ZERO));
    common::wait_until("the purge", || killed.iter().all(Token::is_finished));
    drop(held);
    ender.join().unwrap();
    for span in memory.of("test.plain") {
        assert_eq!(span.fields["outcome"], "killed");
        assert_eq!(
            (span.entered - span.left, span.references),
            (0, 0),
            "{span:?}"
        );
    }
    assert!(killed.into_iter().all(|token| outcome(token).is_err()));
}

#[test]
fn without_a_wish_or_a_subscriber_there_are_no_spans() {
    for (spans, target) in [(false, ""), (true, "something.else")] {
        let memory = Memory {
            target,
            ..Memory::default()
        };
        let gate = gate_with(&memory, spans);
        let handle = gate.handle();
        tracing::subscriber::with_default(memory.clone(), || value(handle.spawn(&PLAIN, || ())));
        assert!(memory.spans.lock().unwrap().is_empty());
    }
}
