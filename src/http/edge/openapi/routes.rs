//! Every route, in one table: the OpenAPI document, the page of it and README's list are made of it
//! or held to it.

use crate::http::edge::openapi::route::{Answer, From, Kind, Parameter, Route};

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Text,
        about,
    }
}

const fn integer(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Integer {
            default: None,
            least: None,
            most: None,
        },
        about,
    }
}

const fn date(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Date,
        about,
    }
}

const CALL_ID: Parameter = integer("call_id", "the call's id");
const CALL_SID: Parameter = text("call_sid", "the call's SID, case-sensitive");
const STATUS: Parameter = text("status", "exactly this status");
const ASSISTANT_ID: Parameter = integer("assistant_id", "of this assistant; 0 is any");
const PHONE: Parameter = text("customer_phone", "part of the customer's number, any case");
const SID_PART: Parameter = text("call_sid", "part of the SID, any case");
const NAME: Parameter = text("assistant_name", "part of the assistant's name, any case");
const DATE_FROM: Parameter = date("date_from", "started then or later");
const DATE_TO: Parameter = date("date_to", "started then or earlier");
const SPEAKER: Parameter = text("speaker", "said by this speaker: user or assistant");
const RECORDING_TYPE: Parameter = text("recording_type", "of this type");
const INTERIM: Parameter = Parameter {
    name: "include_interim",
    kind: Kind::Flag,
    about: "also what was not final",
};

const fn choice(name: &'static str, of: &'static [&'static str], about: &'static str) -> Parameter {
    Parameter {
        name,
        kind: Kind::Choice(of),
        about,
    }
}

/// A read of the calls API.
const READ: Route = Route {
    method: "GET",
    path: "",
    about: "",
    from: From::Local,
    offline: true,
    token: true,
    parameters: &[],
    body: None,
    status: 200,
    answer: Answer::Json,
};

/// What is passed on.
const PASSED: Route = Route {
    from: From::Forwarded,
    offline: false,
    ..READ
};

/// An answer about the edge itself.
const OWN: Route = Route {
    from: From::Edge,
    ..READ
};

pub const ROUTES: &[Route] = &[
    Route {
        path: "/api/v1/calls",
        about: "calls, those without a start first, then newest first",
        parameters: &[
            Parameter {
                name: "skip",
                kind: Kind::Integer {
                    default: Some(0),
                    least: Some(0),
                    most: None,
                },
                about: "leave out so many",
            },
            Parameter {
                name: "limit",
                kind: Kind::Integer {
                    default: Some(100),
                    least: Some(1),
                    most: Some(1000),
                },
                about: "at most so many",
            },
            STATUS,
            ASSISTANT_ID,
            PHONE,
            SID_PART,
            NAME,
            DATE_FROM,
            DATE_TO,
            integer("min_duration", "of so many seconds or more"),
            integer("max_duration", "of so many seconds or fewer"),
        ],
        answer: Answer::Object("PaginatedCallsResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/count",
        about: "how many calls match",
        parameters: &[STATUS, ASSISTANT_ID, DATE_FROM, DATE_TO],
        answer: Answer::Object("CallCountResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/stats",
        about: "how many calls there are, and how long the completed ones were",
        answer: Answer::Object("CallStatsResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/analytics",
        about: "the calls of a period up to now, by day and by assistant",
        parameters: &[choice(
            "period",
            &["7d", "1d", "30d", "90d"],
            "how far back",
        )],
        answer: Answer::Object("CallAnalyticsResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/export",
        about: "all calls that match, as a file",
        parameters: &[
            choice("format", &["csv", "json"], "of the file"),
            STATUS,
            ASSISTANT_ID,
            PHONE,
            SID_PART,
            NAME,
            DATE_FROM,
            DATE_TO,
        ],
        answer: Answer::Media(&["text/csv", "application/json"]),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}",
        about: "one call",
        from: From::ReadThrough,
        parameters: &[CALL_ID],
        answer: Answer::Object("CallResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/sid/{call_sid}",
        about: "one call, by its SID",
        from: From::ReadThrough,
        parameters: &[CALL_SID],
        answer: Answer::Object("CallResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/transcripts",
        about: "what was said",
        from: From::ReadThrough,
        parameters: &[CALL_ID, SPEAKER, INTERIM],
        answer: Answer::List("TranscriptResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/sid/{call_sid}/transcripts",
        about: "what was said",
        from: From::ReadThrough,
        parameters: &[CALL_SID, SPEAKER, INTERIM],
        answer: Answer::List("TranscriptResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/transcripts/export",
        about: "what was said, as a file",
        from: From::ReadThrough,
        parameters: &[
            CALL_ID,
            choice("format", &["txt", "json", "csv"], "of the file"),
            SPEAKER,
        ],
        answer: Answer::Media(&["text/plain", "application/json", "text/csv"]),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/recordings",
        about: "which recordings there are",
        from: From::ReadThrough,
        parameters: &[CALL_ID, RECORDING_TYPE],
        answer: Answer::List("RecordingResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/sid/{call_sid}/recordings",
        about: "which recordings there are",
        from: From::ReadThrough,
        parameters: &[CALL_SID, RECORDING_TYPE],
        answer: Answer::List("RecordingResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/recording/{recording_id}/play",
        about: "the audio of a recording; 202 while it is being made",
        from: From::ReadThrough,
        parameters: &[CALL_ID, integer("recording_id", "the recording's id")],
        answer: Answer::Media(&["audio/mpeg", "audio/wav"]),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/messages",
        about: "the messages to and from the language model",
        from: From::ReadThrough,
        parameters: &[
            CALL_ID,
            text("role", "of this role: system, user or assistant"),
        ],
        answer: Answer::List("ChatMessageResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/metrics",
        about: "how the conversation went",
        from: From::ReadThrough,
        parameters: &[CALL_ID],
        answer: Answer::Object("CallMetricsResponse"),
        ..READ
    },
    Route {
        path: "/api/v1/calls/{call_id}/webhook-logs",
        about: "the webhooks that were sent for it",
        from: From::ReadThrough,
        parameters: &[CALL_ID, text("webhook_type", "of this type")],
        answer: Answer::List("WebhookLogResponse"),
        ..READ
    },
    Route {
        method: "PATCH",
        path: "/api/v1/calls/{call_id}/metadata",
        about: "merges metadata into the call's; what comes of it is stored",
        parameters: &[CALL_ID],
        body: Some("UpdateCallMetadataRequest"),
        answer: Answer::Object("CallResponse"),
        ..PASSED
    },
    Route {
        method: "PATCH",
        path: "/api/v1/calls/{call_id}/metrics",
        about: "computes the metrics anew",
        parameters: &[CALL_ID],
        answer: Answer::Object("CallMetricsResponse"),
        ..PASSED
    },
    Route {
        method: "POST",
        path: "/calls/initiate",
        about: "begins a call",
        ..PASSED
    },
    Route {
        method: "POST",
        path: "/api/v1/calls/{call_sid}/terminate",
        about: "ends a call",
        parameters: &[CALL_SID],
        ..PASSED
    },
    Route {
        path: "/api/v1/users/me",
        about: "whose key it is",
        answer: Answer::Object("UserResponse"),
        ..PASSED
    },
    Route {
        method: "PUT",
        path: "/api/v1/users/me",
        about: "changes the user",
        body: Some("UpdateUserRequest"),
        answer: Answer::Object("UserResponse"),
        ..PASSED
    },
    Route {
        path: "/edge/status",
        about: "how the edge is",
        ..OWN
    },
    Route {
        path: "/edge/changes",
        about: "what changed since, in order",
        parameters: &[
            Parameter {
                name: "after",
                kind: Kind::Integer {
                    default: Some(0),
                    least: Some(0),
                    most: Some(i64::MAX),
                },
                about: "the last `seq` that is known",
            },
            Parameter {
                name: "limit",
                kind: Kind::Integer {
                    default: Some(100),
                    least: Some(1),
                    most: Some(1000),
                },
                about: "at most so many",
            },
        ],
        ..OWN
    },
    Route {
        method: "POST",
        path: "/edge/sync",
        about: "reads the newest calls now",
        status: 202,
        ..OWN
    },
    Route {
        method: "POST",
        path: "/edge/holds/release",
        about: "lets held deletions through",
        ..OWN
    },
    Route {
        path: "/edge/writes",
        about: "changes of metadata that wait for the upstream, or that it refused",
        ..OWN
    },
    Route {
        method: "DELETE",
        path: "/edge/writes/{write_id}",
        about: "drops one of them",
        parameters: &[integer("write_id", "of the change")],
        status: 204,
        answer: Answer::Empty,
        ..OWN
    },
    Route {
        path: "/healthz",
        about: "the edge is alive",
        token: false,
        ..OWN
    },
    Route {
        path: "/readyz",
        about: "the edge holds all it is to hold; else 503, and why",
        token: false,
        ..OWN
    },
    Route {
        path: "/openapi.json",
        about: "this document",
        token: false,
        ..OWN
    },
    Route {
        path: "/docs",
        about: "the same to be read",
        token: false,
        answer: Answer::Media(&["text/html"]),
        ..OWN
    },
];
