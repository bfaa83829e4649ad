//! What the `metrics` facade is told: the stats, and the times of each timed token.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{HANG, elsewhere, lone_workers, outcome, value};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tokengate::{Gate, Operation, Timing, metrics as told};

static PLAIN: Operation = Operation::new("test.plain");
static FAILS: Operation = Operation::new("test.fails");

/// The last value of each counter and gauge, and how many each histogram got.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<BTreeMap<String, f64>>>);

struct Named(Told, String);

impl Told {
    fn named(&self, key: &Key) -> Arc<Named> {
        let labels = key
            .labels()
            .map(|it| format!("{}={}", it.key(), it.value()));
        let labels = labels.collect::<Vec<_>>().join(",");
        Arc::new(Named(self.clone(), format!("{}{{{labels}}}", key.name())))
    }

    #[track_caller]
    fn get(&self, name: &str) -> f64 {
        let told = self.0.lock().unwrap();
        *told
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {told:#?}"))
    }
}

impl Named {
    fn set(&self, value: f64) {
        self.0.0.lock().unwrap().insert(self.1.clone(), value);
    }

    fn add(&self, value: f64) {
        *self.0.0.lock().unwrap().entry(self.1.clone()).or_default() += value;
    }
}

impl CounterFn for Named {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, value: u64) {
        self.set(value as f64);
    }
}

impl GaugeFn for Named {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        Named::set(self, value);
    }
}

impl HistogramFn for Named {
    fn record(&self, _: f64) {
        self.add(1.0);
    }
}

impl Recorder for Told {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.named(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.named(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.named(key))
    }
}

#[test]
fn the_stats_and_the_times_come_to_the_recorder() {
    let recorder = Told::default();
    // Of the whole process: the only test of this file.
    metrics::set_global_recorder(recorder.clone()).expect("the first one");
    let gate = Gate::builder()
        .domains(lone_workers(1))
        .timing(Timing::Every)
        .on_timed(told::histograms("main"))
        .start()
        .unwrap();
    let long = Duration::from_secs(3_600);
    let reporter = told::Reporter::start(gate.handle(), "main", long).unwrap();
    for _ in 0..5 {
        value(gate.spawn(&PLAIN, || ()));
    }
    let failed = gate.try_spawn(&FAILS, || Err::<(), _>("as asked"));
    assert!(outcome(failed).is_err());
    assert!(elsewhere(move || gate.shutdown(HANG)).drained);
    drop(reporter);
    let plain = "gate=main,operation=test.plain";
    let of_plain = |name: &str| recorder.get(&format!("{name}{{{plain}}}"));
    assert_eq!(of_plain("tokengate_tokens_created_total"), 5.0);
    assert_eq!(of_plain("tokengate_tokens_waiting"), 0.0);
    assert_eq!(of_plain("tokengate_wait_seconds"), 5.0);
    assert_eq!(of_plain("tokengate_run_seconds"), 5.0);
    let ended = |operation: &str, outcome: &str| {
        let labels = format!("gate=main,operation={operation},outcome={outcome}");
        recorder.get(&format!("tokengate_tokens_ended_total{{{labels}}}"))
    };
    assert_eq!(ended("test.plain", "completed"), 5.0);
    assert_eq!(ended("test.plain", "failed"), 0.0);
    assert_eq!(ended("test.fails", "failed"), 1.0);
    assert_eq!(
        recorder.get("tokengate_domain_tokens_in_flight{gate=main,domain=1}"),
        0.0
    );
    assert!(recorder.get("tokengate_occupancy{gate=main}") > 0.0);
    assert!(recorder.get("tokengate_parks_total{gate=main}") >= 0.0);
}
