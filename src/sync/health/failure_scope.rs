//! Whom a failure speaks of: one table, of every class of error and every kind of request.
//!
//! An answer about one call says nothing of the others, a page that can't be read nothing of
//! shorter ones, and nothing but a lost line or a refused key speaks of the whole upstream. Whether
//! it is out shows at the head, which is asked for at every poll. Pure.

use crate::sync::health::status::UpstreamState;
use crate::sync::plan::job::Job;
use crate::upstream::{ErrorKind, Retry, UpstreamError};

/// What was asked, as far as it matters for what its failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// Whose key it is.
    Identity,
    /// The newest page of the list, or the feed of an edge.
    Head,
    /// Any other page of the list.
    Range,
    /// How many calls there are.
    Count,
    /// One call.
    Call,
    /// One kind of detail of one call.
    Detail,
    /// A change of one call, or the look at the call before it.
    Write,
}

impl RequestKind {
    pub fn of(job: &Job) -> RequestKind {
        match job {
            Job::Identify | Job::KeyWitness(_) => RequestKind::Identity,
            Job::Head | Job::Feed => RequestKind::Head,
            Job::Range(_) | Job::SameInstant(_) | Job::OpenCalls(_) => RequestKind::Range,
            Job::Total | Job::Count(_) => RequestKind::Count,
            Job::Call(_) | Job::Canary(_) | Job::DateFormat(..) | Job::Assistants(_) => {
                RequestKind::Call
            }
            Job::Detail(..) => RequestKind::Detail,
            Job::Review(_) | Job::Write(_) => RequestKind::Write,
        }
    }
}

/// Whom a failure speaks of, and so what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The upstream: nothing is asked for a while.
    Upstream,
    /// The newest page: it can't be followed, all else can.
    Head,
    /// The length of the page: a shorter one is asked for at once. If that is short already, it is
    /// the upstream at the head, and the range elsewhere.
    Length,
    /// The rows of the page: a shorter one is asked for at once, and a row that fails by itself is
    /// stepped over.
    Rows,
    /// Reads of history: they wait, the newest is followed all the same.
    History,
    /// Counts: the list is followed without them.
    Counts,
    /// The one call, the one kind of detail, or the one change.
    One,
}

use RequestKind::{Call, Count, Detail, Head, Identity, Range, Write};

/// The columns of [`TABLE`].
const ASKED: [RequestKind; 7] = [Identity, Head, Range, Count, Call, Detail, Write];

/// A row for each class of error.
#[rustfmt::skip]
const TABLE: [(ErrorKind, [Scope; ASKED.len()]); 14] = {
    use ErrorKind as E;
    use Scope::{Counts, Head, History, Length, One, Rows, Upstream};
    [   //                       Identity  Head      Range     Count     Call      Detail    Write
        (E::Unreachable,        [Upstream, Upstream, Upstream, Upstream, Upstream, Upstream, Upstream]),
        (E::Tls,                [Upstream, Upstream, Upstream, Upstream, Upstream, Upstream, Upstream]),
        (E::OtherOrganization,  [Upstream, Upstream, Upstream, Upstream, Upstream, Upstream, Upstream]),
        (E::Unauthorized,       [Upstream, Upstream, History,  Counts,   One,      One,      One     ]),
        (E::Throttled,          [Upstream, Upstream, History,  Counts,   One,      One,      One     ]),
        (E::Timeout,            [Upstream, Length,   Length,   Counts,   One,      One,      One     ]),
        (E::Reset,              [Upstream, Length,   Length,   Counts,   One,      One,      One     ]),
        (E::BrokenOff,          [Upstream, Length,   Length,   Counts,   One,      One,      One     ]),
        (E::PageTooLong,        [Upstream, Length,   Length,   Counts,   One,      One,      One     ]),
        (E::ServerError,        [Upstream, Rows,     Rows,     Counts,   One,      One,      One     ]),
        (E::BadAnswer,          [Upstream, Rows,     Rows,     Counts,   One,      One,      One     ]),
        (E::ShortList,          [Upstream, Head,     Rows,     Counts,   One,      One,      One     ]),
        (E::Redirected,         [Upstream, Head,     History,  Counts,   One,      One,      One     ]),
        (E::Refused,            [Upstream, Head,     Rows,     Counts,   One,      One,      One     ]),
    ]
};

/// Whom a failure of this class speaks of, where this was asked.
pub fn scope(kind: ErrorKind, asked: RequestKind) -> Scope {
    let column = ASKED.iter().position(|column| *column == asked);
    let row = TABLE.iter().find(|(row, _)| *row == kind);
    // Every class and every kind of request is in the table, which a test reads whole.
    match (row, column) {
        (Some((_, scopes)), Some(column)) => scopes[column],
        _ => Scope::Upstream,
    }
}

/// How the upstream is while that failure stands for all of it.
pub fn state(kind: ErrorKind) -> UpstreamState {
    match kind {
        ErrorKind::Unauthorized | ErrorKind::OtherOrganization => UpstreamState::Unauthorized,
        ErrorKind::Throttled => UpstreamState::Throttled,
        _ => UpstreamState::Offline,
    }
}

/// Whether the upstream denies what it was asked: the same request will fail the same way, and so
/// may all of its kind.
pub fn is_denial(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthorized | ErrorKind::Throttled)
}

/// Whether there was no connection to ask on.
fn is_unconnected(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Tls)
}

/// Whether a request that failed so may have arrived, and what it was to change be changed.
pub fn may_have_arrived(kind: ErrorKind) -> bool {
    !is_unconnected(kind) && kind != ErrorKind::Refused
}

/// Whether the request is to be sent once more at once: the connection broke, which an idle one
/// does without notice.
pub fn is_worth_repeating(error: &UpstreamError) -> bool {
    error.retry() == Retry::Now
}

/// Whether the server may merely not know what it was asked, since it answers.
pub fn may_not_be_known(kind: ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(
        kind,
        E::ServerError | E::Redirected | E::Refused | E::BadAnswer
    )
}

/// Whether a page with fewer rows may be had.
pub fn may_be_of_the_page(kind: ErrorKind) -> bool {
    !is_denial(kind) && !is_unconnected(kind)
}

/// Whether the server refused the length of the page itself, rather than failing at it.
pub fn says_how_many(kind: ErrorKind) -> bool {
    kind == ErrorKind::PageTooLong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ErrorKind as E;

    #[test]
    fn every_class_of_error_is_in_the_table_once() {
        for (place, (kind, _)) in TABLE.iter().enumerate() {
            assert!(
                TABLE[..place].iter().all(|(other, _)| other != kind),
                "{kind:?}"
            );
        }
        // A new class does not compile here until it has a row.
        let all = |kind| match kind {
            E::Unreachable | E::Tls | E::Reset | E::Timeout | E::BrokenOff | E::PageTooLong => {}
            E::Unauthorized | E::OtherOrganization | E::Throttled | E::ServerError => {}
            E::Redirected | E::Refused | E::BadAnswer | E::ShortList => {}
        };
        for (kind, _) in TABLE {
            all(kind);
        }
    }

    #[test]
    fn every_judgment_holds_of_the_classes_it_is_said_of_and_of_no_other() {
        let of = |judgment: &dyn Fn(E) -> bool| {
            let kinds = TABLE.iter().map(|(kind, _)| *kind);
            kinds.filter(|kind| judgment(*kind)).collect::<Vec<_>>()
        };
        let lost = [E::Unreachable, E::Tls];
        let denied = [E::Unauthorized, E::Throttled];
        assert_eq!(of(&is_unconnected), lost);
        assert_eq!(of(&is_denial), denied);
        assert_eq!(of(&says_how_many), [E::PageTooLong]);
        let not_at_all = [E::Unreachable, E::Tls, E::Refused];
        assert_eq!(of(&|kind| !may_have_arrived(kind)), not_at_all);
        assert_eq!(
            of(&|kind| !may_be_of_the_page(kind)),
            [lost, denied].concat()
        );
        let unknown = [E::ServerError, E::BadAnswer, E::Redirected, E::Refused];
        assert_eq!(of(&may_not_be_known), unknown);
        let unauthorized = [E::OtherOrganization, E::Unauthorized];
        let is = |wanted: UpstreamState| move |kind| state(kind) == wanted;
        assert_eq!(of(&is(UpstreamState::Unauthorized)), unauthorized);
        assert_eq!(of(&is(UpstreamState::Throttled)), [E::Throttled]);
        assert_eq!(of(&is(UpstreamState::Online)), []);
    }

    #[test]
    fn no_answer_about_one_call_speaks_of_the_others() {
        for (kind, _) in TABLE {
            for asked in [Call, Detail, Write, Count] {
                let whole = scope(kind, asked) == Scope::Upstream;
                let is_lost = is_unconnected(kind) || kind == E::OtherOrganization;
                assert_eq!(whole, is_lost, "{kind:?} {asked:?}");
            }
        }
    }
}
