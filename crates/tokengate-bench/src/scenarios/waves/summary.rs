//! What the repetitions of `waves` come to: figures, ratios, tables and plots.
//!
//! The scenario calls it once at its end. It computes nothing from the article's figures but puts them
//! beside ours.

use serde_json::{Map, Value, json};

use super::{FiguresSample, WaveSample, article, tokens_of};
use crate::contender::OwnFigures;
use crate::recorder::Record;
use crate::report::{
    Chart, ContenderReport, Grid, Ratio, ScenarioReport, Verdict, spread, thousands,
};
use crate::roster::Skipped;
use crate::scenarios::{Summary, best, put, skipped};
use crate::spread::Spread;

/// The contender that the bars are for: a batch, then all results in one wait.
const OURS: &str = "tokengate-get-all";

/// tokio in all its forms; the best one is the peer.
const TOKIO: [&str; 3] = ["tokio", "tokio-inside", "tokio-join-set"];

/// All that is known about one contender.
struct Found {
    summary: Summary,
    /// Seconds of each wave, from the pass without clocks.
    waves_s: Vec<Spread>,
    /// From the pass with clocks: each wave, then all together.
    waves: Vec<OwnFigures>,
    total: Option<OwnFigures>,
}

/// Puts the report together.
pub(super) fn report(
    plain: &[Record<WaveSample>],
    probed: &[Record<FiguresSample>],
    absent: Vec<Skipped>,
) -> ScenarioReport {
    let found: Vec<Found> = plain
        .iter()
        .map(|record| {
            let probed = probed.iter().find(|probed| probed.name == record.name);
            Found::of(record, probed)
        })
        .collect();
    let mut contenders: Vec<_> = found.iter().map(Found::report).collect();
    contenders.extend(absent.into_iter().map(skipped));
    contenders.push(published());
    ScenarioReport {
        name: "waves",
        busy_elsewhere_cpus: 0.0,
        ratios: ratios(&found),
        limits: vec![],
        grids: grids(&found),
        charts: charts(&found),
        contenders,
    }
}

impl Found {
    fn of(record: &Record<WaveSample>, probed: Option<&Record<FiguresSample>>) -> Self {
        let mut summary = Summary::of(record);
        if let (Verdict::Flawless(_), Some(probed)) = (&summary.verdict, probed) {
            let verdict = Summary::of(probed).verdict;
            if matches!(verdict, Verdict::Failed(_)) {
                summary.verdict = verdict;
            }
        }
        let count = record.samples.first().map_or(0, |s| s.elapsed.len());
        let wave_s = |wave: usize| {
            let of_wave = record.samples.iter().map(|s| s.elapsed[wave].as_secs_f64());
            Spread::of(of_wave)
        };
        let samples = probed.map_or(&[][..], |probed| &probed.samples);
        let waves = (0..count)
            .filter_map(|wave| median(samples.iter().filter_map(|s| s.waves.get(wave))))
            .collect();
        Self {
            summary,
            waves_s: (0..count).filter_map(wave_s).collect(),
            waves,
            total: median(samples.iter().filter_map(|s| s.total.as_ref())),
        }
    }

    fn elapsed_s(&self) -> Option<f64> {
        Some(self.summary.elapsed_s?.median)
    }

    fn tokens(&self) -> usize {
        (0..self.waves_s.len()).map(tokens_of).sum()
    }

    fn report(&self) -> ContenderReport {
        let mut figures = self.summary.basis();
        if let Some(elapsed) = self.summary.elapsed_s {
            put(&mut figures, "elapsed", "s", elapsed);
            let rate = self.tokens() as f64 / elapsed.median;
            figures.insert("throughput_per_s".into(), json!(rate));
        }
        if let Some(total) = &self.total {
            put_times(&mut figures, total);
        }
        let waves: Vec<Value> = (0..self.waves_s.len())
            .map(|wave| Value::Object(self.wave(wave)))
            .collect();
        figures.insert("waves".into(), json!(waves));
        ContenderReport {
            name: self.summary.name.clone(),
            figures,
            verdict: self.summary.verdict.clone(),
        }
    }

    fn wave(&self, wave: usize) -> Map<String, Value> {
        let mut figures = Map::new();
        figures.insert("tokens".into(), json!(tokens_of(wave)));
        put(&mut figures, "elapsed", "s", self.waves_s[wave]);
        figures.insert("throughput_per_s".into(), json!(self.rate(wave)));
        if let Some(times) = self.waves.get(wave) {
            put_times(&mut figures, times);
        }
        figures
    }

    /// Tokens per second of one wave.
    fn rate(&self, wave: usize) -> f64 {
        tokens_of(wave) as f64 / self.waves_s[wave].median
    }
}

fn put_times(figures: &mut Map<String, Value>, times: &OwnFigures) {
    figures.insert("occupancy".into(), json!(times.occupancy));
    if let Some(cpu) = times.cpu_parallelism {
        figures.insert("cpu_parallelism".into(), json!(cpu));
    }
    figures.insert("latency_p50_ns".into(), json!(times.latency_p50_ns));
    figures.insert("latency_p99_ns".into(), json!(times.latency_p99_ns));
}

/// The median of each figure; `None` without any.
fn median<'a>(series: impl Iterator<Item = &'a OwnFigures>) -> Option<OwnFigures> {
    let series: Vec<&OwnFigures> = series.collect();
    let of = |figure: fn(&OwnFigures) -> f64| {
        Some(Spread::of(series.iter().map(|figures| figure(figures)))?.median)
    };
    Some(OwnFigures {
        occupancy: of(|figures| figures.occupancy)?,
        cpu_parallelism: Spread::of(series.iter().filter_map(|figures| figures.cpu_parallelism))
            .map(|spread| spread.median),
        latency_p50_ns: of(|figures| figures.latency_p50_ns)?,
        latency_p99_ns: of(|figures| figures.latency_p99_ns)?,
    })
}

/// The article's own figures, as far as they are throughput and overlap.
fn published() -> ContenderReport {
    let waves: Vec<Value> = article::waves()
        .iter()
        .map(|wave| {
            json!({
                "tokens": wave.tokens,
                "throughput_per_s": wave.tokens_per_s,
                "elapsed_by_tokens_s": wave.latency_ms / 1e3,
                "overlap": wave.overlap,
            })
        })
        .collect();
    let source = "\"When Stability Improves Performance\": 8 cores, Python; not measured here";
    ContenderReport {
        name: "article".into(),
        figures: Map::from_iter([("waves".to_owned(), json!(waves))]),
        verdict: Verdict::Published(source.into()),
    }
}

fn ratios(found: &[Found]) -> Vec<Ratio> {
    let elapsed = |name: &str| {
        let found = found.iter().find(|found| found.summary.name == name);
        found.and_then(Found::elapsed_s)
    };
    let Some(ours) = elapsed(OURS) else {
        return Vec::new();
    };
    let peers = [
        ("vs_static_split", elapsed("static-split"), Some(0.95)),
        ("vs_rayon_par_iter", elapsed("rayon-par-iter"), Some(0.97)),
        ("vs_tokio_best", best(elapsed, TOKIO), Some(1.3)),
        ("vs_tokio_outside", elapsed("tokio"), None),
        ("vs_serial", elapsed("serial"), None),
        ("vs_free_routing", elapsed("tokengate-free-routing"), None),
    ];
    let ratio = |(name, peer, bar): (&str, Option<f64>, Option<f64>)| {
        Some(Ratio {
            name: name.to_owned(),
            value: peer? / ours,
            bar,
        })
    };
    peers.into_iter().filter_map(ratio).collect()
}

/// Elapsed time of the serial loop over this one's.
fn speed_up(found: &[Found], of: impl Fn(&Found) -> Option<f64>, own: f64) -> String {
    let serial = found.iter().find(|found| found.summary.name == "serial");
    serial
        .and_then(of)
        .map_or_else(|| "-".to_owned(), |serial| format!("{:.2}", serial / own))
}

fn grids(found: &[Found]) -> Vec<Grid> {
    let mut grids = vec![contenders(found)];
    let ours = found.iter().find(|found| found.summary.name == OURS);
    // Without ours, the wave table shows the contender that was asked for.
    if let Some(shown) = ours.or(found.last()) {
        grids.push(wave_by_wave(found, shown));
    }
    grids
}

fn contenders(found: &[Found]) -> Grid {
    let mut grid = Grid::new(
        "All waves: elapsed time from the pass without clocks, the others from the pass with them",
        &[
            "contender",
            "elapsed ms",
            "tokens/s",
            "speed-up",
            "p50 µs",
            "p99 µs",
            "occupancy",
            "CPU parallelism",
            "results",
        ],
    );
    for found_one in found {
        let mut row = vec![found_one.summary.name.clone()];
        match found_one.summary.elapsed_s {
            Some(elapsed) => row.extend([
                spread(elapsed.times(1e3)),
                thousands((found_one.tokens() as f64 / elapsed.median) as u64),
                speed_up(found, Found::elapsed_s, elapsed.median),
            ]),
            None => row.extend(["-"; 3].map(str::to_owned)),
        }
        row.extend(times(found_one.total.as_ref()));
        row.push(found_one.summary.remark());
        grid.rows.push(row);
    }
    grid
}

fn times(figures: Option<&OwnFigures>) -> [String; 4] {
    figures.map_or_else(
        || ["-"; 4].map(str::to_owned),
        |figures| {
            [
                format!("{:.1}", figures.latency_p50_ns / 1e3),
                format!("{:.1}", figures.latency_p99_ns / 1e3),
                format!("{:.2}", figures.occupancy),
                figures
                    .cpu_parallelism
                    .map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2}")),
            ]
        },
    )
}

fn wave_by_wave(found: &[Found], shown: &Found) -> Grid {
    let mut grid = Grid::new(
        &format!(
            "Wave by wave: the article (8 cores, Python) beside {}. The article's latency is elapsed / \
             tokens, its overlap is our occupancy",
            shown.summary.name
        ),
        &[
            "wave",
            "tokens",
            "article tokens/s",
            "tokens/s",
            "article latency µs",
            "p50 µs",
            "p99 µs",
            "article overlap",
            "occupancy",
            "CPU parallelism",
            "speed-up",
        ],
    );
    for (wave, article) in article::waves()
        .iter()
        .enumerate()
        .take(shown.waves_s.len())
    {
        let of_wave = |found: &Found| Some(found.waves_s.get(wave)?.median);
        let [p50, p99, occupancy, parallelism] = times(shown.waves.get(wave));
        grid.rows.push(vec![
            (wave + 1).to_string(),
            thousands(article.tokens as u64),
            format!("{:.1}", article.tokens_per_s),
            thousands(shown.rate(wave) as u64),
            format!("{:.0}", article.latency_ms * 1e3),
            p50,
            p99,
            format!("{:.2}", article.overlap),
            occupancy,
            parallelism,
            speed_up(found, of_wave, shown.waves_s[wave].median),
        ]);
    }
    grid
}

fn charts(found: &[Found]) -> Vec<Chart> {
    let bars = found
        .iter()
        .filter_map(|found| {
            let elapsed_ms = found.summary.elapsed_s?.times(1e3);
            Some((found.summary.name.clone(), elapsed_ms))
        })
        .collect();
    let mut lines: Vec<_> = found
        .iter()
        .map(|found| {
            let points = (0..found.waves_s.len())
                .map(|wave| (tokens_of(wave) as f64, found.rate(wave)))
                .collect();
            (found.summary.name.clone(), points)
        })
        .collect();
    let article = article::waves();
    let points = article.iter().map(|w| (w.tokens as f64, w.tokens_per_s));
    lines.push(("article (8 cores, Python)".to_owned(), points.collect()));
    vec![
        Chart::Bars {
            title: "waves: all tokens, median with smallest and largest".into(),
            unit: "elapsed ms",
            bars,
        },
        Chart::Lines {
            title: "waves: tokens per second of each wave".into(),
            x: "tokens in the wave",
            y: "tokens per second",
            lines,
        },
    ]
}
