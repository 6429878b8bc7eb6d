//! Every kind of request, drawn from the calls that are there.

use burki_edge::model::{Call, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// A call from the middle of the file, as the edge told it.
pub struct Sample {
    pub call: Call,
    pub etag: String,
}

/// What requests are drawn from.
pub struct Inputs {
    /// Of all calls.
    pub ids: Vec<u32>,
    /// Of calls that have a transcript.
    pub detailed: Vec<u32>,
    pub samples: Vec<Sample>,
}

/// What is asked, and what comes back.
pub struct Asked {
    pub target: String,
    /// Further ones, each ended by CR LF.
    pub headers: String,
    pub status: u16,
}

pub struct Kind {
    pub name: &'static str,
    /// The p99 that is hoped for at ten million calls, in ms.
    pub target: Option<f64>,
    /// How many answers are timed.
    pub times: usize,
    pub draw: fn(&Inputs, &mut StdRng) -> Asked,
}

const LIST: Option<f64> = Some(15.0);
const FIGURE: Option<f64> = Some(5.0);

/// `x` is a parameter that nobody knows: an answer that is kept while the file does not change is
/// not that of this request.
macro_rules! list {
    ($name:literal, $target:expr, $draw:expr) => {
        Kind {
            name: $name,
            target: $target,
            times: 400,
            draw: $draw,
        }
    };
}

pub const KINDS: [Kind; 38] = [
    Kind {
        name: "/healthz: what the machine itself takes",
        target: None,
        times: 3000,
        draw: |_, _| found("/healthz".to_owned()),
    },
    Kind {
        name: "a call by id",
        target: None,
        times: 3000,
        draw: |inputs, rng| found(format!("/api/v1/calls/{}", inputs.id(rng))),
    },
    Kind {
        name: "by SID",
        target: None,
        times: 1000,
        draw: |inputs, rng| found(format!("/api/v1/calls/sid/{}", coded(inputs.sid(rng)))),
    },
    Kind {
        name: "by id, unchanged: 304",
        target: None,
        times: 1000,
        draw: |inputs, rng| {
            let sample = inputs.sample(rng);
            Asked {
                target: format!("/api/v1/calls/{}", sample.call.id),
                headers: format!("If-None-Match: {}\r\n", sample.etag),
                status: 304,
            }
        },
    },
    Kind {
        name: "an id that is not there: 404",
        target: None,
        times: 400,
        draw: |_, rng| Asked {
            status: 404,
            ..found(format!(
                "/api/v1/calls/{}",
                rng.random_range(1_u64 << 33..1 << 34)
            ))
        },
    },
    list!("list, first page", LIST, |_, rng| listed("", rng)),
    list!("list, at any depth", LIST, |inputs, rng| {
        let skip = rng.random_range(0..inputs.ids.len());
        listed(&format!("skip={skip}"), rng)
    }),
    list!("list, first page of 1,000", None, |_, rng| listed(
        "limit=1000",
        rng
    )),
    list!("status completed (7 of 8)", LIST, |_, rng| listed(
        "status=completed",
        rng
    )),
    list!("status failed (1 of 8)", LIST, |_, rng| listed(
        "status=failed",
        rng
    )),
    list!("status ongoing (a few)", LIST, |_, rng| listed(
        "status=ongoing",
        rng
    )),
    list!("status of no call", LIST, |_, rng| listed(
        "status=busy",
        rng
    )),
    list!("status completed, at any depth", None, |inputs, rng| {
        let skip = rng.random_range(0..inputs.ids.len() / 2);
        listed(&format!("status=completed&skip={skip}"), rng)
    }),
    list!("assistant id", LIST, |_, rng| {
        listed(&format!("assistant_id={}", rng.random_range(1..=8)), rng)
    }),
    list!("assistant name, part of 3", LIST, |inputs, rng| {
        let name = inputs
            .sample(rng)
            .call
            .assistant_name
            .as_deref()
            .unwrap_or_default();
        let name = part(name, 3, rng);
        listed(&format!("assistant_name={}", coded(&name)), rng)
    }),
    list!("date_from, any", LIST, |inputs, rng| {
        listed(&format!("date_from={}", inputs.date(rng)), rng)
    }),
    list!("date_to, any", LIST, |inputs, rng| {
        listed(&format!("date_to={}", inputs.date(rng)), rng)
    }),
    list!("dates, any two", LIST, |inputs, rng| {
        listed(&inputs.range(rng), rng)
    }),
    list!("min_duration", LIST, |_, rng| {
        listed(&format!("min_duration={}", rng.random_range(0..1800)), rng)
    }),
    list!("max_duration", LIST, |_, rng| {
        listed(&format!("max_duration={}", rng.random_range(0..1800)), rng)
    }),
    list!("durations, any two", LIST, |_, rng| {
        let min = rng.random_range(0..1200);
        let max = min + rng.random_range(0..600);
        listed(&format!("min_duration={min}&max_duration={max}"), rng)
    }),
    list!("phone, part of 3", LIST, |inputs, rng| inputs.phone(3, rng)),
    list!("phone, part of 6", LIST, |inputs, rng| inputs.phone(6, rng)),
    list!("phone, whole", LIST, |inputs, rng| inputs
        .phone(usize::MAX, rng)),
    list!("SID, part of 4", LIST, |inputs, rng| inputs
        .sid_part(4, rng)),
    list!("SID, part of 8", LIST, |inputs, rng| inputs
        .sid_part(8, rng)),
    list!("SID, whole", LIST, |inputs, rng| inputs
        .sid_part(usize::MAX, rng)),
    list!("status failed, assistant, dates", None, |inputs, rng| {
        let assistant = rng.random_range(1..=8);
        let range = inputs.range(rng);
        listed(
            &format!("status=failed&assistant_id={assistant}&{range}"),
            rng,
        )
    }),
    list!("/count", FIGURE, |_, rng| figure("count", "", rng)),
    list!("/count, status", FIGURE, |_, rng| figure(
        "count",
        "status=failed",
        rng
    )),
    list!("/count, assistant", FIGURE, |_, rng| {
        figure(
            "count",
            &format!("assistant_id={}", rng.random_range(1..=8)),
            rng,
        )
    }),
    list!("/count, dates", FIGURE, |inputs, rng| {
        figure("count", &inputs.range(rng), rng)
    }),
    list!("/stats", FIGURE, |_, rng| figure("stats", "", rng)),
    list!("/analytics, 7 days", FIGURE, |_, rng| figure(
        "analytics",
        "period=7d",
        rng
    )),
    list!("/analytics, 30 days", FIGURE, |_, rng| figure(
        "analytics",
        "period=30d",
        rng
    )),
    list!("/analytics, 90 days", FIGURE, |_, rng| figure(
        "analytics",
        "period=90d",
        rng
    )),
    list!("/edge/changes, any page of 100", None, |inputs, rng| {
        let after = rng.random_range(0..inputs.ids.len());
        found(format!("/edge/changes?after={after}&limit=100"))
    }),
    list!("a transcript that is held", None, |inputs, rng| {
        let id = pick(&inputs.detailed, rng);
        found(format!("/api/v1/calls/{id}/transcripts"))
    }),
];

impl Inputs {
    fn id(&self, rng: &mut StdRng) -> u32 {
        *pick(&self.ids, rng)
    }

    pub fn sample(&self, rng: &mut StdRng) -> &Sample {
        pick(&self.samples, rng)
    }

    fn sid(&self, rng: &mut StdRng) -> &str {
        &self.sample(rng).call.call_sid
    }

    fn date(&self, rng: &mut StdRng) -> String {
        let start = self.sample(rng).call.started_at;
        coded(&start.map(Timestamp::to_naive).unwrap_or_default())
    }

    fn range(&self, rng: &mut StdRng) -> String {
        let (one, other) = (self.date(rng), self.date(rng));
        let (from, to) = if one < other {
            (one, other)
        } else {
            (other, one)
        };
        format!("date_from={from}&date_to={to}")
    }

    fn phone(&self, length: usize, rng: &mut StdRng) -> Asked {
        let phone = self.sample(rng).call.customer_phone_number.as_deref();
        let phone = part(phone.unwrap_or_default(), length, rng);
        listed(&format!("customer_phone={}", coded(&phone)), rng)
    }

    fn sid_part(&self, length: usize, rng: &mut StdRng) -> Asked {
        let sid = part(self.sid(rng), length, rng);
        listed(&format!("call_sid={}", coded(&sid)), rng)
    }
}

fn pick<'a, T>(items: &'a [T], rng: &mut StdRng) -> &'a T {
    &items[rng.random_range(0..items.len())]
}

/// So many characters in a row, or all.
fn part(text: &str, length: usize, rng: &mut StdRng) -> String {
    let chars: Vec<char> = text.chars().collect();
    let length = length.min(chars.len());
    let at = rng.random_range(0..=chars.len() - length);
    chars[at..at + length].iter().collect()
}

fn coded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn found(target: String) -> Asked {
    Asked {
        target,
        headers: String::new(),
        status: 200,
    }
}

fn listed(query: &str, rng: &mut StdRng) -> Asked {
    found(format!("/api/v1/calls?{query}&x={}", rng.next_u64()))
}

fn figure(path: &str, query: &str, rng: &mut StdRng) -> Asked {
    found(format!("/api/v1/calls/{path}?{query}&x={}", rng.next_u64()))
}
