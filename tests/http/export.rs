//! Exports: the file, and how it gets to a client that takes its time.

use std::io::{Read, Write};
use std::net::TcpStream;

use burki_edge::upstream::ErrorKind;
use serde_json::Value;

use super::edge_server::{Beginning, Edge, KEY, Received, Upstream};
use super::surface::all_captures;

const EXPORT: &str = "/api/v1/calls/export";

/// 50,000 calls with long names: more than what lies between the two ends of a connection.
pub const MANY: Beginning = Beginning {
    history: None,
    details: std::collections::BTreeSet::new(),
    sql: "WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < 50000)
          INSERT INTO calls (id, call_sid, status, started_at, open, seen_at, request_seq,
              change_seq, body_hash, body)
          SELECT id, 'CA' || id, 'completed', id * 1000000, 0, 0, 1, id, id,
              json_object('id', id, 'call_sid', 'CA' || id, 'status', 'completed',
                  'assistant_name', hex(zeroblob(400)))
          FROM n",
};

async fn with_many() -> Edge {
    let upstream = Upstream::default();
    upstream.fail(ErrorKind::Unreachable);
    let edge = Edge::start_from(upstream, MANY, |_| {});
    edge.until(|status| status.consecutive_errors > 0).await;
    edge
}

/// Begins an export and reads the first of it.
fn begin(edge: &Edge) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let request = format!(
        "GET {EXPORT} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = vec![0; 4096];
    let read = stream.read(&mut first).unwrap();
    first.truncate(read);
    (stream, first)
}

fn header(answer: &Received) -> (Option<&str>, Option<&str>) {
    (
        answer.header("content-type"),
        answer.header("content-disposition"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_captured_files_come_out_byte_for_byte() {
    let captures = all_captures();
    let captured = |path: &str| {
        let found = captures.iter().find(|capture| capture.request.path == path);
        &found.unwrap().response
    };
    let json = captured("/api/v1/calls/export?format=json&date_from=2026-11-21");
    let csv = captured("/api/v1/calls/export?date_from=2026-11-21");
    let calls: Vec<Value> = serde_json::from_str(&json.body).unwrap();
    let upstream = Upstream::default();
    for call in &calls {
        upstream.put(&call.to_string());
    }
    upstream.put(
        r#"{"id":1,"call_sid":"CA1","status":"completed","started_at":"2026-11-20T23:59:59"}"#,
    );
    let edge = Edge::synced(upstream).await;
    for (path, captured) in [
        ("?format=json&date_from=2026-11-21", json),
        ("?date_from=2026-11-21", csv),
        ("/?format=csv&date_from=2026-11-21", csv),
    ] {
        let answer = edge.get(&format!("{EXPORT}{path}"));
        assert!(answer.is_whole);
        assert_eq!(answer.body, captured.body, "{path}");
        for name in ["content-type", "content-disposition"] {
            let expected = captured.headers.get(name).map(String::as_str);
            assert_eq!(answer.header(name), expected, "{path}");
        }
        assert_eq!(answer.header("burki-edge-coverage"), Some("complete"));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        assert_eq!(answer.age(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_nothing_is_a_head_or_an_empty_array() {
    let edge = Edge::synced(Upstream::default()).await;
    let answer = edge.get(EXPORT);
    assert_eq!(
        answer.body,
        "Call ID,Call SID,Assistant Name,Customer Phone,Status,Duration (seconds),Started At,Ended At\r\n"
    );
    let head = edge.head_with(EXPORT, &[]);
    assert_eq!((head.status, header(&head)), (200, header(&answer)));
    assert_eq!(head.bytes, b"");
    assert_eq!(edge.get("/api/v1/calls/export?format=json").body, "[]");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_narrowed_like_a_list_but_never_paged() {
    let upstream = Upstream::default();
    for id in 0..30 {
        let status = if id % 3 == 0 { "failed" } else { "completed" };
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"{status}","started_at":"2026-11-20T09:00:{id:02}"}}"#
        ));
    }
    let edge = Edge::synced(upstream).await;
    for (query, lines) in [
        ("status=failed", 10),
        ("call_sid=ca2", 11),
        ("date_from=2026-11-20T09:00:20&status=completed", 7),
        // These are a list's.
        ("limit=2&skip=x&min_duration=9", 30),
    ] {
        let answer = edge.get(&format!("{EXPORT}?{query}"));
        assert_eq!(answer.body.lines().count(), 1 + lines, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_export_arrives_while_it_is_read() {
    let edge = with_many().await;
    let (mut stream, mut received) = begin(&edge);
    // The oldest call is exported last: what it says now must not have been read yet.
    let file = rusqlite::Connection::open(edge.file()).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(5))
        .unwrap();
    let change = "UPDATE calls SET body = json_set(body, '$.status', 'changed') WHERE id = 1";
    file.execute(change, []).unwrap();
    stream.read_to_end(&mut received).unwrap();
    let answer = Received::read(&received);
    assert!(answer.is_whole);
    let mut lines = answer.body.lines();
    assert_eq!(
        lines.next_back().unwrap().split(',').nth(4),
        Some("changed")
    );
    let mut next = 50_000;
    for line in lines.skip(1) {
        assert!(line.starts_with(&format!("{next},CA{next},00")), "{next}");
        next -= 1;
    }
    assert_eq!(next, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_exports_delay_no_list_and_a_gone_client_frees_its_place() {
    let edge = with_many().await;
    let slow = [begin(&edge), begin(&edge)];
    assert_eq!(edge.get("/api/v1/calls?limit=1").status, 200);
    assert_eq!(edge.get("/api/v1/calls/count").status, 200);
    let third = edge.get(EXPORT);
    assert_eq!(
        (third.status, third.header("retry-after")),
        (503, Some("1"))
    );
    drop(slow);
    // As soon as the next piece can't be handed over.
    let again = (0..20).any(|_| {
        edge.head_with(EXPORT, &[]).status == 200 && {
            // The file's books know nothing of rows that were not written by the writer.
            let instant = "1970-01-01T13:53:19";
            let dates = format!("date_from={instant}&date_to={instant}");
            let narrow = edge.get(&format!("/api/v1/calls/export?{dates}"));
            narrow.status == 200 && narrow.body.lines().count() == 2
        }
    });
    assert!(again);
}
