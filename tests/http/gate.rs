//! Who may do what, and what is said to those who may not.

use std::time::{Duration, Instant};

use burki_edge::http::{Auth, Gate, Grant, Proxies};
use burki_edge::model::Scope;
use burki_edge::sync::Phase;

use super::edge_server::{Edge, KEY, Upstream, gate, grant};

const CALL: &str = r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":null}"#;

async fn edge(gate: impl FnOnce() -> Gate) -> Edge {
    let edge = Edge::start(Upstream::holding(&[CALL]), |shared| shared.gate = gate());
    edge.until(|status| status.phase == Phase::Live).await;
    edge
}

fn status(edge: &Edge, method: &str, path: &str, token: &str) -> u16 {
    edge.send(method, path, Some(&format!("Bearer {token}")), &[])
        .status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_its_holder_do_what_its_scopes_say() {
    let edge = edge(|| {
        gate(Auth::new(
            Some(KEY),
            [
                grant("reads", &[Scope::Read]),
                grant("writes", &[Scope::Write]),
                grant("operates", &[Scope::Operate]),
                grant("all", &Scope::ALL),
            ],
            false,
        ))
    })
    .await;
    // Where it may, the answers are those of the endpoints, which pass nothing on here.
    for (method, path, scope, allowed) in [
        ("GET", "/api/v1/calls/5", Some(Scope::Read), 200),
        ("GET", "/api/v1/calls", Some(Scope::Read), 200),
        ("GET", "/api/v1/calls/count", Some(Scope::Read), 200),
        ("GET", "/api/v1/calls/export", Some(Scope::Read), 200),
        ("GET", "/edge/changes?after=0", Some(Scope::Read), 200),
        ("GET", "/edge/writes", Some(Scope::Read), 200),
        ("DELETE", "/edge/writes/7", Some(Scope::Write), 404),
        ("POST", "/edge/sync", Some(Scope::Operate), 202),
        ("POST", "/edge/holds/release", Some(Scope::Operate), 200),
        ("GET", "/edge/status", None, 200),
    ] {
        for (token, has) in [
            ("reads", Some(Scope::Read)),
            ("writes", Some(Scope::Write)),
            ("operates", Some(Scope::Operate)),
            ("all", scope),
            (KEY, scope),
        ] {
            let may = scope.is_none() || has == scope;
            let expected = if may { allowed } else { 403 };
            let context = format!("{method} {path} with {token}");
            assert_eq!(status(&edge, method, path, token), expected, "{context}");
        }
    }
    let refused = edge.send("POST", "/edge/sync", Some("Bearer reads"), &[]);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Bearer error=\"insufficient_scope\", scope=\"operate\"")
    );
    assert!(
        refused.body.contains("it needs the scope \\\"operate\\\""),
        "{}",
        refused.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_has_expired_opens_nothing() {
    let edge = edge(|| {
        let expires = burki_edge::model::Timestamp::parse("2026-11-22T10:00:30Z").ok();
        let short = Grant {
            expires,
            ..grant("short", &[Scope::Read])
        };
        gate(Auth::new(None, [short], false))
    })
    .await;
    assert_eq!(status(&edge, "GET", "/api/v1/calls/5", "short"), 200);
    edge.pass(29);
    assert_eq!(status(&edge, "GET", "/api/v1/calls/5", "short"), 200);
    edge.pass(1);
    assert_eq!(status(&edge, "GET", "/api/v1/calls/5", "short"), 401);
}

/// Pages of other origins can send requests without a token, and so can nobody else here.
#[tokio::test(flavor = "multi_thread")]
async fn who_needs_no_token_may_only_read() {
    let edge = edge(|| gate(Auth::new(Some(KEY), [], true))).await;
    let send =
        |method, path, headers: &[(&str, &str)]| edge.send(method, path, None, headers).status;
    assert_eq!(send("GET", "/api/v1/calls/5", &[]), 200);
    for (path, done) in [("/edge/sync", 202), ("/edge/holds/release", 200)] {
        for origin in ["https://evil.example", "http://localhost"] {
            assert_eq!(send("POST", path, &[("Origin", origin)]), 403, "{path}");
        }
        assert_eq!(send("POST", path, &[]), 403, "{path}");
        assert_eq!(status(&edge, "POST", path, KEY), done, "{path}");
    }
    assert_eq!(send("PATCH", "/api/v1/calls/5/metadata", &[]), 403);
    assert_eq!(send("DELETE", "/edge/writes/1", &[]), 403);
}

/// Each is answered, later and later, and nobody else is held up.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_a_valid_token_from_there_is_not() {
    let edge = edge(|| gate(Auth::new(Some(KEY), [], false))).await;
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(status(&edge, "GET", "/api/v1/calls/5", "guess"), 401);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "a few are an error"
    );
    let (late, refused) = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40)
            .map(|_| {
                scope.spawn(|| {
                    let begun = Instant::now();
                    let code = status(&edge, "GET", "/api/v1/calls/5", "guess");
                    (code, begun.elapsed())
                })
            })
            .collect();
        for _ in 0..50 {
            let begun = Instant::now();
            assert_eq!(status(&edge, "GET", "/api/v1/calls/5", KEY), 200);
            assert!(begun.elapsed() < Duration::from_millis(900));
        }
        let mut told = (0, 0);
        for guess in guesses {
            match guess.join().unwrap() {
                (401, took) if took >= Duration::from_secs(1) => told.0 += 1,
                (429, _) => told.1 += 1,
                other => panic!("{other:?}"),
            }
        }
        told
    });
    assert!(late >= 8 && refused > 0, "{late} late, {refused} refused");
    let refused = edge.send("GET", "/api/v1/calls/5", None, &[]);
    assert_eq!(refused.status, 401, "who sends none does not guess");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_each_guesses_for_himself() {
    let trusted = || Proxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let edge = edge(|| Gate::new(Auth::new(Some(KEY), [], false), Vec::new(), trusted())).await;
    let guess = |client: &str| {
        let headers = [("X-Forwarded-For", client)];
        edge.send("GET", "/edge/status", Some("Bearer guess"), &headers)
    };
    for _ in 0..10 {
        assert_eq!(guess("192.0.2.1").status, 401);
    }
    let begun = Instant::now();
    assert_eq!(guess("192.0.2.2").status, 401);
    assert!(begun.elapsed() < Duration::from_millis(900));
    assert_eq!(guess("192.0.2.1").status, 401);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}
