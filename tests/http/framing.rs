//! Answers on the wire, byte by byte: which have a body, where they end, and what may follow.
//!
//! | Case | RFC, section | Test |
//! |---|---|---|
//! | HEAD: the fields of a GET, no body | 9110, 9.3.2 | `a_head_request_of_an_export…`, `what_is_passed_on…`, `what_the_edge_answers_without…` |
//! | HEAD: the length of the body that would be, or none | 9110, 8.6 | `what_is_passed_on…`, `upstream/line.rs` |
//! | 204 and 304: no body, whatever the upstream sent | 9110, 15.3.5 and 15.4.5; 9112, 6.3 | `what_is_passed_on…`, `what_the_edge_answers_without…` |
//! | 100: once, to who asks and may | 9110, 10.1.1 | `who_expects…` |
//! | 408: the last answer | 9110, 15.5.9 | `what_is_no_path…` |
//! | OPTIONS of the edge's own | 9110, 9.3.7 | `what_the_edge_answers_without…` |
//! | HTTP/1.0: no chunks, the end is the connection's | 9112, 6.1 | `before_http_1_1…` |
//! | Pipelining: each as it was asked, in order | 9112, 9.3.2 | `requests_of_one_segment…`, `a_body_and_what_follows…` |
//! | `Connection: close`: nothing after it | 9112, 9.6 | `after_a_request_that_is_the_last…` |
//! | `Upgrade`: not switched, not said to be | 9110, 7.8 | `an_upgrade…`, `no_other_upgrade…` |
//! | CONNECT and TRACE: not for a server between | 9110, 9.3.6 and 9.3.8 | `a_repeated_authorization…` |
//! | `*`: no path | 9112, 3.2.4 | `what_is_no_path…` |
//! | Dot segments, `%2F`, `\\` | 3986, 5.2.4 | `src/http/target.rs` |
//! | Hop-by-hop fields, `Via` | 9110, 7.6.1 and 7.6.3 | `src/upstream/line.rs` |

use std::future::ready;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use burki_edge::sync::{Phase, ProxyRequest, ProxyResponse};
use burki_edge::upstream::{Passing, Proxy};

use super::edge_server::{Edge, KEY, Upstream};

const CALL: &str = r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":null}"#;

async fn edge() -> Edge {
    let edge = Edge::start(Upstream::holding(&[CALL]), |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    edge
}

/// Sends all in one segment, and reads until the edge closes.
fn exchange(edge: &Edge, requests: &str) -> String {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let requests = requests.replace("AUTH", &format!("Authorization: Bearer {KEY}"));
    stream.write_all(requests.as_bytes()).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    String::from_utf8(answers).unwrap()
}

/// The framework has one flag for a HEAD, of the request that it decoded last.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_segment_are_each_answered_as_they_were_asked() {
    let edge = edge().await;
    let list = "GET /api/v1/calls?limit=1 HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n";
    let head = "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (first, second) in [(list, head), (head, list)] {
        let answers = exchange(&edge, &format!("{first}{second}{last}"));
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
        assert_eq!(answers.matches(CALL).count(), 1, "{answers}");
        assert!(answers.ends_with('}'), "{answers}");
    }
}

/// RFC 9112, section 9.6: nothing that follows is processed.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_request_that_is_the_last_none_is_answered() {
    let edge = edge().await;
    let close = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let next = "GET /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n";
    let answers = exchange(&edge, &format!("{close}{next}"));
    assert_eq!(answers.matches("HTTP/1.1").count(), 1, "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_of_an_export_has_no_body_and_the_next_is_answered() {
    let edge = edge().await;
    let export = "HEAD /api/v1/calls/export HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(&edge, &format!("{export}{last}"));
    let (first, second) = answers.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{answers}");
    assert!(!first.contains("content-length"), "{answers}");
    assert!(second.starts_with("HTTP/1.1 200"), "{answers}");
}

/// RFC 9112, section 6.1: no transfer codings before HTTP/1.1; the end is the connection's.
#[tokio::test(flavor = "multi_thread")]
async fn before_http_1_1_an_export_ends_with_its_connection() {
    let edge = edge().await;
    let export = "GET /api/v1/calls/export HTTP/1.0\r\nAUTH\r\nConnection: keep-alive\r\n\r\n";
    let answer = exchange(&edge, export);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(!head.to_lowercase().contains("keep-alive"), "{head}");
    assert!(
        !body.starts_with(char::is_numeric) && body.ends_with('\n'),
        "{body}"
    );
}

/// RFC 9110, section 7.8: whoever does not switch does not say that it does.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_is_not_taken_up() {
    let edge = edge().await;
    let upgrade = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let answers = exchange(&edge, &format!("{upgrade}{last}"));
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(!answers.to_lowercase().contains("upgrade"), "{answers}");
}

/// What may be waited for is passed on while it is answered, a body with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_and_what_follows_it_are_told_apart() {
    let edge = edge().await;
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let post = format!("POST /edge/sync HTTP/1.1\r\nHost: x\r\nAUTH\r\n{body}");
        let answers = exchange(&edge, &format!("{post}{last}"));
        assert!(answers.starts_with("HTTP/1.1 202"), "{answers}");
    }
}

/// What asks for it otherwise is answered, and is the last of its connection.
#[tokio::test(flavor = "multi_thread")]
async fn no_other_upgrade_is_taken_up_either() {
    let edge = edge().await;
    let refused = |upgrade: &str| {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n");
        let answer = exchange(&edge, &request).to_lowercase();
        assert!(answer.starts_with("http/1.1 200"), "{upgrade}: {answer}");
        assert!(!answer.contains("upgrade"), "{upgrade}: {answer}");
        assert!(answer.ends_with('}'), "{upgrade}: {answer}");
    };
    std::thread::scope(|scope| {
        for upgrade in [
            "Connection: UPGRADE\r\nUpgrade: h2c",
            "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
            "X: upgrade\r\nConnection: keep-alive, Upgrade\r\nUpgrade: TLS/1.0",
        ] {
            scope.spawn(|| refused(upgrade));
        }
    });
}

/// An upstream that answers whatever is passed on to it in one way.
struct Canned {
    status: u16,
    body: &'static str,
    length: Option<u64>,
}

impl Proxy for Canned {
    fn pass(&self, _: ProxyRequest) -> Passing<'_> {
        let body = Ok(Bytes::from_static(self.body.as_bytes()));
        let incoming = ProxyResponse {
            status: self.status,
            headers: Vec::new(),
            length: self.length,
            delimited: true,
            body: Box::pin(futures_util::stream::once(ready(body))),
        };
        Box::pin(ready(Ok(incoming)))
    }
}

/// Whatever the upstream sent along, these end with their head: RFC 9110, sections 9.3.2 (HEAD),
/// 15.3.5 (204) and 15.4.5 (304); RFC 9112, section 6.3.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_on_and_has_no_body_ends_with_its_head() {
    for (method, status) in [
        ("GET", 204),
        ("DELETE", 204),
        ("GET", 304),
        ("HEAD", 200),
        ("HEAD", 404),
        ("HEAD", 204),
    ] {
        for (body, length) in [
            ("", None),
            ("", Some(0)),
            ("stray", None),
            ("stray", Some(5)),
        ] {
            let edge = Edge::start(Upstream::holding(&[CALL]), |shared| {
                let canned = Canned {
                    status,
                    body,
                    length,
                };
                shared.handle = shared.handle.clone().with_proxy(Arc::new(canned));
            });
            edge.until(|status| status.phase == Phase::Live).await;
            let passed = format!("{method} /api/v1/elsewhere HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n");
            let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
            let answers = exchange(&edge, &format!("{passed}{passed}{last}"));
            let context = format!("{method} {status} {body:?} {length:?}: {answers}");
            let line = format!("HTTP/1.1 {status}");
            let heads: Vec<&str> = answers.split("\r\n\r\n").collect();
            assert_eq!(heads.len(), 4, "{context}");
            let own = if status == 200 { 3 } else { 2 };
            assert_eq!(answers.matches(&line).count(), own, "{context}");
            assert!(
                heads[1].starts_with(&line) && heads[2].starts_with("HTTP/1.1 200"),
                "{context}"
            );
            assert_eq!(heads[3], r#"{"status":"alive"}"#, "{context}");
            let told = length.filter(|_| method == "HEAD" && status != 204);
            let told = told.map(|length| format!("content-length: {length}"));
            for head in &heads[..2] {
                match &told {
                    Some(told) => assert!(head.contains(told), "{context}"),
                    None => assert!(!head.contains("content-length"), "{context}"),
                }
                assert!(!head.contains("transfer-encoding"), "{context}");
                assert!(!head.contains("content-type"), "{context}");
            }
            assert!(!answers.contains("stray"), "{context}");
        }
    }
}

/// RFC 9110, sections 9.3.7 and 13.1.2: of the edge's own.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_edge_answers_without_a_body_is_followed_by_the_next() {
    let edge = edge().await;
    let one = "GET /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nAUTH\r\n";
    let list = "GET /api/v1/calls?limit=1 HTTP/1.1\r\nHost: x\r\nAUTH\r\n";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for (request, status) in [
        (
            "OPTIONS /api/v1/calls HTTP/1.1\r\nHost: x\r\nAUTH\r\n".to_owned(),
            204,
        ),
        (format!("{one}If-None-Match: *\r\n"), 304),
        (format!("{list}If-None-Match: *\r\n"), 304),
        (one.replace("GET", "HEAD"), 200),
        (list.replace("GET", "HEAD"), 200),
    ] {
        let answers = exchange(&edge, &format!("{request}\r\n{last}"));
        let (first, second) = answers.split_once("\r\n\r\n").unwrap();
        assert!(
            first.starts_with(&format!("HTTP/1.1 {status}")),
            "{answers}"
        );
        assert!(second.starts_with("HTTP/1.1 200"), "{answers}");
    }
}

/// RFC 9110, section 15.2.2; nobody asked for another protocol.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_switches_protocols_has_not_answered() {
    let edge = Edge::start(Upstream::holding(&[CALL]), |shared| {
        let canned = Canned {
            status: 101,
            body: "",
            length: None,
        };
        shared.handle = shared.handle.clone().with_proxy(Arc::new(canned));
    });
    edge.until(|status| status.phase == Phase::Live).await;
    let request = "GET /api/v1/elsewhere HTTP/1.1\r\nHost: x\r\nAUTH\r\nConnection: close\r\n\r\n";
    let answer = exchange(&edge, request);
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

/// Of a body that nobody reads, the rest would be taken for the next request.
#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_body_unread_says_that_the_connection_ends() {
    let edge = edge().await;
    let call = "GET /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nAUTH\r\n";
    let with_body = exchange(&edge, &format!("{call}Content-Length: 5\r\n\r\nhello"));
    assert!(with_body.starts_with("HTTP/1.1 200"), "{with_body}");
    assert!(with_body.contains("connection: close"), "{with_body}");
    assert!(!with_body.contains("keep-alive"), "{with_body}");
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let of_no_bytes = exchange(&edge, &format!("{call}Content-Length: 0\r\n\r\n{last}"));
    assert_eq!(
        of_no_bytes.matches("HTTP/1.1 200").count(),
        2,
        "{of_no_bytes}"
    );
}

/// RFC 9112, section 3.2.4: `*` is no path, and nothing that could follow a host's name is made of
/// it. RFC 9110, section 15.5.9: whoever did not get a whole body is not asked again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_path_and_what_is_no_body_is_refused() {
    let edge = edge().await;
    for method in ["GET", "OPTIONS"] {
        let answers = exchange(
            &edge,
            &format!("{method} * HTTP/1.1\r\nHost: x\r\nAUTH\r\nConnection: close\r\n\r\n"),
        );
        assert!(answers.starts_with("HTTP/1.1 400"), "{answers}");
        assert!(answers.contains("begin it with a slash"), "{answers}");
    }
    let broken = "PATCH /api/v1/calls/5/metadata HTTP/1.1\r\nHost: x\r\nAUTH\r\n\
                  Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n";
    let answers = exchange(&edge, broken);
    assert!(answers.starts_with("HTTP/1.1 408"), "{answers}");
    assert!(answers.contains("connection: close"), "{answers}");
    assert!(!answers.contains("keep-alive"), "{answers}");
}

/// RFC 9110, section 10.1.1: who asks is told to go on, once.
#[tokio::test(flavor = "multi_thread")]
async fn who_expects_to_be_told_to_go_on_is_told() {
    let edge = edge().await;
    let head = "PATCH /api/v1/calls/5/metadata HTTP/1.1\r\nHost: x\r\nAUTH\r\n\
                Expect: 100-continue\r\nContent-Length: 15\r\nConnection: close\r\n\r\n";
    let answers = exchange(&edge, &format!("{head}{{\"metadata\":{{}}}}"));
    assert_eq!(answers.matches("HTTP/1.1 100").count(), 1, "{answers}");
    assert!(!answers.contains("HTTP/1.1 401"), "{answers}");
    let stranger = head.replace("AUTH\r\n", "");
    let answers = exchange(&edge, &stranger);
    assert!(answers.contains("HTTP/1.1 401"), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_authorization_is_refused_and_no_tunnel_is_made() {
    let edge = edge().await;
    let twice = "GET /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nAUTH\r\nAuthorization: Bearer other\r\n\
                 Connection: close\r\n\r\n";
    assert!(exchange(&edge, twice).starts_with("HTTP/1.1 400"));
    for method in ["CONNECT", "TRACE"] {
        let tunnel =
            format!("{method} /elsewhere HTTP/1.1\r\nHost: x\r\nAUTH\r\nConnection: close\r\n\r\n");
        let answer = exchange(&edge, &tunnel);
        let refused = answer.starts_with("HTTP/1.1 405") || answer.starts_with("HTTP/1.1 400");
        assert!(refused, "{answer}");
    }
}
