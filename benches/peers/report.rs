//! The table, and its place in `benches/RESULTS.md`.

use std::fmt::Write;

use anyhow::Context;

use super::Settings;
use super::load::Load;
use super::machine;
use super::rounds::Rates;
use super::support::{median, spread};
use super::sync::Slowed;

/// In the order of the table.
const PEERS: [&str; 7] = [
    "floor",
    EDGE,
    "nginx",
    "Varnish",
    "Redis",
    "Datasette",
    "simulator",
];

const EDGE: &str = "burki-edge";

/// At least so many times as fast: a load, the peer the edge is compared with, the ratio.
const TARGETS: [(Load, &str, f64); 8] = [
    (Load::Hot, "floor", 0.85),
    (Load::Uniform, "floor", 0.70),
    (Load::NotModified, "floor", 0.85),
    // A page takes at most three times as long as constant bytes.
    (Load::List, "floor", 0.333),
    (Load::Unkept, "floor", 0.333),
    (Load::Hot, "nginx", 1.25),
    (Load::Hot, "Varnish", 1.25),
    (Load::Hot, "Datasette", 50.0),
];

/// The 99th percentile during a sync, over that at rest: at most.
const SLOWED: f64 = 1.5;

pub fn text(
    settings: &Settings,
    mean: usize,
    rates: &Rates,
    slowed: &Slowed,
) -> anyhow::Result<String> {
    let mut out = String::new();
    writeln!(out, "## Beside what one would pick instead\n")?;
    writeln!(out, "`{}`, on {}.", settings.command(), machine::size()?)?;
    writeln!(out, "{}.\n", machine::versions()?)?;
    let (calls, rounds, seconds) = (settings.calls, settings.rounds, settings.seconds);
    writeln!(
        out,
        "{calls} calls of {mean} bytes, {} connections, {} workers each, {rounds} rounds of \
         {seconds} s a load and peer. Requests per second as ratios of the same round: median \
         (lowest to highest). The floor returns constant bytes of the same size.\n",
        super::CONNECTIONS,
        settings.workers
    )?;
    writeln!(out, "| load | peer | peer : floor | edge : peer |")?;
    writeln!(out, "|---|---|---|---|")?;
    for load in Load::ALL {
        for peer in PEERS {
            let Some(ratios) = rates.ratios(load, peer, "floor") else {
                continue;
            };
            let edge = rates.ratios(load, EDGE, peer).context("no edge")?;
            let (name, ratios, edge) = (load.name(), spread(&ratios), spread(&edge));
            writeln!(out, "| {name} | {peer} | {ratios} | {edge} |")?;
        }
    }
    writeln!(out, "\n| target | measured | |\n|---|---|---|")?;
    for (load, peer, least) in TARGETS {
        let ratios = rates.ratios(load, EDGE, peer).context("no such ratio")?;
        let (name, met) = (load.name(), met(median(&ratios) >= least));
        writeln!(
            out,
            "| {name}, edge : {peer} at least {least} | {} | {met} |",
            spread(&ratios)
        )?;
    }
    let verdict = match slowed.throughout {
        true => met(median(&slowed.p99) <= SLOWED),
        false => "not told: the sync was over before the requests were",
    };
    writeln!(
        out,
        "| by id, uniform, p99 in a full-speed sync : at rest at most {SLOWED} | {} | {verdict} |",
        spread(&slowed.p99)
    )?;
    let hot = rates.of(Load::Hot, "floor").context("no floor")?;
    writeln!(
        out,
        "\nIn that sync the edge answers {} of its requests per second at rest, and writes {:.0} \
         calls per second. For orientation: the floor answered {:.0} requests per second ({}).",
        spread(&slowed.rate),
        median(&slowed.written),
        median(hot),
        Load::Hot.name()
    )?;
    Ok(out)
}

fn met(holds: bool) -> &'static str {
    if holds { "met" } else { "MISSED" }
}

/// Puts the text between this bench's marks, and leaves the rest of the file alone.
pub fn keep(text: &str) -> anyhow::Result<()> {
    const MARKS: [&str; 2] = ["<!-- peers -->\n", "<!-- end of peers -->\n"];
    let path = super::here("../RESULTS.md");
    let file = match std::fs::read_to_string(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            "# Results\n\nWritten by the benches; each owns what is between its marks.\n\n".into()
        }
        Err(error) => return Err(error.into()),
    };
    let around = file.split_once(MARKS[0]).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(MARKS[1])?;
        Some((before, after))
    });
    let (before, after) = around.unwrap_or((&file, ""));
    let [begin, end] = MARKS;
    Ok(std::fs::write(
        path,
        format!("{before}{begin}{text}{end}{after}"),
    )?)
}
