//! What one operation costs, by two runs under callgrind.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use burki_edge::model::Call;

use super::operation::Operation;

/// Allowed beyond the baseline.
const SLACK: f64 = 1.05;

/// The same caches on every machine: size, ways and line in bytes.
const CACHES: [&str; 3] = ["--I1=32768,8,64", "--D1=32768,8,64", "--LL=8388608,16,64"];

/// Per operation, on average.
#[derive(Clone, Copy)]
pub struct Cost {
    pub instructions: f64,
    /// Of the first cache, by code and by data, and of the last.
    pub code_misses: f64,
    pub data_misses: f64,
    pub last_misses: f64,
}

impl Cost {
    /// `file` is copied for each run.
    pub fn of(operation: Operation, calls: &[Call], file: &Path) -> anyhow::Result<Cost> {
        let (few, many) = operation.times();
        let few_cost = run(operation, few, calls, file)?;
        // How many requests share a transaction depends on the clock: the luckier of two runs.
        let luckier = |one: [u64; 4], other: [u64; 4]| if one[0] < other[0] { one } else { other };
        let many_cost = luckier(
            run(operation, many, calls, file)?,
            run(operation, many, calls, file)?,
        );
        let each = |which: usize| {
            let more = many_cost[which] as f64 - few_cost[which] as f64;
            more / (many - few) as f64
        };
        Ok(Cost {
            instructions: each(0),
            code_misses: each(1),
            data_misses: each(2),
            last_misses: each(3),
        })
    }

    fn cycles(&self) -> f64 {
        let first = self.code_misses + self.data_misses;
        self.instructions + 10.0 * first + 100.0 * self.last_misses
    }

    pub fn is_over(&self, old: Cost) -> bool {
        self.instructions > old.instructions * SLACK || self.cycles() > old.cycles() * SLACK
    }

    pub fn line(&self, operation: Operation, old: Option<Cost>) -> String {
        let change = |of: fn(&Cost) -> f64| match old {
            Some(old) => format!("{:+.1}%", (of(self) / of(&old) - 1.0) * 100.0),
            None => "new".to_owned(),
        };
        format!(
            "{:<20} {:>12.0} {:>6} {:>9.0} {:>6} {:>13.0} {:>5.0} {:>5.1}",
            operation.to_string(),
            self.instructions,
            change(|cost| cost.instructions),
            self.cycles(),
            change(Cost::cycles),
            self.code_misses,
            self.data_misses,
            self.last_misses,
        )
    }
}

/// Instructions, and misses by code, by data and of the last cache, of a whole run.
fn run(operation: Operation, times: u64, calls: &[Call], file: &Path) -> anyhow::Result<[u64; 4]> {
    let folder = tempfile::tempdir()?;
    let (copy, counts) = (folder.path().join("edge.db"), folder.path().join("counts"));
    std::fs::copy(file, &copy)?;
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--cache-sim=yes", "--quiet"])
        .args(CACHES)
        .arg(format!("--callgrind-out-file={}", counts.display()))
        // What it thinks of this machine's caches does not matter here.
        .arg(format!(
            "--log-file={}",
            folder.path().join("log").display()
        ))
        .arg(std::env::current_exe()?)
        .args(["run", &operation.to_string(), &times.to_string()])
        .arg(&copy)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("valgrind can't be run; install it (Debian: valgrind)")?;
    let stdout = child.stdout.take().context("the child's output")?;
    let mut first = String::new();
    BufReader::new(stdout).read_line(&mut first)?;
    if let Some(address) = first.trim().strip_prefix("listening ") {
        let mut stream = TcpStream::connect(address)?;
        for time in 0..times {
            ask(&mut stream, &operation.request(time, calls))?;
        }
    }
    // Its end is the child's sign to stop.
    drop(child.stdin.take());
    ensure!(child.wait()?.success(), "the run failed");
    read(&std::fs::read_to_string(&counts)?)
}

/// Sends a request, and reads its answer to the end.
fn ask(stream: &mut TcpStream, (request, status): &(String, u16)) -> anyhow::Result<()> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 64 << 10];
    loop {
        let read = stream.read(&mut piece)?;
        ensure!(read > 0, "the connection was closed");
        answer.extend_from_slice(&piece[..read]);
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&answer[..end])?.to_lowercase();
        ensure!(
            head.contains(&format!(" {status} ")),
            "not a {status}: {head}"
        );
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(Ok(0), str::parse)?;
        if answer.len() >= end + 4 + length {
            return Ok(());
        }
    }
}

/// callgrind's counts: `events:` names the columns of `summary:` or `totals:`.
fn read(counts: &str) -> anyhow::Result<[u64; 4]> {
    let line = |name: &str| counts.lines().find_map(|line| line.strip_prefix(name));
    let events = line("events:").context("no events")?;
    let totals = line("totals:").or(line("summary:")).context("no totals")?;
    let columns: Vec<(&str, u64)> = events
        .split_whitespace()
        .zip(totals.split_whitespace())
        .map(|(event, count)| Ok((event, count.parse()?)))
        .collect::<anyhow::Result<_>>()?;
    let sum = |names: &[&str]| -> anyhow::Result<u64> {
        let mut sum = 0;
        for name in names {
            let Some((_, count)) = columns.iter().find(|(event, _)| event == name) else {
                bail!("no {name}");
            };
            sum += count;
        }
        Ok(sum)
    };
    Ok([
        sum(&["Ir"])?,
        sum(&["I1mr"])?,
        sum(&["D1mr", "D1mw"])?,
        sum(&["ILmr", "DLmr", "DLmw"])?,
    ])
}
