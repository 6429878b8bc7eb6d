//! One request to the API and its answer.

/// A request as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiRequest {
    /// Upper case.
    pub method: String,
    /// Percent-encoded, without the query.
    pub path: String,
    /// The raw text after the `?`; empty if there is none.
    pub query: String,
    /// The `Host` header, from which redirects are built.
    pub host: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    pub body: Vec<u8>,
}

/// An answer before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    pub status: u16,
    /// Names are in lower case; the server adds `content-length`.
    pub headers: Vec<(&'static str, String)>,
    /// Text, except for audio.
    pub body: Vec<u8>,
    /// The ids of the records in the body, by which faults find unreadable ones. They are not sent.
    pub records: Vec<i64>,
}

impl ApiRequest {
    /// A request without a key for `target`, a path with or without a query.
    pub fn new(method: &str, target: &str) -> ApiRequest {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        ApiRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..ApiRequest::default()
        }
    }

    /// The same request with `Authorization: Bearer {key}`.
    pub fn with_key(mut self, key: &str) -> ApiRequest {
        self.authorization = Some(format!("Bearer {key}"));
        self
    }

    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> ApiRequest {
        self.body = body.into();
        self
    }

    /// Path and query, as on the request line.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }
}

impl ApiResponse {
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> ApiResponse {
        ApiResponse {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            body: body.into(),
            records: Vec::new(),
        }
    }

    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> ApiResponse {
        ApiResponse::new(status, "application/json", body)
    }

    /// The body as text; empty if it is not text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }
}
