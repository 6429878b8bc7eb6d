//! What the upstream tells of a call beside its record.

/// One kind of it. Each is one JSON text a call: a list, or for metrics an object.
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

    /// The name in the configuration, in the upstream's paths and in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Detail::Transcripts => "transcripts",
            Detail::Recordings => "recordings",
            Detail::Messages => "messages",
            Detail::Metrics => "metrics",
            Detail::WebhookLogs => "webhook-logs",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Detail> {
        Detail::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
