//! What the upstream is asked and what it answers, as values; and the seam between both.

use std::future::Future;
use std::time::Duration;

use crate::model::{Call, CallKey, Detail, KeyHash, Timestamp, Unit};
use crate::upstream::error::UpstreamError;
use crate::upstream::wire::feed::Feed;

/// The most rows that the upstream puts on one page (documented maximum of `limit`).
pub const PAGE_LIMIT: usize = 1000;

/// How many assistants are requested at once.
pub const ASSISTANTS_LIMIT: usize = 100;

/// A request. It makes no difference whether it arrives once or twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks to which organization the key belongs.
    Identity(IdentityEndpoint),
    /// A page of the list of assistants.
    Assistants {
        skip: usize,
    },
    /// One page of the list, newest first.
    List(ListQuery),
    /// Asks how many calls started within the bounds, both inclusive. Without a bound, calls
    /// without a start count too.
    Count {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    },
    Call(CallKey),
    /// One of a call's details.
    Detail(i64, Detail),
    /// The changes after a cursor, from `/edge/changes`, which only another edge serves.
    Changes {
        after: u64,
        limit: usize,
    },
    /// Merges the text of a JSON object into a call's metadata: the only request that writes.
    Patch {
        id: i64,
        metadata: String,
    },
}

/// The list filters that the engine uses. Bounds are inclusive and never match a call without a
/// start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub status: Option<String>,
    pub skip: usize,
    /// 1 to [`PAGE_LIMIT`].
    pub limit: usize,
}

/// How dates are written in requests. Both forms mean UTC, but some servers compare one of them in
/// their database's own zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `2026-11-17T09:16:30`
    #[default]
    Naive,
    /// `2026-11-17T09:16:30Z`
    Zoned,
}

/// The form of bounds with which a server finds exactly the calls whose *text* has a start within
/// them. Known calls show which form that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateForm {
    pub spelling: Spelling,
    /// Texts are truncated to this unit but compared exactly, so bounds are widened by it.
    pub unit: Unit,
}

impl DateForm {
    pub const NAIVE: DateForm = DateForm {
        spelling: Spelling::Naive,
        unit: Unit::MICROSECOND,
    };
    pub const ZONED: DateForm = DateForm {
        spelling: Spelling::Zoned,
        ..DateForm::NAIVE
    };

    /// The bounds that find exactly the texts from `from` to `to`, both inclusive.
    pub fn bounds(
        self,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let micros = u64::try_from(self.unit.as_micros() - 1).unwrap_or_default();
        let rest = Duration::from_micros(micros);
        let first = from.map(|from| (from + rest).floor(self.unit));
        let last = to.map(|to| (to.floor(self.unit) + rest).min(Timestamp::MAX));
        (first, last)
    }
}

impl Default for DateForm {
    fn default() -> DateForm {
        DateForm::NAIVE
    }
}

/// The endpoint that reports to which organization a key belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityEndpoint {
    /// `/api/v1/users/me`, which hosted servers have.
    #[default]
    User,
    /// `/api/v1/assistants/me/organization`, which self-hosted servers have.
    Assistants,
}

/// The upstream's answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// `None` if the server has no such endpoint.
    Identity(Option<i64>),
    Page(Page),
    /// Ids and names; `None` if the server has no such endpoint.
    Assistants(Option<Vec<(i64, String)>>),
    Count(u64),
    Call(Box<Call>),
    /// A list, or for metrics an object: its JSON text, without surrounding white space.
    Detail(Box<str>),
    /// The server has no details of that kind, for any call.
    NoSuchDetail,
    /// The upstream's own 404 for the requested call; a proxy's is an error.
    NotFound,
    Feed(Box<Feed>),
    /// The server has no change feed: it is not an edge.
    NoFeed,
    /// The upstream itself refuses the write for good, with this status.
    Refused(u16),
}

/// One page of the list, in the upstream's order.
#[derive(Debug)]
pub struct Page {
    pub calls: Vec<Call>,
    /// The number of rows received; a call that came twice counts twice.
    pub rows: usize,
    /// Calls that came twice with different texts. `calls` has the first text.
    pub doubled: Vec<i64>,
    /// How many calls match in all, as hosted servers report it.
    pub total: Option<u64>,
}

impl Page {
    /// The starts of those of its calls that have one.
    pub fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.calls.iter().filter_map(|call| call.started_at)
    }
}

/// The unit of an `Age`, which is rounded down: the true age may be one unit greater.
pub const AGE_UNIT: Duration = Duration::from_secs(1);

/// An answer, and how long the upstream asks to be left alone after it.
#[derive(Debug)]
pub struct Reply {
    pub answer: Answer,
    pub retry_after: Option<Duration>,
    /// The `Age` from a cache or another edge, in whole seconds: zero is less than a second.
    /// `None`: the answer is the upstream's own.
    pub age: Option<Duration>,
}

/// A source of answers to any [`Request`].
pub trait CallSource: Send + Sync + 'static {
    /// The hash of the key with which it asks.
    fn key_hash(&self) -> KeyHash;

    fn fetch(
        &self,
        request: &Request,
        dates: DateForm,
    ) -> impl Future<Output = Result<Reply, UpstreamError>> + Send;
}
