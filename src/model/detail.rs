//! The details of a call: what the upstream serves for it beside its record.

/// A kind of detail, one JSON text a call: an object for metrics, a list for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    Transcripts,
    Recordings,
    Messages,
    Metrics,
    WebhookLogs,
}

impl Detail {
    pub const ALL: [Detail; 5] = [
        Detail::Transcripts,
        Detail::Recordings,
        Detail::Messages,
        Detail::Metrics,
        Detail::WebhookLogs,
    ];

    /// The name in the configuration, in the upstream's paths and in the database file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Detail::Transcripts => "transcripts",
            Detail::Recordings => "recordings",
            Detail::Messages => "messages",
            Detail::Metrics => "metrics",
            Detail::WebhookLogs => "webhook-logs",
        }
    }

    pub fn named(name: &str) -> Option<Detail> {
        Detail::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
