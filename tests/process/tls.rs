//! Over TLS: a client that trusts the certificate is served, plain HTTP is not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use burki_edge::simulator::Flavour;
use reqwest::Certificate;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::edge_process::{Edge, KEY, Site, answer, calls, client, serve, until, world};

#[tokio::test]
async fn a_client_that_trusts_the_certificate_reads_a_call() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    site.write("cert.pem", &made.cert.pem());
    site.write("key.pem", &made.signing_key.serialize_pem());
    site.write(
        "config.toml",
        "[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n",
    );
    let mut edge = Edge::of(site.start(&["serve"]), "https");
    edge.process.logs("phase=Live");

    let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let trusting = client(reqwest::Client::builder().tls_certs_only([root]));
    for call in calls(&simulator) {
        let url = format!("{}/api/v1/calls/{}", edge.url, call.id);
        let answer = answer(trusting.get(url).bearer_auth(KEY)).await;
        assert_eq!((answer.status, answer.body), (200, call.text));
    }

    let stranger = client(reqwest::Client::builder());
    let health = |scheme: &str| format!("{scheme}://{}/healthz", edge.address);
    assert!(stranger.get(health("https")).send().await.is_err());
    assert!(stranger.get(health("http")).send().await.is_err());

    let refused = site.run(&["status", "--url", &edge.url]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("no edge answers at"));
    assert!(!refused.stderr.contains("upstream"), "{}", refused.stderr);
    site.set("SSL_CERT_FILE", "cert.pem");
    let status = site.run(&["status", "--url", &edge.url]);
    assert_eq!((status.code, &*status.stderr), (Some(0), ""));
    edge.stop();
}

/// As long as a client may take where there is no crowd.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How long a connection stays open on which nothing is said.
async fn until_closed(address: SocketAddr) -> Duration {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = Instant::now();
    // Closed in good order, or not.
    let _ = stream.read(&mut [0; 100]).await;
    begun.elapsed()
}

/// More than an address may have: the one that has waited for longest goes at once, not after the
/// time of a handshake, and whoever has a token is served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn who_never_ends_a_handshake_keeps_nobody_out() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    site.write("cert.pem", &made.cert.pem());
    site.write("key.pem", &made.signing_key.serialize_pem());
    site.write(
        "config.toml",
        "[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n",
    );
    let mut edge = Edge::of(site.start(&["serve"]), "https");
    edge.process.logs("phase=Live");
    let silent: Vec<_> = (0..1100)
        .map(|_| tokio::spawn(until_closed(edge.address)))
        .collect();
    let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let trusting = client(reqwest::Client::builder().tls_certs_only([root]));
    let id = calls(&simulator)[0].id;
    let url = format!("{}/api/v1/calls/{id}", edge.url);
    let answer = answer(trusting.get(url).bearer_auth(KEY)).await;
    assert_eq!(answer.status, 200);
    let mut hurried = 0;
    for stranger in silent {
        let took = stranger.await.unwrap();
        assert!(took < Duration::from_secs(20), "{took:?}");
        hurried += usize::from(took < HANDSHAKE);
    }
    assert!(
        hurried > 500,
        "{hurried} of 1100 did not have the whole time"
    );
    edge.stop();
}

/// Certificates are renewed while an edge runs.
#[tokio::test]
async fn a_hangup_reloads_the_certificate_or_keeps_the_old_one() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let write = |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        site.write("cert.pem", &made.cert.pem());
        site.write("key.pem", &made.signing_key.serialize_pem());
    };
    let made = || rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (first, second) = (made(), made());
    write(&first);
    site.write(
        "config.toml",
        "[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n",
    );
    let mut edge = Edge::of(site.start(&["serve"]), "https");
    let is_shown = async |made: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        let trusting = client(reqwest::Client::builder().tls_certs_only([root]));
        let health = format!("{}/healthz", edge.url);
        trusting.get(health).send().await.is_ok()
    };
    assert!(is_shown(&first).await && !is_shown(&second).await);
    write(&second);
    edge.process.hang_up();
    edge.process.logs("the configuration was read again");
    assert!(is_shown(&second).await && !is_shown(&first).await);
    site.write("key.pem", &first.signing_key.serialize_pem());
    edge.process.hang_up();
    let told = edge.process.logs("all stays as it was");
    assert!(told.contains("do not fit together"), "{told}");
    assert!(is_shown(&second).await);
    edge.stop();
}

#[test]
fn a_certificate_file_without_a_certificate_is_refused_by_its_name() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    site.write("cert.pem", &made.cert.pem());
    site.write("key.pem", &made.signing_key.serialize_pem());
    site.write("other.pem", &other.signing_key.serialize_pem());
    for (cert, key, parts) in [
        ("key.pem", "key.pem", &["server.tls_cert: key.pem"][..]),
        ("cert.pem", "cert.pem", &["server.tls_key: cert.pem"]),
        (
            "cert.pem",
            "other.pem",
            &["cert.pem and other.pem", "do not fit together"],
        ),
    ] {
        let toml = format!("[server]\ntls_cert = {cert:?}\ntls_key = {key:?}\n");
        site.write("config.toml", &toml);
        let ended = site.run(&["serve"]);
        assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
        for part in parts {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
        assert!(!ended.stderr.contains("PRIVATE KEY"));
    }
}

/// A certificate for this machine, from an authority that is trusted, until that day.
fn certificate(expires: (i32, u8, u8)) -> (String, String) {
    let mut made = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    made.not_before = rcgen::date_time_ymd(2019, 1, 1);
    made.not_after = rcgen::date_time_ymd(expires.0, expires.1, expires.2);
    let key = rcgen::KeyPair::generate().unwrap();
    (made.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn an_upstreams_certificate_that_has_expired_is_told_as_that() {
    let simulator = serve(world(Flavour::Hosted, 10));
    for (expires, kind) in [((2099, 1, 1), None), ((2020, 1, 1), Some("tls"))] {
        let upstream = Site::of(&simulator);
        let (cert, key) = certificate(expires);
        upstream.write("cert.pem", &cert);
        upstream.write("key.pem", &key);
        upstream.write(
            "config.toml",
            "[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n",
        );
        let mut there = Edge::of(upstream.start(&["serve"]), "https");
        there.process.logs("phase=Live");

        let mut site = Site::of(&simulator);
        site.write("cert.pem", &cert);
        site.set("SSL_CERT_FILE", "cert.pem");
        site.set("BURKI_EDGE_UPSTREAM__BASE_URL", &there.url);
        let edge = site.serve();
        let mut status = serde_json::Value::Null;
        until_told(&edge, kind, &mut status).await;
        let error = &status["upstream"]["last_error"];
        assert_eq!(error["kind"].as_str(), kind, "{status:#}");
        if kind.is_some() {
            let hint = error["hint"].as_str().unwrap();
            assert!(hint.contains("has not expired"), "{hint}");
        }
        edge.stop();
        there.stop();
    }
}

async fn until_told(edge: &Edge, kind: Option<&str>, status: &mut serde_json::Value) {
    until(async || {
        *status = edge.status().await;
        match kind {
            Some(_) => !status["upstream"]["last_error"].is_null(),
            None => status["upstream"]["state"] == "online",
        }
    })
    .await;
}
