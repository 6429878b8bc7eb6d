//! What there is to say of a route.

/// Where the answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The replica.
    Local,
    /// The replica; what it does not hold is fetched, and kept.
    ReadThrough,
    /// The upstream, with the caller's own key.
    Forwarded,
    /// The edge itself.
    Edge,
}

impl From {
    pub fn as_str(self) -> &'static str {
        match self {
            From::Local => "local",
            From::ReadThrough => "read-through",
            From::Forwarded => "forwarded",
            From::Edge => "the edge",
        }
    }
}

/// A parameter of a path or a query.
pub struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    pub about: &'static str,
}

/// How a parameter is written. Those of a path are required, those of a query are not.
#[derive(Clone, Copy)]
pub enum Kind {
    Integer {
        /// Without one it may be left empty.
        default: Option<i64>,
        least: Option<i64>,
        most: Option<i64>,
    },
    Text,
    /// One of these, the first where none is named.
    Choice(&'static [&'static str]),
    Date,
    /// False where it is not named.
    Flag,
}

/// What a request gets where all is well.
#[derive(Clone, Copy)]
pub enum Answer {
    /// Of this schema.
    Object(&'static str),
    /// Of objects of this schema.
    List(&'static str),
    /// An object of the edge's own, described by its route.
    Json,
    /// Of any of these media types.
    Media(&'static [&'static str]),
    /// A status alone.
    Empty,
}

/// One operation.
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub about: &'static str,
    pub from: From,
    /// Whether it is answered while the upstream can't be asked.
    pub offline: bool,
    /// Whether it takes a token.
    pub token: bool,
    pub parameters: &'static [Parameter],
    /// The schema of its body.
    pub body: Option<&'static str>,
    pub status: u16,
    pub answer: Answer,
}
