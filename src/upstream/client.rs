//! Requests to the upstream over HTTP.

use std::error::Error;
use std::io;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{
    ACCEPT, AGE, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, InvalidHeaderValue,
    RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, Method, Response, redirect};
use url::Url;

use crate::model::{KeyHash, Timestamp, is_this_machine};
use crate::upstream::error::{ErrorKind, UpstreamError};
use crate::upstream::request::{CallSource, DateForm, Reply, Request};
use crate::upstream::wire;
use crate::upstream::wire::feed;

/// The largest answer that is read, in bytes after decompression: a full page of records of 64 KiB
/// each.
const LARGEST_BODY: usize = 64 << 20;

/// How long an idle connection is reused: the self-hosted server closes its side after two seconds
/// (observed), and a request sent into that is lost.
const IDLE: Duration = Duration::from_millis(1500);

/// A Burki server, asked with one API key.
pub struct HttpSource {
    client: Client,
    key_hash: KeyHash,
    /// Without a trailing slash; request paths are appended.
    base: String,
    /// In bytes, after decompression.
    largest_body: usize,
}

/// The reason why a client could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("the API key holds a character that no HTTP header can carry")]
    Key(#[from] InvalidHeaderValue),
    #[error("the HTTP client could not be set up")]
    Client(#[from] reqwest::Error),
}

/// The common part of every client. Proxies from the environment stand between this machine and
/// others, so a server on this machine is asked without them.
pub fn client(base: &Url) -> ClientBuilder {
    match is_this_machine(base) {
        true => Client::builder().no_proxy(),
        false => Client::builder(),
    }
}

/// The value of `Authorization`, marked as sensitive so that no log shows it.
pub fn bearer(key: &str) -> Result<HeaderValue, SetUpError> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

impl HttpSource {
    /// Creates a client. `timeout` bounds each request from its start to the end of its body.
    pub fn new(base: &Url, key: &str, timeout: Duration) -> Result<HttpSource, SetUpError> {
        HttpSource::by(client(base), base, key, timeout)
    }

    /// The same as `new`, past every proxy: a command asks the address it was given and nothing
    /// else.
    pub fn direct(base: &Url, key: &str, timeout: Duration) -> Result<HttpSource, SetUpError> {
        HttpSource::by(Client::builder().no_proxy(), base, key, timeout)
    }

    fn by(
        client: ClientBuilder,
        base: &Url,
        key: &str,
        timeout: Duration,
    ) -> Result<HttpSource, SetUpError> {
        // An error means that the process has a provider already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, bearer(key)?),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let client = client
            .user_agent(concat!("burki-edge/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .pool_idle_timeout(IDLE)
            .redirect(within_origin())
            .build()?;
        Ok(HttpSource {
            client,
            key_hash: KeyHash::of(key),
            base: base.as_str().trim_end_matches('/').to_owned(),
            largest_body: LARGEST_BODY,
        })
    }

    /// Gets status and body of any path below the base, such as another edge's `/edge/status`.
    pub async fn get(&self, path_and_query: &str) -> Result<(u16, Vec<u8>), UpstreamError> {
        self.whole(self.send(Method::GET, path_and_query, None).await?)
            .await
    }

    /// The same as `get`, by `POST` without a body: an action, such as another edge's `/edge/sync`.
    pub async fn post(&self, path_and_query: &str) -> Result<(u16, Vec<u8>), UpstreamError> {
        self.whole(self.send(Method::POST, path_and_query, None).await?)
            .await
    }

    async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        json: Option<String>,
    ) -> Result<Response, UpstreamError> {
        let url = format!("{}{path_and_query}", self.base);
        let mut request = self.client.request(method, url);
        if let Some(json) = json {
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        request.send().await.map_err(classify)
    }

    async fn whole(&self, response: Response) -> Result<(u16, Vec<u8>), UpstreamError> {
        let status = response.status().as_u16();
        Ok((status, self.read_capped(response).await?))
    }

    async fn read_capped(&self, mut response: Response) -> Result<Vec<u8>, UpstreamError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken_off)? {
            if body.len() + chunk.len() > self.largest_body {
                let limit = format!("the answer is larger than {} MiB", self.largest_body >> 20);
                return Err(UpstreamError::new(ErrorKind::BadAnswer).caused_by(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl CallSource for HttpSource {
    fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let (path_and_query, json) = (wire::path_and_query(request, dates), wire::body(request));
        let method = match json {
            Some(_) => Method::PATCH,
            None => Method::GET,
        };
        let response = self.send(method, &path_and_query, json).await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        let age = age(response.headers().get(AGE));
        let now = date(response.headers().get(DATE)).unwrap_or_else(Timestamp::now);
        match self.read_capped(response).await {
            Ok(body) => {
                let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
                let reply = wire::reply(request, dates, status, retry_after, &body, now)?;
                Ok(Reply { age, ..reply })
            }
            Err(error) => Err(UpstreamError {
                status: Some(status),
                ..error
            }),
        }
    }
}

/// The server's `Date`: a date in its `Retry-After` is by the same clock.
fn date(value: Option<&HeaderValue>) -> Option<Timestamp> {
    let date = DateTime::parse_from_rfc2822(value?.to_str().ok()?).ok()?;
    Some(Timestamp::from_micros(date.timestamp_micros()))
}

/// Follows a redirect only within the server, such as from `/calls/` to `/calls`, so that the key
/// is never sent to another origin.
fn within_origin() -> redirect::Policy {
    const MOST: usize = 3;
    redirect::Policy::custom(|attempt| {
        let stays = attempt
            .previous()
            .first()
            .is_some_and(|asked| asked.origin() == attempt.url().origin());
        match stays && attempt.previous().len() <= MOST {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    })
}

/// The `Age` in seconds, set by another edge or a cache on the way (RFC 9111, section 5.1).
fn age(value: Option<&HeaderValue>) -> Option<Duration> {
    let age = value?.to_str().ok()?.trim().parse().ok()?;
    Some(feed::seconds(age))
}

/// Classifies the failure of an answer that had begun.
fn broken_off(error: reqwest::Error) -> UpstreamError {
    let error = classify(error);
    match error.kind {
        ErrorKind::Reset => UpstreamError {
            kind: ErrorKind::BrokenOff,
            ..error
        },
        _ => error,
    }
}

pub fn classify(error: reqwest::Error) -> UpstreamError {
    let kind = if error.is_timeout() {
        ErrorKind::Timeout
    } else if is_tls(&error) {
        ErrorKind::Tls
    } else if error.is_connect() {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Reset
    };
    // The URL of a by-SID read names the call, which must not reach a log.
    UpstreamError::new(kind).caused_by(error.without_url())
}

/// True if either side rejected a certificate or a handshake.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    // An I/O error does not report the error it wraps as its source.
    let wrapped = |error: &'_ (dyn Error + 'static)| {
        let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
        Some(is_tls(inner))
    };
    error.is::<rustls::Error>()
        || wrapped(error).unwrap_or(false)
        || error.source().is_some_and(is_tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use crate::model::CallKey;
    use crate::upstream::Answer;

    /// Far longer than anything here takes, so that reading an endless answer to the end fails.
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Sends one answer: headers, the body's `first` bytes, and then `more`, either `times` times
    /// or until the client has enough. Returns how many bytes of `more` were sent.
    fn serve(
        headers: &str,
        first: Vec<u8>,
        more: Vec<u8>,
        times: Option<usize>,
    ) -> (Url, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}\r\n");
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&first).unwrap();
            let mut sent = 0;
            while times.is_none_or(|times| sent < times * more.len()) {
                if stream.write_all(&more).is_err() {
                    break;
                }
                sent += more.len();
            }
            sent
        });
        (Url::parse(&url).unwrap(), serving)
    }

    /// A source that reads at most `mib` MiB of a body.
    fn source(url: &Url, mib: usize) -> HttpSource {
        HttpSource {
            largest_body: mib << 20,
            ..HttpSource::new(url, "burki_k", DEADLINE).unwrap()
        }
    }

    async fn fetch(source: &HttpSource) -> UpstreamError {
        let request = Request::Call(CallKey::Id(1));
        let fetched = source.fetch(&request, DateForm::default()).await;
        fetched.unwrap_err()
    }

    #[tokio::test]
    async fn a_port_that_speaks_no_tls_is_not_a_lost_line() {
        let (mut url, serving) = serve("", Vec::new(), Vec::new(), Some(0));
        url.set_scheme("https").unwrap();
        let error = fetch(&source(&url, 1)).await;
        assert_eq!(error.kind, ErrorKind::Tls, "{error:?}");
        sent(serving).await;
    }

    /// How many bytes were sent. Another thread waits, because the client closes its side on this
    /// one.
    async fn sent(serving: JoinHandle<usize>) -> usize {
        let ended = tokio::task::spawn_blocking(|| serving.join().unwrap());
        let ended = tokio::time::timeout(DEADLINE, ended).await;
        ended.expect("the server still sends").unwrap()
    }

    fn text(error: &UpstreamError) -> String {
        format!("{error}: {}", error.source().unwrap())
    }

    /// An endless gzip stream in fixed codes (RFC 1951 §3.2.6): its beginning, and 13 bytes to
    /// repeat, each time 2064 zeros.
    fn zeros() -> (Vec<u8>, Vec<u8>) {
        // The header of the last block, lowest bit first.
        let mut bits = vec![true, true, false];
        // The literal 0, then length 258 and distance 1; codes go highest bit first.
        let code = |code: u16, length: u32| (0..length).rev().map(move |at| code >> at & 1 == 1);
        bits.extend(code(0b0011_0000, 8));
        let repeat: Vec<bool> = code(0b1100_0101, 8).chain(code(0, 5)).collect();
        // Eight repeats of 13 bits are whole bytes, at whatever bit of a repeat they begin.
        while bits.len() < (16 + 13) * 8 {
            bits.extend(&repeat);
        }
        let bytes: Vec<u8> = bits
            .chunks_exact(8)
            .map(|bits| (0..8).map(|at| u8::from(bits[at]) << at).sum())
            .collect();
        // No name, no time, any system.
        let mut head = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        head.extend(&bytes[..16]);
        (head, bytes[16..29].to_vec())
    }

    #[tokio::test]
    async fn a_body_without_end_is_left_at_the_cap_and_the_error_names_it() {
        let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
        let (url, serving) = serve("transfer-encoding: chunked\r\n", Vec::new(), chunk, None);
        let source = source(&url, 3);
        let error = fetch(&source).await;
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::BadAnswer, Some(200))
        );
        let text = text(&error);
        assert!(text.contains("the answer is larger than 3 MiB"), "{text}");
        // The connection was dropped; otherwise the server would still be sending.
        assert!(sent(serving).await > 3 << 20);
    }

    #[tokio::test]
    async fn the_cap_is_of_what_a_body_unpacks_to() {
        let (head, period) = zeros();
        // Over 64 MiB when unpacked, in half a MiB that is sent repeatedly.
        let more = period.repeat(40_000);
        let (url, serving) = serve("content-encoding: gzip\r\n", head, more, None);
        let source = source(&url, 3);
        let error = fetch(&source).await;
        let text = text(&error);
        assert_eq!(error.kind, ErrorKind::BadAnswer, "{text}");
        assert!(text.contains("the answer is larger than 3 MiB"), "{text}");
        sent(serving).await;
    }

    #[tokio::test]
    async fn a_body_of_just_the_cap_is_read() {
        let body = vec![b' '; 1 << 20];
        let head = format!("content-length: {}\r\n", body.len());
        let (url, serving) = serve(&head, Vec::new(), body, Some(1));
        let (status, read) = source(&url, 1).get("/").await.unwrap();
        assert_eq!((status, read.len()), (200, 1 << 20));
        sent(serving).await;
    }

    /// Answers each connection with the next of these answers. Returns the requests received.
    fn answer_each(listener: TcpListener, answers: Vec<String>) -> JoinHandle<Vec<String>> {
        thread::spawn(move || {
            let answered = answers.into_iter().map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let read = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8_lossy(&request[..read]).to_lowercase()
            });
            answered.collect()
        })
    }

    fn listen() -> (TcpListener, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, Url::parse(&url).unwrap())
    }

    fn answer(status: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )
    }

    fn redirect(to: &str) -> String {
        answer("307 Temporary Redirect", &format!("location: {to}\r\n"), "")
    }

    #[tokio::test]
    async fn a_redirect_is_followed_with_the_key_where_it_stays_with_the_server() {
        let (listener, url) = listen();
        let found = answer("200 OK", "", r#"{"count":7}"#);
        let serving = answer_each(listener, vec![redirect("/api/v1/calls/count"), found]);
        let request = Request::Count {
            from: None,
            to: None,
        };
        let fetched = source(&url, 1).fetch(&request, DateForm::default()).await;
        assert!(matches!(fetched.unwrap().answer, Answer::Count(7)));
        let requests = serving.join().unwrap();
        assert_eq!(requests.len(), 2);
        let with_key = |request: &String| request.contains("authorization: bearer burki_k");
        assert!(requests.iter().all(with_key), "{requests:?}");
    }

    #[tokio::test]
    async fn no_redirect_takes_the_key_to_another_server() {
        let (listener, url) = listen();
        let (other, other_url) = listen();
        other.set_nonblocking(true).unwrap();
        let serving = answer_each(listener, vec![redirect(other_url.as_str())]);
        let error = fetch(&source(&url, 1)).await;
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::Redirected, Some(307))
        );
        serving.join().unwrap();
        assert!(other.accept().is_err(), "nobody came");
    }

    #[tokio::test]
    async fn a_server_that_redirects_to_itself_is_left_after_three() {
        let (listener, url) = listen();
        let serving = answer_each(listener, vec![redirect("/api/v1/calls/1"); 4]);
        let error = fetch(&source(&url, 1)).await;
        assert_eq!(error.kind, ErrorKind::Redirected);
        assert_eq!(serving.join().unwrap().len(), 4);
    }

    #[tokio::test]
    async fn a_date_to_try_again_at_is_by_the_servers_own_clock() {
        let (listener, url) = listen();
        let dates = "date: Tue, 01 Jan 2030 00:00:00 GMT\r\n\
                     retry-after: Tue, 01 Jan 2030 00:02:00 GMT\r\n";
        let serving = answer_each(listener, vec![answer("503 Unavailable", dates, "")]);
        let error = fetch(&source(&url, 1)).await;
        assert_eq!(error.retry_after, Some(Duration::from_secs(120)));
        serving.join().unwrap();
    }

    #[tokio::test]
    async fn an_answer_that_ends_early_is_told_from_none() {
        let (listener, url) = listen();
        let whole = answer("200 OK", "", &" ".repeat(100));
        let serving = answer_each(listener, vec![whole[..whole.len() - 50].to_owned()]);
        let error = fetch(&source(&url, 1)).await;
        assert_eq!(
            (error.kind, error.status),
            (ErrorKind::BrokenOff, Some(200))
        );
        serving.join().unwrap();
    }

    #[test]
    fn a_servers_answers_are_read_to_64_mib() {
        let url = Url::parse("http://localhost").unwrap();
        let source = HttpSource::new(&url, "burki_k", DEADLINE).unwrap();
        assert_eq!(source.largest_body >> 20, 64);
    }
}
