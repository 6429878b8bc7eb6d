//! Faults to order: what a line, a proxy or a broken server does to a request.
//!
//! Only the decision is made here, and the answer where a fault is one; delaying, hanging and
//! closing connections is for whoever holds the connection. So the server and a simulation
//! without sockets break alike.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::api::{ApiRequest, ApiResponse, server_error, unauthorized};
use super::record::Flavour;

/// What befalls one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The right answer, that much later.
    Latency(Duration),
    /// The 401 of a bad key, which a server also gives whose database is down.
    Unauthorized,
    /// 429. The header's text is sent as it is: seconds, a date, or nonsense.
    Throttled { retry_after: String },
    /// 500 in plain text.
    ServerError,
    /// 503 with a load balancer's HTML page.
    Unavailable,
    /// The connection is closed without an answer, and the request not carried out.
    Reset,
    /// No answer ever; the connection stays open.
    Hang,
    /// The right answer, but the connection is closed before all of it is sent.
    Truncated,
    /// 200 and `application/json`, but the body is none.
    Garbage,
    /// 404 with a proxy's HTML page: no word on any call.
    NotFoundPage,
    /// 200 with an empty list, whatever is there.
    EmptyList,
    /// A list's right answer, but at most this many of its rows, and a total that says that none
    /// follow. Counts are right.
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
    /// Whether an answer reaches the client, and all of it. Where none does, the wire is at fault.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Fault::Reset | Fault::Hang | Fault::Truncated)
    }

    /// The answer a fault gives in the world's stead; none for the faults of the wire, and for
    /// those that [spoil](Fault::spoil) the world's own.
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

/// A fault waiting for its request.
#[derive(Debug)]
struct Ordered {
    fault: Fault,
    /// Only for a request whose path and query contain this; all contain the empty text.
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
    /// The next request without a fault of its own yet gets this one.
    pub fn once(&mut self, fault: Fault) {
        self.times(1, fault);
    }

    /// The next `count` requests get this fault.
    pub fn times(&mut self, count: usize, fault: Fault) {
        self.times_where(count, "", fault);
    }

    /// The next `count` requests whose path and query contain `part` get this fault.
    pub fn times_where(&mut self, count: usize, part: &str, fault: Fault) {
        let ordered = std::iter::repeat_with(|| Ordered {
            fault: fault.clone(),
            part: part.to_owned(),
        });
        self.once.extend(ordered.take(count));
    }

    /// Every request gets this fault until [`Faults::clear`].
    pub fn always(&mut self, fault: Fault) {
        self.always_where("", fault);
    }

    /// Every request whose path and query contain `part` gets this fault until
    /// [`Faults::clear`].
    pub fn always_where(&mut self, part: &str, fault: Fault) {
        self.standing = Some(Ordered {
            fault,
            part: part.to_owned(),
        });
    }

    /// Each request gets one of these faults with `probability` (0 to 1), drawn from `seed`.
    pub fn at_random(&mut self, seed: u64, probability: f64, faults: Vec<Fault>) {
        self.at_random = Some(AtRandom {
            rng: StdRng::seed_from_u64(seed),
            probability: probability.clamp(0.0, 1.0),
            faults,
        });
    }

    /// Every answer that would contain this record is a 500 in plain text, all others are fine.
    pub fn make_unreadable(&mut self, id: i64) {
        self.unreadable.insert(id);
    }

    /// Every answer to a list that is asked for with more rows breaks off.
    pub fn break_above(&mut self, rows: usize) {
        self.most_rows = Some(rows);
    }

    /// The record can be read again.
    pub fn make_readable(&mut self, id: i64) {
        self.unreadable.remove(&id);
    }

    /// Every connection is dropped from now on; [`Simulator::cut`](super::Simulator::cut) drops
    /// those that are open as well.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// The line works again.
    pub fn restore(&mut self) {
        self.cut = false;
    }

    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// No faults any more, of any kind.
    pub fn clear(&mut self) {
        *self = Faults::default();
    }

    /// What befalls this request: a cut line before a fault ordered for it, that before a
    /// standing one, and that before chance.
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

    /// The world's answer, or the 500 it becomes by an unreadable record. Comes before
    /// [`Fault::spoil`], for a server reads its records before it can get them wrong.
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
    fn ordered_faults_come_before_standing_ones_and_only_where_they_are_meant() {
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
