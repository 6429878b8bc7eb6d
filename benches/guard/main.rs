//! `cargo bench --bench guard` counts what the hot operations cost the processor, and fails where
//! one costs over 5 % more than `baseline.csv` says.
//!
//! A clock on a busy machine tells little; instructions and cache misses under callgrind are nearly
//! the same from run to run. Each operation is run a few and many times, in a process of its own:
//! the difference is free of what goes before. Requests come through a real socket from this
//! process, which is not counted.
//!
//! *Cycles* are estimated as callgrind's users do: an instruction counts 1, a miss of the first
//! cache 10, one of the last 100. `GUARD=write` writes the baseline anew, for a change whose price
//! is meant: say in its commit what it buys. Named operations alone are run by
//! `cargo bench --bench guard -- get-hot get-cold`.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod baseline;
mod cost;
mod operation;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "no engine fills anything here")]
mod support;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use self::baseline::Baseline;
use self::cost::Cost;
use self::operation::Operation;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/guard/baseline.csv");

/// Operations that need another page each find one among these.
const CALLS: usize = 10_000;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, run, operation, times, file] = arguments.as_slice()
        && run == "run"
    {
        let operation: Operation = operation.parse()?;
        operation.run(times.parse()?, Path::new(file))?;
        return Ok(ExitCode::SUCCESS);
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("edge.db");
    let calls = support::replica::write(&file, CALLS)?;
    let before = Baseline::read(Path::new(BASELINE))?;
    let mut now = Baseline::default();
    println!("operation            instructions      ±    cycles      ±  misses: code  data  last");
    let mut is_dearer = false;
    let named = |operation: &Operation| arguments.contains(&operation.to_string());
    let is_named = Operation::ALL.iter().any(named);
    for operation in Operation::ALL {
        if is_named && !named(&operation) {
            continue;
        }
        let cost = Cost::of(operation, &calls, &file).with_context(|| operation.to_string())?;
        let old = before.get(operation);
        is_dearer |= old.is_some_and(|old| cost.is_over(old));
        println!("{}", cost.line(operation, old));
        now.put(operation, cost);
    }
    if !is_named && std::env::var("GUARD").is_ok_and(|told| told == "write") {
        now.write(Path::new(BASELINE))?;
        return Ok(ExitCode::SUCCESS);
    }
    if is_dearer {
        println!("\nSome cost over 5 % more than {BASELINE} says.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
