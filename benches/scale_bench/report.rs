//! The table, and its section of the results.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

const BEGIN: &str = "<!-- scale -->";
const END: &str = "<!-- /scale -->";

/// What a figure is held against. All are meant for ten million calls, and told of whatever is the
/// largest size that was measured.
#[derive(Clone, Copy)]
pub enum Target {
    None,
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn told(self, figure: f64) -> String {
        let (sign, bound, holds) = match self {
            Target::None => return String::new(),
            Target::AtMost(bound) => ("≤", bound, figure <= bound),
            Target::AtLeast(bound) => ("≥", bound, figure >= bound),
        };
        let verdict = if holds { "met" } else { "**missed**" };
        format!("{sign} {bound}: {verdict}")
    }
}

/// Of the answers to one kind of request, in ms.
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    /// What the server's threads worked for an answer, on average.
    pub work: f64,
    /// Answers that took the server too long, each a 503.
    pub refused: usize,
}

/// A table as it grows.
pub struct Table {
    text: String,
}

impl Table {
    /// `of`: what is in the cells; `ratio`: of what the largest size's is told over the smallest's.
    pub fn new(of: &str, ratio: &str, sizes: &[usize]) -> Table {
        let columns: Vec<String> = sizes.iter().map(|size| grouped(*size)).collect();
        let text = format!(
            "| {of} | {} | {ratio} | target |\n|---|{}---:|---|\n",
            columns.join(" | "),
            "---:|".repeat(sizes.len())
        );
        Table { text }
    }

    /// A figure for each size, as it is to be read, and by its value.
    pub fn row(&mut self, what: &str, cells: &[(String, f64)], target: Target) {
        let ends = cells.first().zip(cells.last());
        let (ratio, verdict) = ends.map_or_else(Default::default, |((_, first), (_, last))| {
            (format!("{:.2}", last / first), target.told(*last))
        });
        let texts: Vec<&str> = cells.iter().map(|(text, _)| text.as_str()).collect();
        self.line(what, &texts.join(" | "), &ratio, &verdict);
    }

    /// Latencies of each size.
    pub fn latencies(&mut self, what: &str, cells: &[Latency], target: Target) {
        let ends = cells.first().zip(cells.last());
        let (ratio, verdict) = ends.map_or_else(Default::default, |(first, last)| {
            let (p50, work) = (last.p50 / first.p50, last.work / first.work);
            let slowest = match last.refused {
                0 => last.p99,
                _ => f64::INFINITY,
            };
            (format!("{p50:.2} / {work:.2}"), target.told(slowest))
        });
        let texts = cells.iter().map(|cell| {
            let Latency {
                p50,
                p99,
                work,
                refused,
            } = cell;
            let refused = match refused {
                0 => String::new(),
                some => format!(", {some} refused"),
            };
            format!("{p50:.2} / {p99:.2} / {work:.2}{refused}")
        });
        let texts: Vec<String> = texts.collect();
        self.line(what, &texts.join(" | "), &ratio, &verdict);
    }

    fn line(&mut self, what: &str, cells: &str, ratio: &str, verdict: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "| {what} | {cells} | {ratio} | {verdict} |");
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Digits in groups of three.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

/// Cores, memory and processor of this machine, and what else it does: how many threads of others ran
/// or waited for a core in the last minute.
pub fn machine() -> anyhow::Result<String> {
    let cores = std::thread::available_parallelism()?.get();
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").context("no MemTotal in /proc/meminfo")?;
    let kilobytes: f64 = memory.trim_end_matches(" kB").parse()?;
    let gigabytes = kilobytes * 1024.0 / 1e9;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{cores} cores ({model}), {gigabytes:.0} GB of memory, load {load} before"
    ))
}

/// Puts `section` where this bench's last one stands, or at the end.
pub fn keep(section: &str, file: &Path) -> anyhow::Result<()> {
    let before = std::fs::read_to_string(file).unwrap_or_else(|_| "# Results\n".to_owned());
    let section = format!("{BEGIN}\n{section}{END}");
    let place = before.find(BEGIN).zip(before.find(END));
    let after = match place {
        Some((begin, end)) => {
            format!(
                "{}{section}{}",
                &before[..begin],
                &before[end + END.len()..]
            )
        }
        None => format!("{}\n\n{section}\n", before.trim_end()),
    };
    Ok(std::fs::write(file, after)?)
}
