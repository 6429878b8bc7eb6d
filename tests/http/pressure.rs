//! More than the edge can do at once: what waits is bounded, what is beyond it is refused at once,
//! and who asks for little is answered meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use burki_edge::http::{Bounds, Places, Scans};
use burki_edge::sync::Phase;

use super::edge_server::{Edge, KEY, Received, Upstream};

const EXPORT: &str = "/api/v1/calls/export";
const LIST: &str = "/api/v1/calls?limit=50";
const BY_ID: &str = "/api/v1/calls/5";

/// It looks through all names, of which there is no end.
const ENDLESS: &str = "/api/v1/calls?assistant_name=nobody";

/// 50,000 calls, more than what lies between the two ends of a connection, and names without end.
const WITHOUT_END: &str = "
    WITH RECURSIVE n(id) AS (VALUES (1) UNION ALL SELECT id + 1 FROM n WHERE id < 50000)
    INSERT INTO calls (id, call_sid, status, started_at, open, seen_at, request_seq, change_seq,
        body_hash, body)
    SELECT id, 'CA' || id, 'completed', id * 1000000, 0, 0, 1, id + 1000, id,
        json_object('id', id, 'call_sid', 'CA' || id, 'status', 'completed',
            'assistant_name', hex(zeroblob(400)))
    FROM n;
    DROP TABLE names;
    CREATE VIEW names (name, calls) AS
        WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
        SELECT 'name ' || i, 1 FROM n";

/// Nobody is refused for having waited, and no scan ends, as long as a test takes; though it ends
/// before long, as it takes a core from other tests.
const PATIENT: Bounds = Bounds {
    at_once: 1,
    line: 3,
    export_line: 3,
    patience: Duration::from_secs(60),
    limit: Duration::from_secs(15),
};

/// An edge that has read a call worth compressing, and was given more behind its back.
async fn overloaded(bounds: Bounds) -> (Edge, Scans) {
    let upstream = Upstream::default();
    let text = "x".repeat(2000);
    upstream.put(&format!(
        r#"{{"id":90000,"call_sid":"new","status":"completed","started_at":"2026-11-20T09:00:00Z","text":"{text}"}}"#
    ));
    let mut scans = None;
    let edge = Edge::start(upstream, |shared| {
        shared.scans = Scans::within(&shared.readers, bounds);
        scans = Some(shared.scans.clone());
    });
    edge.until(|status| status.phase == Phase::Live).await;
    let file = rusqlite::Connection::open(edge.file()).unwrap();
    file.execute_batch(WITHOUT_END).unwrap();
    (edge, scans.unwrap())
}

/// Asks, and does not read.
fn ask(edge: &Edge, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

async fn until(reached: impl Fn() -> bool) {
    let asking = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !reached() {
            tick.tick().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), asking).await;
    in_time.expect("in time");
}

fn assert_refused(answer: &Received) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(answer.body.starts_with(r#"{"detail":"#), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_beyond_the_queue_is_refused_at_once() {
    let (edge, scans) = overloaded(PATIENT).await;
    let asked: Vec<TcpStream> = (0..4).map(|_| ask(&edge, ENDLESS)).collect();
    until(|| scans.waiting() == 3).await;
    for path in [LIST, "/api/v1/calls/count", "/edge/changes", EXPORT] {
        assert_refused(&edge.get(path));
    }
    for path in [BY_ID, "/healthz", "/readyz", "/edge/status"] {
        assert_eq!(edge.get(path).status, 200, "{path}");
    }
    assert_eq!(scans.waiting(), 3, "nobody had waited too long");
    drop(asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_it_waits_is_out_of_the_line() {
    let (edge, scans) = overloaded(PATIENT).await;
    let asked: Vec<TcpStream> = (0..4).map(|_| ask(&edge, ENDLESS)).collect();
    until(|| scans.waiting() == 3).await;
    drop(asked);
    until(|| scans.waiting() == 0).await;
    let _next: Vec<TcpStream> = (0..3).map(|_| ask(&edge, LIST)).collect();
    until(|| scans.waiting() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_beyond_the_line_is_refused_at_once_and_lists_go_on() {
    let (edge, scans) = overloaded(PATIENT).await;
    let asked: Vec<TcpStream> = (0..4).map(|_| ask(&edge, EXPORT)).collect();
    until(|| scans.exports_waiting() == 3).await;
    assert_refused(&edge.get(EXPORT));
    let list = edge.get(LIST);
    assert_eq!(list.status, 200, "{}", list.body);
    assert_eq!(scans.exports_waiting(), 3);
    drop(asked);
    until(|| scans.exports_waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressing_takes_a_turn_too() {
    let one_waits = Bounds { line: 1, ..PATIENT };
    let (edge, scans) = overloaded(one_waits).await;
    let gzip = [("Accept-Encoding", "gzip")];
    let list = edge.get(LIST);
    assert_eq!(list.status, 200, "{}", list.body);
    let _asked: Vec<TcpStream> = (0..2).map(|_| ask(&edge, ENDLESS)).collect();
    until(|| scans.waiting() == 1).await;
    // It is kept as it was asked for, and is still to be compressed.
    assert_refused(&edge.get_with(LIST, &gzip));
    let list = edge.get(LIST);
    assert_eq!(list.status, 200, "{}", list.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_read_is_compressed_in_the_same_turn() {
    // Nobody may wait: with another turn to take, some of these would be refused.
    let nobody_waits = Bounds { line: 0, ..PATIENT };
    let (edge, _) = overloaded(nobody_waits).await;
    for n in 0..20 {
        let list = format!("{LIST}&n={n}");
        let answer = edge.get_with(&list, &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-encoding"), Some("gzip"));
    }
}

/// Sends a request on a connection that stays open, and reads the answer's head and what came
/// with it.
fn converse(stream: &mut TcpStream) -> Received {
    let mut piece = [0; 8192];
    let read = stream.read(&mut piece).unwrap();
    Received::read(&piece[..read])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_the_served_is_refused_and_closed_until_one_ends() {
    let upstream = Upstream::default();
    upstream.put(r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":null}"#);
    let edge = Edge::start(upstream, |shared| {
        shared.places = Places::at_most(3);
    });
    edge.until(|status| status.phase == Phase::Live).await;
    // Those that waited for it to be live may not all be gone yet.
    let served: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = ask(&edge, BY_ID);
            assert_eq!(converse(&mut stream).status, 200);
            stream
        })
        .collect();
    // They are read to their end, so that they are closed.
    let refused = edge.send_as_is(
        format!("GET {BY_ID} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n")
            .as_bytes(),
    );
    assert_refused(&refused);
    assert_eq!(refused.header("connection"), Some("close"));
    for path in ["/healthz", "/readyz", "/edge/status"] {
        assert_eq!(edge.get(path).status, 200, "{path}");
    }
    drop(served);
    until(|| edge.get(BY_ID).status == 200).await;
}

/// Pages of 60 MB that nobody reads: four of them are held, no more, and small answers go on.
#[tokio::test(flavor = "multi_thread")]
async fn unread_large_pages_stay_within_their_memory() {
    let upstream = Upstream::default();
    let text = "x".repeat(60_000);
    for id in 1..=1000 {
        upstream.put(&format!(
            r#"{{"id":{id},"call_sid":"CA{id}","status":"completed","started_at":null,"text":"{text}"}}"#
        ));
    }
    let edge = Edge::start(upstream, |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    let request = format!(
        "GET /api/v1/calls?limit=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    let mut unread = Vec::new();
    let mut told = Vec::new();
    for _ in 0..7 {
        let mut stream = TcpStream::connect(edge.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        told.push(String::from_utf8(head.to_vec()).unwrap());
        unread.push(stream);
    }
    assert_eq!(told[..4], ["HTTP/1.1 200"; 4], "{told:?}");
    assert_eq!(told[4..], ["HTTP/1.1 503"; 3], "{told:?}");
    assert_eq!(edge.get("/api/v1/calls?limit=2").status, 200);
    // Who goes away gives it back.
    drop(unread);
    let mut tries = 0;
    while edge.get("/api/v1/calls?limit=1000").status != 200 {
        tries += 1;
        assert!(tries < 100, "it is not given back");
        edge.sync_after(1).await;
    }
}
