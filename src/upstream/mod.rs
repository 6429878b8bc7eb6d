//! The Burki API as the engine sees it: a request is a value, an answer is a value.
//!
//! [`CallSource`] is the seam. [`HttpSource`] asks a real server; a simulation answers the same
//! requests without a socket. What bytes mean is decided in [`wire`] alone, for both.

mod assistants;
mod detail;
mod error;
mod feed;
mod http;
mod line;
mod refusal;
pub mod wire;

use std::future::Future;
use std::time::Duration;

use crate::model::{Call, CallKey, Detail, KeyHash, Timestamp, Unit};

pub use error::{ErrorKind, Retry, UpstreamError};
pub use feed::{Feed, FeedItem, Told};
pub use http::{HttpSource, SetUpError};
pub use line::{Chunks, HttpLine, Incoming, Key, Line, Outgoing, Passing};

/// The most rows the upstream puts on one page (documented maximum of `limit`).
pub const PAGE_LIMIT: usize = 1000;

/// How many assistants are asked for at once.
pub const ASSISTANTS_LIMIT: usize = 100;

/// One request, of which it makes no difference whether it arrives once or twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which organization's key this is.
    Identity(Teller),
    /// A page of the list of assistants.
    Assistants { skip: usize },
    /// One page of the list, newest first.
    List(ListQuery),
    /// How many calls started within the bounds, both inclusive. Without a bound, those that
    /// have no start count too.
    Count {
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    },
    /// One call.
    Call(CallKey),
    /// What is told of one call beside its record.
    Detail(i64, Detail),
    /// What changed after a place: `/edge/changes`, which another edge has.
    Changes { after: u64, limit: usize },
    /// The one that writes: merges a JSON object's text into a call's metadata.
    Patch { id: i64, metadata: String },
}

/// The list filters the engine uses. Bounds are inclusive and never match a call without start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub status: Option<String>,
    pub skip: usize,
    /// 1 to [`PAGE_LIMIT`].
    pub limit: usize,
}

/// How a date is spelled to the upstream. Both mean UTC, but some servers compare one of them in
/// their database's own zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `2026-11-17T09:16:30`
    #[default]
    Naive,
    /// `2026-11-17T09:16:30Z`
    Zoned,
}

/// How the bounds of a range have to be asked for, so that it is the calls whose *text* has a start
/// within it that are found. Which form that is, known calls tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateForm {
    pub spelling: Spelling,
    /// Texts are cut off at this unit, and what is compared is not: bounds are widened by it.
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

/// Who tells which organization a key is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Teller {
    /// `/api/v1/users/me`, which hosted servers have.
    #[default]
    User,
    /// `/api/v1/assistants/me/organization`, which self-hosted ones have.
    Assistants,
}

/// What the upstream said.
#[derive(Debug)]
pub enum Answer {
    /// `None` where the server has no such endpoint.
    Identity(Option<i64>),
    Page(Page),
    /// Ids and names; `None` where the server has no such endpoint.
    Assistants(Option<Vec<(i64, String)>>),
    Count(u64),
    Call(Box<Call>),
    /// A list, or for metrics an object: its JSON text, without white space around it.
    Detail(Box<str>),
    /// The server tells nothing of that kind, of any call.
    NoSuchDetail,
    /// The upstream's own 404 for the call that was asked for; a proxy's is an error.
    NotFound,
    Feed(Box<Feed>),
    /// The server has no order of changes: it is no edge.
    NoFeed,
    /// The upstream's own word, with this status, that it will never write that.
    Refused(u16),
}

/// One page of the list, in the upstream's order.
#[derive(Debug)]
pub struct Page {
    pub calls: Vec<Call>,
    /// Rows as they came; one that came twice is one call.
    pub rows: usize,
    /// Calls that came twice, with different texts: `calls` has the first.
    pub doubled: Vec<i64>,
    /// How many match in all; hosted servers say it.
    pub total: Option<u64>,
}

impl Page {
    /// When its calls started, those that did.
    pub fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.calls.iter().filter_map(|call| call.started_at)
    }
}

/// The unit of an `Age`: what has an age of so many was true up to one more ago.
pub const AGE_UNIT: Duration = Duration::from_secs(1);

/// An answer, and how long the upstream wants to be left alone after it.
#[derive(Debug)]
pub struct Reply {
    pub answer: Answer,
    pub retry_after: Option<Duration>,
    /// Whole seconds since the answer was known to be true, where one gave it who keeps copies
    /// (`Age`): zero is one of less than a second ago. `None`: it is the upstream's own.
    pub age: Option<Duration>,
}

/// Whatever can answer a [`Request`].
pub trait CallSource: Send + Sync + 'static {
    /// The key it asks with.
    fn key_hash(&self) -> KeyHash;

    fn fetch(
        &self,
        request: &Request,
        dates: DateForm,
    ) -> impl Future<Output = Result<Reply, UpstreamError>> + Send;
}
