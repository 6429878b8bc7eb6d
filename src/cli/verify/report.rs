//! What a verification reports: ids and the names of fields, and no content of a call.

use std::io::Write;
use std::ops::RangeInclusive;

use serde_json::{Value, json};

use super::compare::{Compared, Difference, Kind, Tally};
use crate::model::{NEVER, Timestamp};

/// The most lines printed of each kind; JSON has all.
const LINES: usize = 1000;

pub struct Report {
    pub compared: Compared,
    /// With `--repair`: what still differs afterwards.
    pub remaining: Option<Vec<Difference>>,
}

impl Report {
    /// True if the replica now equals the upstream.
    pub fn is_fine(&self) -> bool {
        let left = self.remaining.as_ref();
        left.unwrap_or(&self.compared.differences).is_empty()
    }

    pub fn write_text(&self, out: &mut impl Write) -> std::io::Result<()> {
        let Compared {
            calls,
            differences,
            unreadable,
            unread,
        } = &self.compared;
        lines(differences, out)?;
        for id in unreadable.iter().take(LINES) {
            writeln!(out, "unreadable {id}")?;
        }
        for hole in unread.iter().take(LINES) {
            writeln!(out, "unreadable, {}", place(hole))?;
        }
        let calls = calls - unreadable.len() as u64;
        match differences.as_slice() {
            [] => writeln!(out, "{calls} calls compared, no difference")?,
            some => writeln!(out, "{calls} calls compared: {}", counts(some))?,
        }
        if !(unreadable.is_empty() && unread.is_empty()) {
            writeln!(
                out,
                "not compared: {} calls that are held and {} places where the upstream fails to \
                 tell what it has",
                unreadable.len(),
                unread.len()
            )?;
        }
        match &self.remaining {
            Some(left) if !left.is_empty() => {
                lines(left, out)?;
                writeln!(out, "not repaired: {}", counts(left))
            }
            Some(_) if !differences.is_empty() => {
                writeln!(out, "{} repaired", differences.len())
            }
            _ => Ok(()),
        }
    }

    pub fn write_json(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut report = lists(&self.compared.differences);
        let Compared {
            calls,
            unreadable,
            unread,
            ..
        } = &self.compared;
        let bound = |start: &Timestamp| Some(start.to_string()).filter(|_| *start > Timestamp::MIN);
        let unread = unread
            .iter()
            .map(|hole| json!({"from": bound(hole.start()), "to": bound(hole.end())}));
        report["compared"] = json!(calls - unreadable.len() as u64);
        report["unreadable"] = json!(unreadable);
        report["unread"] = unread.collect();
        if let Some(left) = &self.remaining {
            report["remaining"] = lists(left);
        }
        writeln!(out, "{report:#}")
    }
}

fn place(hole: &RangeInclusive<Timestamp>) -> String {
    match (*hole.start(), *hole.end()) {
        (_, NEVER) => "without a start".to_owned(),
        (Timestamp::MIN, end) => format!("started at {end} or before"),
        (start, Timestamp::MAX) => format!("started at {start} or after"),
        (start, end) => format!("started from {start} to {end}"),
    }
}

fn lines(differences: &[Difference], out: &mut impl Write) -> std::io::Result<()> {
    let mut printed = Tally::default();
    for Difference { id, kind } in differences {
        let count = match kind {
            Kind::Missing => &mut printed.missing,
            Kind::Extra => &mut printed.extra,
            Kind::Different(_) => &mut printed.different,
        };
        *count += 1;
        if *count > LINES {
            continue;
        }
        match kind {
            Kind::Missing => writeln!(out, "missing {id}")?,
            Kind::Extra => writeln!(out, "extra {id}")?,
            Kind::Different(fields) => writeln!(out, "different {id}: {}", fields.join(", "))?,
        }
    }
    for (name, count) in [
        ("missing", printed.missing),
        ("extra", printed.extra),
        ("different", printed.different),
    ] {
        if count > LINES {
            writeln!(out, "and {} more {name}", count - LINES)?;
        }
    }
    Ok(())
}

fn counts(differences: &[Difference]) -> String {
    let Tally {
        missing,
        extra,
        different,
    } = Tally::of(differences);
    format!("{missing} missing, {extra} extra, {different} different")
}

fn lists(differences: &[Difference]) -> Value {
    let (mut missing, mut extra, mut different) = (Vec::new(), Vec::new(), Vec::new());
    for Difference { id, kind } in differences {
        match kind {
            Kind::Missing => missing.push(*id),
            Kind::Extra => extra.push(*id),
            Kind::Different(fields) => different.push(json!({"id": id, "fields": fields})),
        }
    }
    json!({"missing": missing, "extra": extra, "different": different})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        report.write_text(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_long_list_is_cut_on_paper_and_whole_in_json() {
        let mut differences: Vec<_> = (1..=1002)
            .map(|id| Difference {
                id,
                kind: Kind::Missing,
            })
            .collect();
        let fields = vec!["duration".to_owned(), "status".to_owned()];
        differences.push(Difference {
            id: 2000,
            kind: Kind::Different(fields),
        });
        let report = Report {
            compared: Compared {
                calls: 5000,
                differences,
                ..Compared::default()
            },
            remaining: None,
        };
        let text = text(&report);
        assert_eq!(text.lines().count(), 1003);
        assert!(text.contains("missing 1000\n") && !text.contains("missing 1001\n"));
        assert!(text.ends_with(
            "different 2000: duration, status\nand 2 more missing\n\
             5000 calls compared: 1002 missing, 0 extra, 1 different\n"
        ));
        let mut out = Vec::new();
        report.write_json(&mut out).unwrap();
        let json: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["missing"].as_array().unwrap().len(), 1002);
        assert!(!report.is_fine());
    }

    #[test]
    fn what_the_upstream_fails_to_tell_is_named_and_not_counted_as_compared() {
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let mut report = Report {
            compared: Compared {
                calls: 100,
                unreadable: vec![7, 9],
                unread: vec![
                    NEVER..=NEVER,
                    Timestamp::MIN..=at(0),
                    at(60)..=at(120),
                    at(180)..=Timestamp::MAX,
                ],
                ..Compared::default()
            },
            remaining: None,
        };
        assert_eq!(
            text(&report),
            "unreadable 7\nunreadable 9\n\
             unreadable, without a start\n\
             unreadable, started at 1970-01-01T00:00:00Z or before\n\
             unreadable, started from 1970-01-01T00:01:00Z to 1970-01-01T00:02:00Z\n\
             unreadable, started at 1970-01-01T00:03:00Z or after\n\
             98 calls compared, no difference\n\
             not compared: 2 calls that are held and 4 places where the upstream fails to tell \
             what it has\n"
        );
        let mut out = Vec::new();
        report.write_json(&mut out).unwrap();
        let json: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (&json["compared"], &json["unreadable"]),
            (&json!(98), &json!([7, 9]))
        );
        let spans = [
            json!({"from": null, "to": null}),
            json!({"from": null, "to": "1970-01-01T00:00:00Z"}),
            json!({"from": "1970-01-01T00:01:00Z", "to": "1970-01-01T00:02:00Z"}),
        ];
        assert_eq!(json["unread"].as_array().unwrap()[..3], spans);
        // The line also appears if only one kind occurs.
        report.compared.unread.clear();
        assert!(text(&report).contains("not compared: 2 calls that are held and 0 places"));
        report.compared.unreadable.clear();
        assert_eq!(text(&report), "100 calls compared, no difference\n");
    }

    #[test]
    fn a_repair_tells_what_it_could_not_mend() {
        let extra = Difference {
            id: 7,
            kind: Kind::Extra,
        };
        let mut report = Report {
            compared: Compared {
                calls: 10,
                differences: vec![extra.clone()],
                ..Compared::default()
            },
            remaining: Some(vec![extra]),
        };
        assert!(!report.is_fine());
        let end = "extra 7\nnot repaired: 0 missing, 1 extra, 0 different\n";
        assert!(text(&report).ends_with(end));
        report.remaining = Some(Vec::new());
        assert!(report.is_fine());
        assert!(text(&report).ends_with("\n1 repaired\n"));
    }
}
