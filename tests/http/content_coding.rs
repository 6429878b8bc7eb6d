//! Compressed answers.

use std::io::Read;

use super::edge_server::{Edge, Received, Upstream};

const LIST: &str = "/api/v1/calls?limit=50";

/// Far more than a kilobyte.
async fn edge() -> Edge {
    let upstream = Upstream::default();
    for id in 0..60 {
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":"2026-11-20T09:00:{id:02}","call_meta":{{"text":"Größe"}}}}"#
        ));
    }
    Edge::synced(upstream).await
}

fn accepting(edge: &Edge, path: &str, codings: &str) -> Received {
    edge.get_with(path, &[("Accept-Encoding", codings)])
}

fn decoded(answer: &Received) -> String {
    let mut text = String::new();
    match answer.header("content-encoding") {
        None => text.push_str(&answer.body),
        Some("gzip") => {
            let mut decoder = flate2::read::GzDecoder::new(&*answer.bytes);
            decoder.read_to_string(&mut text).unwrap();
        }
        Some("zstd") => {
            let plain = zstd::decode_all(&*answer.bytes).unwrap();
            text = String::from_utf8(plain).unwrap();
        }
        Some(other) => panic!("{other}"),
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_comes_in_the_coding_the_client_likes_best() {
    let edge = edge().await;
    let plain = edge.get(LIST);
    assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
    for (codings, coding) in [
        ("identity", None),
        ("br", None),
        ("gzip", Some("gzip")),
        ("gzip;q=0.5, zstd;q=0.4", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("*;q=0, gzip", Some("gzip")),
        ("*;q=0", None),
    ] {
        // Twice: compressed for it, and kept.
        for _ in 0..2 {
            let answer = accepting(&edge, LIST, codings);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("content-encoding"), coding, "{codings}");
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
            let length = answer.bytes.len();
            assert_eq!(answer.header("content-length"), Some(&*length.to_string()));
            assert!(coding.is_none() || length * 4 < plain.bytes.len());
            assert_eq!(decoded(&answer), plain.body, "{codings}");
            let head = edge.head_with(LIST, &[("Accept-Encoding", codings)]);
            assert_eq!(head.sorted_headers(), answer.sorted_headers());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coding_has_a_tag_of_its_own_and_each_is_recognized() {
    let edge = edge().await;
    let tags: Vec<String> = ["identity", "gzip", "zstd"]
        .map(|coding| {
            accepting(&edge, LIST, coding)
                .header("etag")
                .unwrap()
                .to_owned()
        })
        .into();
    let base = tags[0].trim_matches('"').to_owned();
    assert_eq!(tags[1], format!("\"{base}-gz\""));
    assert_eq!(tags[2], format!("\"{base}-zst\""));
    for tag in &tags {
        for codings in ["identity", "gzip", "zstd, gzip"] {
            let headers = [
                ("Accept-Encoding", codings),
                ("If-None-Match", tag.as_str()),
            ];
            let answer = edge.get_with(LIST, &headers);
            assert_eq!((answer.status, &*answer.body), (304, ""), "{tag} {codings}");
            assert_eq!(answer.header("etag"), Some(&**tag));
            assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
            assert_eq!(answer.header("content-encoding"), None);
        }
    }
    let other = format!("\"{base}-br\"");
    let answer = edge.get_with(LIST, &[("If-None-Match", &other)]);
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_answer_stays_as_it_is_and_varies_with_nothing() {
    let edge = edge().await;
    let answer = accepting(&edge, "/api/v1/calls/count", "gzip, zstd");
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("vary"), None);
    assert_eq!(answer.body, r#"{"count":60}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_compressed_on_its_way() {
    let edge = edge().await;
    for format in ["csv", "json"] {
        let path = format!("/api/v1/calls/export?format={format}");
        let plain = edge.get(&path);
        for coding in ["gzip", "zstd"] {
            let answer = accepting(&edge, &path, coding);
            assert_eq!(answer.header("content-encoding"), Some(coding));
            assert!(
                answer.is_whole && decoded(&answer) == plain.body,
                "{path} {coding}"
            );
        }
    }
}
