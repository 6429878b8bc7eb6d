//! What clients ask of the upstream past the edge: passed on as it is, with their own key, and
//! answered as it comes.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Body, Client, Method, Version, redirect};
use url::Url;

use super::http::classify;
use super::{ErrorKind, SetUpError, UpstreamError};

/// A body as it comes in.
pub type Chunks = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A client's request.
pub struct Outgoing {
    pub method: String,
    /// Begins with a slash; as the client wrote it.
    pub path_and_query: String,
    /// Without those that speak of the connection to the client.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Chunks,
}

/// The upstream's answer, whatever it says.
pub struct Incoming {
    pub status: u16,
    /// Without those that speak of the connection to the upstream.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Of the body, where it was told.
    pub length: Option<u64>,
    /// A body that breaks off is told from one that ends.
    pub delimited: bool,
    pub body: Chunks,
}

/// A server that clients' requests are passed on to.
pub trait Line: Send + Sync + 'static {
    /// [`ErrorKind::Unreachable`] and [`ErrorKind::Tls`] mean that nothing arrived; after any other
    /// error it may have.
    fn pass(&self, outgoing: Outgoing) -> Passing<'_>;
}

/// A request on its way.
pub type Passing<'a> = Pin<Box<dyn Future<Output = Result<Incoming, UpstreamError>> + Send + 'a>>;

/// A Burki server over HTTP.
pub struct HttpLine {
    client: Client,
    /// Without the trailing slash.
    base: String,
}

/// What speaks of one connection alone (RFC 9110, section 7.6.1), and what the client library
/// writes itself.
const NOT_PASSED: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HttpLine {
    /// `timeout` bounds the wait for the answer's head, and for each piece of its body.
    pub fn new(base: &Url, timeout: Duration) -> Result<HttpLine, SetUpError> {
        // An error means that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .read_timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            // Nobody would notice that an idle connection was closed, and a request that is not
            // idempotent can't be repeated.
            .pool_max_idle_per_host(0)
            // What is passed on is passed on as it is.
            .no_gzip()
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(HttpLine {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
        })
    }

    async fn send(&self, outgoing: Outgoing) -> Result<Incoming, UpstreamError> {
        let refused = |_| UpstreamError::new(ErrorKind::Refused);
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(refused)?;
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing.headers {
            let name = name.to_ascii_lowercase();
            let named = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(named), Ok(value)) = (named, HeaderValue::from_bytes(&value))
                && !NOT_PASSED.contains(&name.as_str())
            {
                headers.append(named, value);
            }
        }
        let url = format!("{}{}", self.base, outgoing.path_and_query);
        let bodyless = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut request = self.client.request(method, url).headers(headers);
        if !bodyless {
            request = request.body(Body::wrap_stream(outgoing.body));
        }
        let response = request.send().await.map_err(classify)?;
        let headers = response.headers().iter();
        let passed = headers.filter(|(name, _)| !NOT_PASSED.contains(&name.as_str()));
        let length = response.content_length();
        let chunked = response.headers().contains_key(TRANSFER_ENCODING);
        Ok(Incoming {
            length,
            delimited: length.is_some() || chunked || response.version() >= Version::HTTP_2,
            status: response.status().as_u16(),
            headers: passed
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: response
                .bytes_stream()
                .map_err(|error| std::io::Error::other(error.without_url()))
                .boxed(),
        })
    }
}

impl Line for HttpLine {
    fn pass(&self, outgoing: Outgoing) -> Passing<'_> {
        Box::pin(self.send(outgoing))
    }
}
