//! The edge is told from the upstream by nothing but its headers: several hundred requests, drawn
//! from a seed, are asked of both.
//!
//! Ties come in any order from the upstream, so two lists are the same if their starts are, and if
//! each of their calls is the upstream's own text.

use std::collections::BTreeMap;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Flavour, WorldConfig};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::edge_and_upstream::{Answer, Site};

/// Requests a world.
const REQUESTS: usize = 400;

/// `SEED` asks one world, `SEEDS` so many.
fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (number("SEED"), number("SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(2)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_the_edge_answers_as_the_hosted_upstream_does() {
    for seed in seeds() {
        compare(seed, Flavour::Hosted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_self_hosted_upstream_it_answers_the_same_in_the_hosted_shape() {
    for seed in seeds() {
        compare(seed, Flavour::SelfHosted).await;
    }
}

async fn compare(seed: u64, flavour: Flavour) {
    let site = Site::of(WorldConfig {
        seed,
        flavour,
        calls: 700,
        same_instant: 40,
        without_start: 30,
        fraction: if seed % 2 == 1 { 0.5 } else { 0.0 },
        ..WorldConfig::default()
    })
    .await;
    let texts: BTreeMap<i64, String> = {
        let world = site.simulator.world();
        world.texts().map(|(id, _, text)| (id, text)).collect()
    };
    let mut draw = Draw::of(seed, &site);
    let (mut by_status, mut differ) = (BTreeMap::new(), Vec::new());
    for _ in 0..REQUESTS {
        let path = draw.path();
        let (edge, upstream) = (
            site.get(&path).await,
            site.upstream("GET", &path, None).await,
        );
        let told = format!("SEED={seed} {flavour:?} {path}");
        if flavour == Flavour::SelfHosted && !speaks_the_same(&path, &upstream) {
            continue;
        }
        if edge.header("burki-edge-coverage") == Some("partial") {
            // A full page by name, of which a self-hosted server does not tell the total.
            assert!(
                flavour == Flavour::SelfHosted && path.contains("assistant_name"),
                "{told}"
            );
            continue;
        }
        *by_status.entry(edge.status).or_insert(0) += 1;
        let compared =
            std::panic::AssertUnwindSafe(|| same(&told, &path, &edge, &upstream, &texts));
        if std::panic::catch_unwind(compared).is_err() {
            differ.push(path);
        }
    }
    assert!(differ.is_empty(), "SEED={seed} {flavour:?}: {differ:#?}");
    // Neither everything is refused nor nothing.
    assert!(by_status[&200] > REQUESTS / 4, "{by_status:?}");
    assert!(by_status[&422] > REQUESTS / 20, "{by_status:?}");
}

/// Whether the self-hosted server has the endpoint, and does not fail at it.
fn speaks_the_same(path: &str, upstream: &Answer) -> bool {
    let redirected = (300..400).contains(&upstream.status);
    // It ignores these, and the edge does not.
    let narrowed = ["call_sid=", "assistant_name=", "customer_phone="];
    let known = if path.contains("/export") { 0 } else { 1 };
    let mut ignored = narrowed[..narrowed.len() - known].iter();
    let ignored = ignored.any(|name| path.contains(name));
    !redirected && upstream.status < 500 && !path.contains("/stats") && !ignored
}

fn same(told: &str, path: &str, edge: &Answer, upstream: &Answer, texts: &BTreeMap<i64, String>) {
    assert_eq!(edge.status, upstream.status, "{told}: {}", edge.text());
    let kind = |answer: &Answer| answer.header("content-type").map(str::to_owned);
    assert_eq!(kind(edge), kind(upstream), "{told}");
    let disposition = |answer: &Answer| answer.header("content-disposition").map(str::to_owned);
    assert_eq!(disposition(edge), disposition(upstream), "{told}");
    if edge.status == 200 && path.contains("/export") && !path.contains("transcripts") {
        return same_rows(told, edge.text(), upstream.text());
    }
    let (ours, theirs) = (edge.json(), without_links(upstream.json()));
    let items = match &theirs {
        Value::Array(items) if ours["items"].is_array() => items.clone(),
        page => page["items"].as_array().cloned().unwrap_or_default(),
    };
    let Some(listed) = ours["items"].as_array() else {
        return assert_eq!(ours, theirs, "{told}");
    };
    if theirs.is_object() {
        for field in ["total", "skip", "limit"] {
            assert_eq!(ours[field], theirs[field], "{told}");
        }
    }
    let starts = |items: &[Value]| -> Vec<Value> {
        items
            .iter()
            .map(|item| item["started_at"].clone())
            .collect()
    };
    assert_eq!(starts(listed), starts(&items), "{told}");
    for item in listed {
        let text = &texts[&item["id"].as_i64().unwrap()];
        assert!(edge.text().contains(text.as_str()), "{told}: {text}");
    }
    // Where no tie is cut, the calls are the same ones.
    let ids = |items: &[Value]| {
        let mut ids: Vec<_> = items.iter().map(|item| item["id"].as_i64()).collect();
        ids.sort_unstable();
        ids
    };
    if ours["total"] == listed.len() {
        assert_eq!(ids(listed), ids(&items), "{told}");
    }
}

/// The same rows, those of one instant in any order.
fn same_rows(told: &str, ours: &str, theirs: &str) {
    let rows = |text: &str| -> Vec<String> {
        let separator = if text.starts_with('[') {
            "  },\n"
        } else {
            "\r\n"
        };
        let mut rows: Vec<String> = text.split(separator).map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    };
    assert_eq!(ours.len(), theirs.len(), "{told}");
    if !ours.starts_with('[') {
        assert_eq!(rows(ours), rows(theirs), "{told}");
    } else {
        let parsed = |text: &str| {
            let mut rows: Vec<Value> = serde_json::from_str(text).unwrap();
            rows.sort_by_key(|row| row["id"].as_i64());
            rows
        };
        assert_eq!(parsed(ours), parsed(theirs), "{told}");
    }
}

/// The self-hosted server names a page of documentation in each of its refusals.
fn without_links(mut answer: Value) -> Value {
    if let Some(Value::Array(entries)) = answer.get_mut("detail") {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("url");
        }
    }
    answer
}

/// Draws requests.
struct Draw {
    rng: StdRng,
    ids: Vec<i64>,
    sids: Vec<String>,
    phones: Vec<String>,
    starts: Vec<Timestamp>,
}

impl Draw {
    fn of(seed: u64, site: &Site) -> Draw {
        let world = site.simulator.world();
        Draw {
            rng: StdRng::seed_from_u64(seed),
            ids: world.records().map(|call| call.id).collect(),
            sids: world
                .records()
                .map(|call| call.call_sid.to_string())
                .collect(),
            phones: (world.records())
                .map(|call| call.customer_phone_number.to_string())
                .collect(),
            starts: world.records().filter_map(|call| call.started_at).collect(),
        }
    }

    fn of_these(&mut self, texts: &[&str]) -> String {
        (*texts.choose(&mut self.rng).unwrap()).to_owned()
    }

    fn path(&mut self) -> String {
        let list = [
            "skip",
            "limit",
            "status",
            "assistant_id",
            "customer_phone",
            "call_sid",
            "assistant_name",
            "date_from",
            "date_to",
            "min_duration",
            "max_duration",
        ];
        match self.rng.random_range(0..20) {
            0..10 => self.query("/api/v1/calls/", &list),
            10..13 => {
                let names = ["status", "assistant_id", "date_from", "date_to"];
                self.query("/api/v1/calls/count", &names)
            }
            13..15 => {
                let names = [
                    "format",
                    "status",
                    "assistant_id",
                    "customer_phone",
                    "call_sid",
                    "assistant_name",
                    "date_from",
                    "date_to",
                ];
                self.query("/api/v1/calls/export", &names)
            }
            15 => self.of_these(&["/api/v1/calls/stats", "/api/v1/calls/stats?x=1"]),
            16 => {
                let below = self.of_these(&["transcripts", "recordings"]);
                let call = self.call();
                self.query(
                    &format!("{call}/{below}"),
                    &["speaker", "include_interim", "recording_type"],
                )
            }
            17 => {
                let id = *self.ids.choose(&mut self.rng).unwrap();
                let path = format!("/api/v1/calls/{id}/transcripts/export");
                self.query(&path, &["format", "speaker"])
            }
            _ => self.call(),
        }
    }

    /// A call, or something like one.
    fn call(&mut self) -> String {
        let id = *self.ids.choose(&mut self.rng).unwrap();
        let sid = self.sids.choose(&mut self.rng).unwrap().clone();
        match self.rng.random_range(0..8) {
            0..3 => format!("/api/v1/calls/{id}"),
            3..5 => format!("/api/v1/calls/sid/{sid}"),
            5 => format!("/api/v1/calls/sid/{}", sid.to_lowercase() + "x"),
            6 => format!("/api/v1/calls/00{id}"),
            _ => {
                let odd = [
                    "0",
                    "-1",
                    "999999",
                    "abc",
                    "1.5",
                    "99999999999999999999",
                    "%20",
                ];
                format!("/api/v1/calls/{}", self.of_these(&odd))
            }
        }
    }

    /// None, one, two or more of the parameters, and seldom one twice or one that nobody knows.
    fn query(&mut self, path: &str, names: &[&str]) -> String {
        let count = [0, 1, 1, 1, 2, 2, 2, 3, 4][self.rng.random_range(0..9)];
        let mut pairs = Vec::new();
        for _ in 0..count {
            let name = self.of_these(names);
            let value = self.value(&name);
            pairs.push(format!("{name}={value}"));
        }
        if self.rng.random_ratio(1, 20) {
            pairs.push("unknown=1&=&x".to_owned());
        }
        match pairs.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", pairs.join("&")),
        }
    }

    fn value(&mut self, name: &str) -> String {
        let value = match name {
            "skip" => self.of_these(&[
                "0",
                "1",
                "5",
                "39",
                "690",
                "005",
                "+5",
                "1.0",
                "-1",
                "x",
                "",
                "999999",
                "999999999999",
                "1e3",
                "-99999999999999999999",
                " 7 ",
            ]),
            "limit" => self.of_these(&[
                "1",
                "2",
                "3",
                "10",
                "100",
                "1000",
                "0",
                "1001",
                "x",
                "",
                "7.0",
                "1_0",
                "-5",
                "99999999999999999999",
            ]),
            "status" => self.of_these(&[
                "completed",
                "failed",
                "ongoing",
                "in-progress",
                "nope",
                "",
                "COMPLETED",
                " completed",
                "%",
                "a\0b",
            ]),
            "assistant_id" => self.of_these(&[
                "1",
                "2",
                "3",
                "8",
                "0",
                "",
                "99",
                "x",
                "1.0",
                "-1",
                "1.5",
                "00",
                "99999999999999999999999999",
                "-99999999999999999999999999",
            ]),
            "customer_phone" => self.part(1),
            "call_sid" => self.part(0),
            "assistant_name" => self.of_these(&[
                "sales",
                "SALES",
                "köln",
                "KÖLN",
                "50%",
                "%",
                "_",
                "tier_2\\",
                "o'brien",
                "\"sons\"",
                "予約",
                "эск",
                " ",
                "",
                "(",
                "nobody",
                "s",
                "le",
                "Sales (NIGHT)",
            ]),
            "date_from" | "date_to" => self.date(),
            "min_duration" | "max_duration" => self.of_these(&[
                "0",
                "1",
                "60",
                "180",
                "600",
                "100000",
                "-1",
                "",
                "x",
                "1.5",
                "60.0",
                "+60",
                "99999999999999999999",
            ]),
            "format" => self.of_these(&["csv", "json", "json", "csv", "txt", "xml", "", "CSV"]),
            "speaker" => self.of_these(&["user", "assistant", "User", "", "nobody"]),
            "include_interim" => self.of_these(&[
                "true", "false", "1", "0", "yes", "NO", "on", "Off", "t", "F", "y", "N", "maybe",
                "", "2", " true",
            ]),
            "recording_type" => self.of_these(&["full", "mixed", "user", "assistant", "", "x"]),
            other => panic!("{other}"),
        };
        // A raw plus is a space.
        match self.rng.random_ratio(1, 30) && value.contains('+') {
            true => value,
            false => byte_serialize(value.as_bytes()).collect(),
        }
    }

    /// Part of a SID or of a number.
    fn part(&mut self, of: usize) -> String {
        let all = [&self.sids, &self.phones][of];
        let whole: Vec<char> = all.choose(&mut self.rng).unwrap().chars().collect();
        let from = self.rng.random_range(0..whole.len());
        let length = self.rng.random_range(1..=8.min(whole.len() - from));
        let part: String = whole[from..from + length].iter().collect();
        match self.rng.random_range(0..8) {
            0 => part.to_uppercase(),
            1 => part.to_lowercase(),
            2 => whole.iter().collect(),
            3 => self.of_these(&[
                "%", "_", "ca", "CA", "v3:", "+1", "sip:", "ANON", "", "555", "\\",
            ]),
            _ => part,
        }
    }

    fn date(&mut self) -> String {
        let start = *self.starts.choose(&mut self.rng).unwrap();
        let naive = start.to_naive();
        let seconds = start.as_micros().div_euclid(1_000_000);
        match self.rng.random_range(0..12) {
            0..3 => naive,
            3 => format!("{naive}Z"),
            4 => naive[..10].to_owned(),
            5 => naive[..16].replace('T', " "),
            6 => format!("{naive}+05:30"),
            7 => format!("{naive}-0800"),
            8 => seconds.to_string(),
            9 => (start.as_micros().div_euclid(1000)).to_string(),
            10 => self.of_these(&[
                "",
                "garbage",
                "2026-02-30",
                "2026-13-01",
                "2026/11/20",
                "2026-11-20T",
                "2026-11-20T25:00",
                "2026-11-20T24:00:00",
                "0000-01-01",
                "10000-01-01",
                "1e9",
                "99999999999999999999",
                "2026-11-20T10:00:60",
                "2026-11-20T10:00:00+24:00",
                "2026-11-20T10",
                "now",
                " 2026-11-20",
                "2026-11-20 ",
                "-1",
                "0",
                "12.5",
            ]),
            _ => self.of_these(&[
                "2020-01-01",
                "2030-01-01",
                "0001-01-01",
                "9999-12-31T23:59:59",
            ]),
        }
    }
}
