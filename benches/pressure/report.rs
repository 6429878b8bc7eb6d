//! What a course of load came to, held against what is promised of it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;

use crate::load::{Outcome, Sample};
use crate::support;

/// Of the capacity is still answered at twice of it.
const KEPT: f64 = 0.8;

/// Latency of 99 of a hundred that are answered at twice the capacity.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// What twice the capacity may take of memory, in megabytes, beyond what half of it does: full
/// buffers of all connections that are served, and an answer for each list that waits.
const MEMORY: f64 = 64.0;

/// How soon latency is what it was.
const RECOVERED_WITHIN: Duration = Duration::from_secs(1);

/// Latency is looked at in windows of this length.
const WINDOW: Duration = Duration::from_millis(100);

/// It is what it was when for so many windows in a row p99 is below this many times what it was,
/// or below [`CALM`].
const CALM_WINDOWS: usize = 3;
const TIMES: f64 = 2.0;
const CALM: Duration = Duration::from_millis(20);

const BEGIN: &str = "<!-- pressure -->";
const END: &str = "<!-- /pressure -->";

/// What was done, and what came of it.
pub struct Course {
    /// Answers a second, before and once after.
    pub rates: Vec<f64>,
    pub capacity: f64,
    /// How long the phases took; the last is what is left.
    pub half: Duration,
    pub twice: Duration,
    pub samples: Vec<Sample>,
    /// In megabytes, since the first phase began.
    pub memory: Vec<(Duration, f64)>,
}

/// The figures of a course.
pub struct Report {
    name: &'static str,
    rates: Vec<f64>,
    half: Histogram<u64>,
    answered: Histogram<u64>,
    refused: Histogram<u64>,
    unsent: usize,
    /// What failed in each phase, and how.
    failures: Vec<String>,
    /// Not answered at half the capacity, before.
    lost_at_half: usize,
    goodput: f64,
    grown: f64,
    most: f64,
    recovered: Option<Duration>,
}

impl Report {
    pub fn of(name: &'static str, course: &Course) -> anyhow::Result<Report> {
        let end = course.half + course.twice;
        let within = |from: Duration, to: Duration| {
            let within = move |sample: &&Sample| (from..to).contains(&sample.at);
            course.samples.iter().filter(within)
        };
        let half = within(Duration::ZERO, course.half);
        let twice = || within(course.half, end);
        let failures = course.samples.iter().filter_map(|sample| {
            let Outcome::Failed(how) = &sample.outcome else {
                return None;
            };
            Some(format!("{how}, {:.1} s", sample.at.as_secs_f64()))
        });
        let before = histogram(half.clone(), &Outcome::Answered)?;
        // Answers that came in this time, whenever they were asked for.
        let answers = course.samples.iter().filter(|sample| {
            sample.outcome == Outcome::Answered
                && (course.half..end).contains(&(sample.at + sample.latency))
        });
        let most = |from: Duration, to: Duration| {
            let looks = course.memory.iter();
            let sizes = looks.filter(|(at, _)| (from..to).contains(at));
            sizes.map(|(_, size)| *size).fold(0.0, f64::max)
        };
        Ok(Report {
            name,
            rates: course.rates.clone(),
            goodput: answers.count() as f64 / course.twice.as_secs_f64() / course.capacity,
            answered: histogram(twice(), &Outcome::Answered)?,
            refused: histogram(twice(), &Outcome::Refused)?,
            unsent: twice()
                .filter(|sample| sample.outcome == Outcome::Unsent)
                .count(),
            failures: failures.collect(),
            lost_at_half: half
                .filter(|sample| sample.outcome != Outcome::Answered)
                .count(),
            grown: most(course.half, end) - most(Duration::ZERO, course.half),
            most: most(Duration::ZERO, Duration::MAX),
            recovered: recovered(course, end, quantile(&before, 0.99)),
            half: before,
        })
    }

    pub fn lines(&self) -> String {
        let mut text = format!(
            "{}: capacity {} answers/s\n  failed: {}",
            self.name,
            support::spread(&self.rates),
            self.failures.len()
        );
        for failure in self.failures.iter().take(5) {
            let _ = write!(text, "\n    {failure}");
        }
        text
    }
}

/// The latencies of those that came to this, in microseconds.
fn histogram<'s>(
    samples: impl Iterator<Item = &'s Sample>,
    outcome: &Outcome,
) -> anyhow::Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    for sample in samples.filter(|sample| sample.outcome == *outcome) {
        histogram.record(u64::try_from(sample.latency.as_micros())?)?;
    }
    Ok(histogram)
}

fn quantile(histogram: &Histogram<u64>, quantile: f64) -> Duration {
    Duration::from_micros(histogram.value_at_quantile(quantile))
}

/// From the end of the overload until latency is what it was, and stays so for a while.
fn recovered(course: &Course, end: Duration, before: Duration) -> Option<Duration> {
    let calm = before.mul_f64(TIMES).max(CALM);
    let mut windows: Vec<Vec<&Sample>> = Vec::new();
    for sample in course.samples.iter().filter(|sample| sample.at >= end) {
        let window = (sample.at - end).div_duration_f64(WINDOW) as usize;
        windows.resize_with(windows.len().max(window + 1), Vec::new);
        windows[window].push(sample);
    }
    let is_calm = |window: &Vec<&Sample>| {
        let answered = window
            .iter()
            .all(|sample| sample.outcome == Outcome::Answered);
        let mut latencies: Vec<Duration> = window.iter().map(|sample| sample.latency).collect();
        latencies.sort_unstable();
        let last = latencies.len() * 99 / 100;
        answered && latencies.get(last).is_none_or(|p99| *p99 <= calm)
    };
    let calm: Vec<bool> = windows.iter().map(is_calm).collect();
    let first = calm
        .windows(CALM_WINDOWS)
        .position(|some| some.iter().all(|is| *is))?;
    Some(WINDOW * u32::try_from(first).ok()?)
}

fn met(holds: bool) -> &'static str {
    if holds { "met" } else { "MISSED" }
}

fn milliseconds(histogram: &Histogram<u64>, quantiles: &[f64]) -> String {
    if histogram.is_empty() {
        return "none".to_owned();
    }
    let shown = quantiles
        .iter()
        .map(|at| format!("{:.1}", histogram.value_at_quantile(*at) as f64 / 1000.0));
    shown.collect::<Vec<_>>().join(" / ")
}

/// A line of the table: what it is, and the figure of each report.
type Row = (&'static str, fn(&Report) -> String);

const ROWS: [Row; 10] = [
    ("capacity, answers/s: median (lowest to highest)", |r| {
        let round = |rate: f64| format!("{rate:.0}");
        let lowest = r.rates.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = r.rates.iter().copied().fold(0.0, f64::max);
        format!(
            "{} ({} to {})",
            round(support::median(&r.rates)),
            round(lowest),
            round(highest)
        )
    }),
    ("at half: p50 / p90 / p99 / p99.9 / max, ms", |r| {
        milliseconds(&r.half, &[0.5, 0.9, 0.99, 0.999, 1.0])
    }),
    ("at half: not answered", |r| {
        format!(
            "{}; target none: {}",
            r.lost_at_half,
            met(r.lost_at_half == 0)
        )
    }),
    ("at twice: answered, of the capacity", |r| {
        format!(
            "{:.2}; target {KEPT}: {}",
            r.goodput,
            met(r.goodput >= KEPT)
        )
    }),
    ("at twice: answered, p50 / p99 / max, ms", |r| {
        format!(
            "{}; target p99 {}: {}",
            milliseconds(&r.answered, &[0.5, 0.99, 1.0]),
            ANSWERED_WITHIN.as_millis(),
            met(quantile(&r.answered, 0.99) <= ANSWERED_WITHIN)
        )
    }),
    ("at twice: answered / refused / not sent", |r| {
        format!("{} / {} / {}", r.answered.len(), r.refused.len(), r.unsent)
    }),
    (
        "at twice: refused by 503 with Retry-After, p50 / p99 / max, ms",
        |r| milliseconds(&r.refused, &[0.5, 0.99, 1.0]),
    ),
    (
        "anything else (reset, timeout, other status), all phases",
        |r| {
            let failures = r.failures.len();
            format!("{failures}; target none: {}", met(failures == 0))
        },
    ),
    ("memory that twice adds, MB (most at any time)", |r| {
        format!(
            "{:.1} ({:.1}); target {MEMORY}: {}",
            r.grown,
            r.most,
            met(r.grown <= MEMORY)
        )
    }),
    ("at half again: as before after, s", |r| {
        let holds = r.recovered.is_some_and(|time| time <= RECOVERED_WITHIN);
        let told = r.recovered.map(|time| format!("{:.1}", time.as_secs_f64()));
        let told = told.unwrap_or_else(|| "never".to_owned());
        format!(
            "{told}; target {}: {}",
            RECOVERED_WITHIN.as_secs(),
            met(holds)
        )
    }),
];

/// All of it in Markdown, with the machine's load averages before.
pub fn table(reports: &[Report], load: &str) -> String {
    let load = load.split(' ').next().unwrap_or_default();
    let mut text = format!(
        "## Steady under pressure\n\n`cargo bench --bench pressure`; the machine's load average \
         in the minute before it: {load}\n\n|"
    );
    for report in reports {
        let _ = write!(text, " | {}", report.name);
    }
    text.push_str(" |\n|---");
    text.push_str(&"|---".repeat(reports.len()));
    text.push_str("|\n");
    for (what, figure) in ROWS {
        let _ = write!(text, "| {what}");
        for report in reports {
            let _ = write!(text, " | {}", figure(report));
        }
        text.push_str(" |\n");
    }
    text
}

/// Puts the table where the last one was.
pub fn keep(table: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/RESULTS.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let section = format!("{BEGIN}\n{table}{END}\n");
    let new = match (old.split_once(BEGIN), old.split_once(END)) {
        (Some((before, _)), Some((_, after))) => {
            format!("{before}{section}{}", after.trim_start_matches('\n'))
        }
        _ if old.is_empty() => section,
        _ => format!("{}\n\n{section}", old.trim_end()),
    };
    std::fs::write(&path, new).with_context(|| path.display().to_string())
}
