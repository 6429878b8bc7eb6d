//! What a failure stands for: one table, by class of error and kind of request.
//!
//! A failure for one call says nothing of other calls, an unreadable page says nothing of shorter
//! ones, and only a lost connection or a refused key stands for the whole upstream. Whether that is
//! out shows at the head, which is requested at every poll. Pure.

use crate::sync::health::status::UpstreamState;
use crate::sync::plan::job::Job;
use crate::upstream::{ErrorKind, Retry, UpstreamError};

/// What was requested, as far as it matters for what a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// The key's organization.
    Identity,
    /// The newest page of the list, or the feed of an edge.
    Head,
    /// Any other page of the list.
    Range,
    /// A count of calls.
    Count,
    /// One call.
    Call,
    /// One kind of detail of one call.
    Detail,
    /// A change of one call, or reading the call before it.
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

/// What a failure stands for, and so what waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The upstream: nothing is requested for a while.
    Upstream,
    /// The newest page: it can't be read, everything else can.
    Head,
    /// The length of the page: a shorter one is requested at once. If the page is short already,
    /// the failure stands for the upstream at the head, and for the range elsewhere.
    Length,
    /// The rows of the page: a shorter one is requested at once, and one unreadable row is skipped.
    Rows,
    /// Reads of history: they wait, and the newest calls are still followed.
    History,
    /// Counts: the list is followed without them.
    Counts,
    /// The one call, the one kind of detail, or the one change.
    One,
}

use RequestKind::{Call, Count, Detail, Head, Identity, Range, Write};

/// The columns of [`TABLE`].
const ASKED: [RequestKind; 7] = [Identity, Head, Range, Count, Call, Detail, Write];

/// One row per class of error.
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

/// What a failure of this class stands for, where this was requested.
pub fn scope(kind: ErrorKind, asked: RequestKind) -> Scope {
    let column = ASKED.iter().position(|column| *column == asked);
    let row = TABLE.iter().find(|(row, _)| *row == kind);
    // A test checks that the table has every class and every kind of request.
    match (row, column) {
        (Some((_, scopes)), Some(column)) => scopes[column],
        _ => Scope::Upstream,
    }
}

/// The upstream's state while such a failure stands for all of it.
pub fn state(kind: ErrorKind) -> UpstreamState {
    match kind {
        ErrorKind::Unauthorized | ErrorKind::OtherOrganization => UpstreamState::Unauthorized,
        ErrorKind::Throttled => UpstreamState::Throttled,
        _ => UpstreamState::Offline,
    }
}

/// Whether the upstream denied the request: repeated, it fails the same way, as may all of its
/// kind.
pub fn is_denial(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unauthorized | ErrorKind::Throttled)
}

/// Whether there was no connection to send a request on.
fn is_unconnected(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unreachable | ErrorKind::Tls)
}

/// Whether a request that failed this way may have arrived and taken effect.
pub fn may_have_arrived(kind: ErrorKind) -> bool {
    !is_unconnected(kind) && kind != ErrorKind::Refused
}

/// Whether to send the request again at once: its connection broke, as an idle one does unnoticed.
pub fn is_worth_repeating(error: &UpstreamError) -> bool {
    error.retry() == Retry::Now
}

/// Whether the server answers, and may only not know this endpoint.
pub fn may_not_be_known(kind: ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(
        kind,
        E::ServerError | E::Redirected | E::Refused | E::BadAnswer
    )
}

/// Whether a page with fewer rows may succeed.
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
        // A new class does not compile here until the table has a row for it.
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
