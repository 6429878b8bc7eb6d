//! What holds of every answer, whatever was asked: its name, its limits, and who may read it in a
//! browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use burki_edge::simulator::WorldConfig;

use super::edge_and_upstream::Site;

fn small() -> WorldConfig {
    WorldConfig {
        calls: 5,
        ..WorldConfig::default()
    }
}

/// Sends this, and reads until the server ends the connection.
fn raw(site: &Site, text: &str) -> String {
    let mut stream = TcpStream::connect(site.edge.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_a_name_the_clients_where_it_gave_one() {
    let site = Site::with(small(), &[("BURKI_EDGE_SERVER__CORS_ORIGINS", "*")]).await;
    let long = "x".repeat(129);
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/healthz", "/nope", "/api/v1/calls/x", "/edge/nope"] {
        let named = site.ask("GET", path, &[("x-request-id", "me~1")], None);
        assert_eq!(named.await.header("x-request-id"), Some("me~1"), "{path}");
        for bad in ["", "a b", &long] {
            let answer = site.ask("GET", path, &[("x-request-id", bad)], None).await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert!(!id.is_empty() && id != bad, "{path}");
            assert!(seen.insert(id), "no two alike");
        }
    }
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
        ("x-request-id", "before"),
    ];
    let answer = site.ask("OPTIONS", "/edge/status", &preflight, None).await;
    assert_eq!(answer.header("x-request-id"), Some("before"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_is_refused_before_anything_else() {
    let site = Site::with(small(), &[]).await;
    let long = |length| "x".repeat(length);
    let headers: Vec<(String, String)> = (0..70).map(|at| (format!("x-{at}"), long(1))).collect();
    let many: Vec<(&str, &str)> = headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let large = long(33 << 10);
    for (path, headers, status, limit) in [
        (format!("/api/v1/{}", long(2048)), vec![], 414, "2048"),
        (format!("/healthz?q={}", long(8192)), vec![], 414, "8192"),
        ("/healthz".to_owned(), many, 431, "64"),
        (
            "/healthz".to_owned(),
            vec![("x-large", large.as_str())],
            431,
            "32768",
        ),
    ] {
        let refused = site
            .send(&site.edge, "nobody", "GET", &path, &headers, None)
            .await;
        assert_eq!(refused.status, status);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(limit), "{detail}");
        assert!(refused.header("x-request-id").is_some());
    }
    let fits = format!("/healthz?q={}", long(8000));
    assert_eq!(site.get(&fits).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_too_slow_is_let_go() {
    let site = Site::with(small(), &[]).await;
    let answer = tokio::task::block_in_place(|| raw(&site, "GET /healthz HTTP/1.1\r\nHo"));
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    let idle = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = tokio::task::block_in_place(|| raw(&site, idle));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let key = &site.key;
    let slow = format!(
        "POST /calls/initiate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: 100\r\n\r\n{{"
    );
    let answer = tokio::task::block_in_place(|| raw(&site, &slow));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_a_named_origin_may_read_and_another_may_not() {
    let origins = ("BURKI_EDGE_SERVER__CORS_ORIGINS", "https://app.example");
    let site = Site::with(small(), &[origins]).await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "PATCH"),
        (
            "access-control-request-headers",
            "authorization,cache-control",
        ),
    ];
    let path = "/api/v1/calls/1/metadata";
    let answer = site
        .send(&site.edge, "", "OPTIONS", path, &preflight, None)
        .await;
    assert_eq!(answer.status, 200, "without a token");
    let origin = "access-control-allow-origin";
    assert_eq!(answer.header(origin), Some("https://app.example"));
    assert!(answer.header("access-control-max-age").is_some());
    let allowed = answer.header("access-control-allow-methods").unwrap();
    for method in ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"] {
        assert!(allowed.contains(method), "{allowed}");
    }
    let read = [("origin", "https://app.example")];
    let answer = site.ask("GET", "/edge/status", &read, None).await;
    assert_eq!(answer.header(origin), Some("https://app.example"));
    assert!(answer.header("vary").unwrap().contains("Origin"));
    let exposed = answer.header("access-control-expose-headers").unwrap();
    for name in ["etag", "age", "cache-status", "retry-after", "x-request-id"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let other = [("origin", "https://other.example")];
    let answer = site.ask("GET", "/edge/status", &other, None).await;
    assert_eq!((answer.status, answer.header(origin)), (200, None));
    let anonymous = site.send(&site.edge, "", "GET", "/edge/status", &read, None);
    assert_eq!(anonymous.await.status, 401);
    let options = site.ask("OPTIONS", "/edge/status", &[], None).await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_origins_there_is_no_word_of_them() {
    let site = Site::with(small(), &[]).await;
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "GET"),
    ];
    for method in ["GET", "OPTIONS"] {
        let answer = site.ask(method, "/edge/status", &preflight, None).await;
        let speaks = |name: &str| name.starts_with("access-control") || name == "vary";
        assert!(
            !answer.headers.iter().any(|(name, _)| speaks(name)),
            "{answer:?}"
        );
    }
}
