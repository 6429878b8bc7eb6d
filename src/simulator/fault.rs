//! Faults on request: what a network, a proxy or a broken server does to a request.
//!
//! Only the decision is made here, and the answer if the fault has one. Delaying, hanging and
//! closing is left to the owner of the connection, so that the server and a simulation without
//! sockets fail alike.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::api::{ApiRequest, ApiResponse, server_error, unauthorized};
use super::record::Flavour;

/// What happens to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The right answer, this much later.
    Latency(Duration),
    /// The 401 for a bad key, which a server also answers while its database is down.
    Unauthorized,
    /// A 429. The text of the header is sent as it is: seconds, a date, or nonsense.
    Throttled { retry_after: String },
    /// A 500 in plain text.
    ServerError,
    /// A 503 with a load balancer's HTML page.
    Unavailable,
    /// The connection closes without an answer, and the request is not carried out.
    Reset,
    /// No answer ever comes; the connection stays open.
    Hang,
    /// The right answer, but the connection is closed before all of it is sent.
    Truncated,
    /// A 200 with `application/json` and a body that is not JSON.
    Garbage,
    /// A 404 with a proxy's HTML page, which says nothing about any call.
    NotFoundPage,
    /// A 200 with an empty list, whatever there is.
    EmptyList,
    /// A list's right answer, but with at most this many of its rows and a total that says that
    /// none follow. Counts are right.
    ShortList(usize),
    /// A list's right rows, oldest first.
    OtherOrder,
    /// A list's right rows, but the second one has the first one's `call_sid`.
    SharedSid,
    /// A list's right rows, but the first comes twice, with another text.
    OtherDouble,
    /// The right answer, but its first record has its `id` and then another one.
    DuplicateKeys,
    /// The right answer, but its first record has `"id":"7"`.
    WrongTypes,
    /// The right answer, but its first record has no `id`.
    WithoutId,
    /// The right answer, but its first record's `id` is beyond 64 bits.
    HugeNumber,
}

impl Fault {
    /// True if a complete answer reaches the client. If not, the fault is in the connection.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Fault::Reset | Fault::Hang | Fault::Truncated)
    }

    /// The answer that a fault gives instead of the world; `None` for faults of the connection, and
    /// for those that [spoil](Fault::spoil) the world's own.
    pub fn answer(&self, flavour: Flavour, request: &ApiRequest) -> Option<ApiResponse> {
        let html = |status, title: &str| {
            let page = format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"
            );
            Some(ApiResponse::new(status, "text/html", page))
        };
        match self {
            Fault::Latency(_)
            | Fault::Reset
            | Fault::Hang
            | Fault::Truncated
            | Fault::ShortList(_)
            | Fault::OtherOrder
            | Fault::SharedSid
            | Fault::OtherDouble
            | Fault::DuplicateKeys
            | Fault::WrongTypes
            | Fault::WithoutId
            | Fault::HugeNumber => None,
            Fault::Unauthorized => Some(unauthorized()),
            Fault::Throttled { retry_after } => {
                let mut response = ApiResponse::json(429, r#"{"detail":"Too Many Requests"}"#);
                response.headers.push(("retry-after", retry_after.clone()));
                Some(response)
            }
            Fault::ServerError => Some(server_error()),
            Fault::Unavailable => html(503, "503 Service Temporarily Unavailable"),
            Fault::Garbage => Some(ApiResponse::json(200, "{\"items\":[{\"call_sid\":\"CA")),
            Fault::NotFoundPage => html(404, "404 Not Found"),
            Fault::EmptyList => Some(ApiResponse::json(200, empty_list(flavour, request))),
        }
    }
}

fn empty_list(flavour: Flavour, request: &ApiRequest) -> String {
    if request.path.trim_end_matches('/').ends_with("/count") {
        return r#"{"count":0}"#.to_owned();
    }
    match flavour {
        Flavour::SelfHosted => "[]".to_owned(),
        Flavour::Hosted => r#"{"items":[],"total":0,"skip":0,"limit":100}"#.to_owned(),
    }
}

/// A fault that waits for its request.
#[derive(Debug)]
struct Ordered {
    fault: Fault,
    /// The fault is only for requests whose path and query contain this; all contain the empty
    /// text.
    part: String,
}

#[derive(Debug)]
struct AtRandom {
    rng: StdRng,
    probability: f64,
    faults: Vec<Fault>,
}

/// All faults in force. By default there are none.
#[derive(Debug, Default)]
pub struct Faults {
    cut: bool,
    once: VecDeque<Ordered>,
    standing: Option<Ordered>,
    at_random: Option<AtRandom>,
    unreadable: BTreeSet<i64>,
    most_rows: Option<usize>,
}

impl Faults {
    /// Gives this fault to the next request that has none yet.
    pub fn once(&mut self, fault: Fault) {
        self.times(1, fault);
    }

    /// Gives this fault to the next `count` requests.
    pub fn times(&mut self, count: usize, fault: Fault) {
        self.times_where(count, "", fault);
    }

    /// Gives this fault to the next `count` requests whose path and query contain `part`.
    pub fn times_where(&mut self, count: usize, part: &str, fault: Fault) {
        let ordered = std::iter::repeat_with(|| Ordered {
            fault: fault.clone(),
            part: part.to_owned(),
        });
        self.once.extend(ordered.take(count));
    }

    /// Gives this fault to every request until [`Faults::clear`].
    pub fn always(&mut self, fault: Fault) {
        self.always_where("", fault);
    }

    /// Gives this fault to every request whose path and query contain `part`, until
    /// [`Faults::clear`].
    pub fn always_where(&mut self, part: &str, fault: Fault) {
        self.standing = Some(Ordered {
            fault,
            part: part.to_owned(),
        });
    }

    /// Gives each request one of these faults with `probability` (0 to 1), drawn from `seed`.
    pub fn at_random(&mut self, seed: u64, probability: f64, faults: Vec<Fault>) {
        self.at_random = Some(AtRandom {
            rng: StdRng::seed_from_u64(seed),
            probability: probability.clamp(0.0, 1.0),
            faults,
        });
    }

    /// Turns every answer that would contain this record into a plain-text 500; others are
    /// unaffected.
    pub fn make_unreadable(&mut self, id: i64) {
        self.unreadable.insert(id);
    }

    /// Breaks off every answer to a list with a higher `limit`.
    pub fn break_above(&mut self, rows: usize) {
        self.most_rows = Some(rows);
    }

    /// Makes the record readable again.
    pub fn make_readable(&mut self, id: i64) {
        self.unreadable.remove(&id);
    }

    /// Drops every connection from now on; [`Simulator::cut`](super::Simulator::cut) also drops
    /// those that are open.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Accepts connections again.
    pub fn restore(&mut self) {
        self.cut = false;
    }

    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Removes all faults, of any kind.
    pub fn clear(&mut self) {
        *self = Faults::default();
    }

    /// What happens to this request: a cut comes before a fault ordered for it, that before a
    /// standing one, and that before a random one.
    pub fn decide(&mut self, request: &ApiRequest) -> Option<Fault> {
        if self.cut {
            return Some(Fault::Reset);
        }
        let target = request.target();
        let meant = |ordered: &Ordered| target.contains(&ordered.part);
        if let Some(index) = self.once.iter().position(meant) {
            return self.once.remove(index).map(|ordered| ordered.fault);
        }
        if let Some(ordered) = self.standing.as_ref().filter(|ordered| meant(ordered)) {
            return Some(ordered.fault.clone());
        }
        let limit = request
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("limit="));
        let limit = limit.and_then(|limit| limit.parse::<usize>().ok());
        if let (Some(limit), Some(most)) = (limit, self.most_rows)
            && limit > most
        {
            return Some(Fault::Truncated);
        }
        let random = self.at_random.as_mut()?;
        if random.rng.random_bool(random.probability) {
            random.faults.choose(&mut random.rng).cloned()
        } else {
            None
        }
    }

    /// The world's answer, or a 500 if it contains an unreadable record. This comes before
    /// [`Fault::spoil`], because a server reads its records before it can get them wrong.
    pub fn review(&self, response: ApiResponse) -> ApiResponse {
        if response
            .records
            .iter()
            .any(|id| self.unreadable.contains(id))
        {
            server_error()
        } else {
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> ApiRequest {
        ApiRequest::new("GET", target)
    }

    #[test]
    fn ordered_faults_come_first_and_only_where_they_are_meant() {
        let mut faults = Faults::default();
        faults.always(Fault::Garbage);
        faults.times_where(1, "skip=5", Fault::Hang);
        faults.once(Fault::Reset);
        assert_eq!(faults.decide(&get("/a")), Some(Fault::Reset));
        assert_eq!(faults.decide(&get("/a")), Some(Fault::Garbage));
        assert_eq!(faults.decide(&get("/a?skip=5")), Some(Fault::Hang));
        assert_eq!(faults.decide(&get("/a?skip=5")), Some(Fault::Garbage));
        faults.clear();
        assert_eq!(faults.decide(&get("/a")), None);
    }

    #[test]
    fn random_faults_follow_from_their_seed() {
        let draw = || {
            let mut faults = Faults::default();
            faults.at_random(9, 0.5, vec![Fault::Reset, Fault::ServerError]);
            let request = get("/");
            (0..64).map(|_| faults.decide(&request)).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        assert!(drawn.contains(&None) && drawn.contains(&Some(Fault::ServerError)));
    }
}
