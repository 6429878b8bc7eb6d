//! The proxy to the upstream: a client's request is forwarded as it is, with its own key or the
//! edge's, and answered as it comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use reqwest::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use reqwest::{Body, Client, Method, Version, redirect};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::upstream::client::SetUpError;
use crate::upstream::client::{bearer, classify, client};
use crate::upstream::error::{ErrorKind, UpstreamError};

/// A body as a stream of chunks.
pub type Chunks = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// A client's request to be forwarded.
pub struct ProxyRequest {
    pub method: String,
    /// As the client wrote it, with a leading slash.
    pub path_and_query: String,
    /// Without the headers that concern the connection to the client.
    pub headers: Vec<(String, Vec<u8>)>,
    pub key: Key,
    pub body: Chunks,
}

/// The key with which a request is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The key that the client sent.
    Callers,
    /// The edge's own key, in place of what the client sent.
    Own,
}

/// The upstream's answer, whatever its status.
pub struct ProxyResponse {
    pub status: u16,
    /// Without the headers that concern the connection to the upstream.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body's length, if the upstream reported it.
    pub length: Option<u64>,
    /// True if a body that breaks off can be distinguished from one that ends.
    pub delimited: bool,
    pub body: Chunks,
}

/// A server to which clients' requests are forwarded.
pub trait Proxy: Send + Sync + 'static {
    /// Forwards a request. [`ErrorKind::Unreachable`] and [`ErrorKind::Tls`] mean that nothing
    /// arrived; after any other error it may have.
    fn pass(&self, outgoing: ProxyRequest) -> Passing<'_>;
}

/// A forwarded request in progress.
pub type Passing<'a> =
    Pin<Box<dyn Future<Output = Result<ProxyResponse, UpstreamError>> + Send + 'a>>;

/// A Burki server over HTTP.
pub struct HttpProxy {
    client: Client,
    /// `Authorization` with the edge's own key, replaced when the key changes.
    own_key: ArcSwap<HeaderValue>,
    /// Without a trailing slash.
    base: String,
    timeout: Duration,
}

/// Headers that concern one connection alone (RFC 9110, section 7.6.1), and those that the client
/// library writes itself.
const NOT_PASSED: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The longest time that a client may take to send a body.
const LONGEST_BODY: Duration = Duration::from_secs(310);

/// The value of `Via` on a forwarded message (RFC 9110, section 7.6.3).
const VIA: HeaderValue = HeaderValue::from_static("1.1 burki-edge");

/// The headers to forward, with `Via` added. Those that concern the connection, or that
/// `Connection` names, are left out.
fn passed(headers: &HeaderMap) -> HeaderMap {
    let listed = headers.get_all(CONNECTION).iter();
    let listed: Vec<String> = listed
        .flat_map(|names| names.as_bytes().split(|byte| *byte == b','))
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_lowercase())
        .collect();
    let mut passed = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        let is_own = |own: &String| own == name.as_str();
        if !NOT_PASSED.contains(&name.as_str()) && !listed.iter().any(is_own) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed.append(reqwest::header::VIA, VIA);
    passed
}

impl HttpProxy {
    /// `own_key` is the edge's. `timeout` bounds the wait for the answer's head after the request's
    /// last byte, and for each chunk of its body.
    pub fn new(base: &Url, own_key: &str, timeout: Duration) -> Result<HttpProxy, SetUpError> {
        // An error means that the process has a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client(base)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            // A closed idle connection would go unnoticed, and not every request can be repeated.
            .pool_max_idle_per_host(0)
            // Bodies are forwarded in the coding in which they come.
            .no_gzip()
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(HttpProxy {
            client,
            own_key: ArcSwap::from_pointee(bearer(own_key)?),
            base: base.as_str().trim_end_matches('/').to_owned(),
            timeout,
        })
    }

    /// Replaces the edge's own key.
    pub fn set_key(&self, own_key: &str) -> Result<(), SetUpError> {
        self.own_key.store(Arc::new(bearer(own_key)?));
        Ok(())
    }

    async fn send(&self, outgoing: ProxyRequest) -> Result<ProxyResponse, UpstreamError> {
        let refused = |_| UpstreamError::new(ErrorKind::Refused);
        let method = Method::from_bytes(outgoing.method.as_bytes()).map_err(refused)?;
        let mut headers = HeaderMap::new();
        for (name, value) in outgoing.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
                headers.append(name, value);
            }
        }
        if outgoing.key == Key::Own {
            headers.insert(AUTHORIZATION, (**self.own_key.load()).clone());
        }
        let url = format!("{}{}", self.base, outgoing.path_and_query);
        let bodyless = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let is_head = method == Method::HEAD;
        let mut request = self.client.request(method, url).headers(passed(&headers));
        let sent = CancellationToken::new();
        match bodyless {
            true => sent.cancel(),
            false => {
                // The guard is dropped after the last chunk, or with a request that failed.
                let ends = sent.clone().drop_guard();
                let body = outgoing.body.inspect(move |_| _ = &ends);
                request = request.body(Body::wrap_stream(body));
            }
        }
        let unanswered = async {
            // The limits on the client bound how long it may send.
            let _ = timeout(LONGEST_BODY, sent.cancelled()).await;
            sleep(self.timeout).await;
        };
        let response = tokio::select! {
            answer = request.send() => answer.map_err(classify)?,
            () = unanswered => return Err(UpstreamError::new(ErrorKind::Timeout)),
        };
        let headers = passed(response.headers());
        // For an answer without a body, this is the length that the body would have.
        let told = response.headers().get(CONTENT_LENGTH);
        let told = told.and_then(|length| length.to_str().ok()?.trim().parse().ok());
        // The library counts the bytes that came, which for HEAD is not the body's length.
        let length = told.or_else(|| response.content_length().filter(|_| !is_head));
        let chunked = response.headers().contains_key(TRANSFER_ENCODING);
        Ok(ProxyResponse {
            length,
            delimited: length.is_some() || chunked || response.version() >= Version::HTTP_2,
            status: response.status().as_u16(),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: in_time(response.bytes_stream(), self.timeout),
        })
    }
}

/// Ends the body with an error if a chunk does not come in time.
fn in_time(
    body: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
    limit: Duration,
) -> Chunks {
    let pieces = stream::unfold(Box::pin(body), move |mut body| async move {
        let piece = match timeout(limit, body.next()).await {
            Ok(piece) => piece?.map_err(|error| io::Error::other(error.without_url())),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        Some((piece, body))
    });
    pieces.boxed()
}

impl Proxy for HttpProxy {
    fn pass(&self, outgoing: ProxyRequest) -> Passing<'_> {
        Box::pin(self.send(outgoing))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    /// RFC 9110, sections 7.6.1 and 7.6.3, in both directions.
    #[tokio::test]
    async fn what_speaks_of_one_connection_ends_there_and_who_passed_it_on_is_told() {
        const OF_ONE: [&str; 8] = [
            "connection: X-Hop, close",
            "connection: x-other",
            "x-hop: 1",
            "X-Other: 1",
            "keep-alive: timeout=9",
            "proxy-connection: keep-alive",
            "te: trailers",
            "trailer: x",
        ];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let fields = OF_ONE.join("\r\n");
            let answer = format!(
                "HTTP/1.1 200 OK\r\n{fields}\r\nvia: 1.1 other\r\nx-kept: 1\r\n\
                 content-length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).to_lowercase()
        });
        let mut outgoing = get("/x");
        let theirs = ["via: 1.0 first", "x-kept: 1", "authorization: Bearer a"];
        outgoing.headers = OF_ONE
            .iter()
            .chain(&theirs)
            .map(|field| field.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .collect();
        let line = HttpProxy::new(&url.parse().unwrap(), "burki_k", TIMEOUT).unwrap();
        let incoming = line.pass(outgoing).await.unwrap();
        let request = serving.join().unwrap();
        let (_, sent) = request.split_once("\r\n").unwrap();
        let mut sent: Vec<&str> = sent.trim_end().split("\r\n").collect();
        sent.retain(|field| !field.starts_with("host: "));
        sent.sort_unstable();
        let expected = [
            "accept: */*",
            "authorization: bearer a",
            "via: 1.0 first",
            "via: 1.1 burki-edge",
            "x-kept: 1",
        ];
        assert_eq!(sent, expected);
        let text = |(name, value): &(String, Vec<u8>)| {
            format!("{name}: {}", String::from_utf8_lossy(value))
        };
        let mut told: Vec<String> = incoming.headers.iter().map(text).collect();
        told.sort_unstable();
        assert_eq!(told, ["via: 1.1 burki-edge", "via: 1.1 other", "x-kept: 1"]);
    }

    /// The client takes its time; the answer comes right after its last byte, or never.
    #[tokio::test]
    async fn the_wait_for_an_answer_begins_when_the_request_was_sent() {
        let limit = Duration::from_millis(300);
        for answers in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let (sending, ended) = std::sync::mpsc::channel::<()>();
            let serving = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"0\r\n\r\n") {
                    let mut piece = [0; 4096];
                    let length = stream.read(&mut piece).unwrap();
                    request.extend_from_slice(&piece[..length]);
                }
                if answers {
                    stream
                        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                        .unwrap();
                }
                let _ = ended.recv();
            });
            let mut outgoing = get("/");
            outgoing.method = "POST".to_owned();
            let pieces = stream::unfold(0, move |sent| async move {
                sleep(limit / 2).await;
                (sent < 4).then(|| (Ok(Bytes::from_static(b"x")), sent + 1))
            });
            outgoing.body = pieces.boxed();
            let line = HttpProxy::new(&url.parse().unwrap(), "burki_k", limit).unwrap();
            match line.pass(outgoing).await {
                Ok(incoming) => assert!(answers && incoming.status == 204),
                Err(error) => assert!(!answers && error.kind == ErrorKind::Timeout),
            }
            drop(sending);
            serving.join().unwrap();
        }
    }

    fn get(path_and_query: &str) -> ProxyRequest {
        ProxyRequest {
            method: "GET".to_owned(),
            path_and_query: path_and_query.to_owned(),
            headers: Vec::new(),
            key: Key::Callers,
            body: stream::empty().boxed(),
        }
    }

    /// RFC 9110, section 8.6.
    #[tokio::test]
    async fn the_length_that_a_body_would_have_is_told_where_the_upstream_tells_it() {
        for (headers, length) in [
            ("content-length: 7\r\n", Some(7)),
            ("transfer-encoding: chunked\r\n", None),
            ("connection: close\r\n", None),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let serving = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let url = url.parse().unwrap();
            let line = HttpProxy::new(&url, "burki_k", TIMEOUT).unwrap();
            let mut outgoing = get("/");
            outgoing.method = "HEAD".to_owned();
            let incoming = line.pass(outgoing).await.unwrap();
            assert_eq!(incoming.length, length, "{headers}");
            serving.join().unwrap();
        }
    }
}
