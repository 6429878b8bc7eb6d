//! Who has no token costs nobody who has one: what connections without one may take, how many
//! there may be of them, and for how long.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use burki_edge::sync::Phase;

use super::edge_server::{Edge, KEY, Received, Upstream};

const CALL: &str = r#"{"id":5,"call_sid":"CA5","status":"completed","started_at":null}"#;
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

/// Within so long a call is answered meanwhile: there are 1,200 of them on two cores, and what they
/// send is read too.
const ANSWERED: Duration = Duration::from_secs(3);

/// Within so long each of them has to be gone.
const GONE: Duration = Duration::from_secs(8);

async fn edge() -> Edge {
    let edge = Edge::start(Upstream::holding(&[CALL]), |_| {});
    edge.until(|status| status.phase == Phase::Live).await;
    edge
}

fn connect(edge: &Edge) -> TcpStream {
    let stream = TcpStream::connect(edge.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n")
}

/// Reads one answer, whose body has a length.
fn answer(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let received = Received::read(&bytes);
            let length = received
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            if bytes.len() == head + 4 + length {
                return received;
            }
        }
        let read = stream.read(&mut piece).expect("an answer in time");
        assert!(
            read > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&bytes)
        );
        bytes.extend_from_slice(&piece[..read]);
    }
}

/// Waits for the end of the first, no longer than a turn.
fn wait_a_turn(strangers: &mut [TcpStream]) {
    let Some(stranger) = strangers.first_mut() else {
        return;
    };
    stranger.set_nonblocking(false).unwrap();
    let turn = Some(Duration::from_millis(200));
    stranger.set_read_timeout(turn).unwrap();
    let _ = stranger.read(&mut [0]);
}

/// Whether the edge has ended it, after reading all that it said.
fn is_ended(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut piece = [0; 65536];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

/// While these are open a call is answered in time, and within eight seconds they are gone,
/// whatever they go on to send.
fn assert_they_cost_nobody(edge: &Edge, strangers: &mut Vec<TcpStream>, drip: Option<&[u8]>) {
    let begun = Instant::now();
    while !strangers.is_empty() {
        assert!(begun.elapsed() < GONE, "{} are left", strangers.len());
        let asked = Instant::now();
        let mut reader = connect(edge);
        reader
            .write_all(request("/api/v1/calls/5").as_bytes())
            .unwrap();
        let answered = answer(&mut reader);
        assert_eq!((answered.status, answered.body.as_str()), (200, CALL));
        assert!(asked.elapsed() < ANSWERED, "{:?}", asked.elapsed());
        wait_a_turn(strangers);
        if let Some(drip) = drip {
            for stranger in &mut *strangers {
                let _ = stranger.write_all(drip);
            }
        }
        strangers.retain_mut(|stranger| !is_ended(stranger));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_head_that_never_ends_locks_nobody_out() {
    let edge = edge().await;
    let mut strangers: Vec<_> = (0..1200)
        .map(|_| {
            let mut stream = connect(&edge);
            let begun = format!("{HEALTH}GET /healthz HTTP/1.1\r\nHo");
            let _ = stream.write_all(begun.as_bytes());
            stream
        })
        .collect();
    assert_they_cost_nobody(&edge, &mut strangers, Some(b"a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_lock_nobody_out() {
    let edge = edge().await;
    let many = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let mut strangers: Vec<_> = (0..1200)
        .map(|_| {
            let mut stream = connect(&edge);
            let _ = stream.write_all(many.as_bytes());
            stream
        })
        .collect();
    // They end though nobody reads: what the system holds for them is read only then.
    let begun = Instant::now();
    while begun.elapsed() < GONE {
        let asked = Instant::now();
        let mut reader = connect(&edge);
        reader
            .write_all(request("/api/v1/calls/5").as_bytes())
            .unwrap();
        assert_eq!(answer(&mut reader).status, 200);
        assert!(asked.elapsed() < ANSWERED, "{:?}", asked.elapsed());
        wait_a_turn(&mut [reader]);
    }
    for stranger in &mut strangers {
        assert!(is_ended(stranger));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_byte_by_byte_locks_nobody_out() {
    let edge = edge().await;
    let head =
        "POST /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n";
    let mut strangers: Vec<_> = (0..1200)
        .map(|_| {
            let mut stream = connect(&edge);
            let _ = stream.write_all(head.as_bytes());
            stream
        })
        .collect();
    assert_they_cost_nobody(&edge, &mut strangers, Some(b"a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_slow_is_told_so() {
    let edge = edge().await;
    for first in ["", HEALTH] {
        let mut stream = connect(&edge);
        if !first.is_empty() {
            stream.write_all(first.as_bytes()).unwrap();
            assert_eq!(answer(&mut stream).status, 200);
        }
        stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
        let begun = Instant::now();
        let told = answer(&mut stream);
        assert_eq!(told.status, 408);
        assert_eq!(told.header("connection"), Some("close"));
        assert!(begun.elapsed() < GONE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_showed_a_token_keeps_the_connection_and_is_told_for_how_long() {
    let edge = edge().await;
    let mut stranger = connect(&edge);
    stranger.write_all(HEALTH.as_bytes()).unwrap();
    assert_eq!(
        answer(&mut stranger).header("keep-alive"),
        Some("timeout=5")
    );
    let mut reader = connect(&edge);
    reader
        .write_all(request("/api/v1/calls/5").as_bytes())
        .unwrap();
    assert_eq!(answer(&mut reader).header("keep-alive"), Some("timeout=75"));
    let begun = Instant::now();
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "it is ended");
    let waited = begun.elapsed();
    assert!(
        (Duration::from_secs(4)..GONE).contains(&waited),
        "{waited:?}"
    );
    assert!(!is_ended(&mut reader));
    reader.set_nonblocking(false).unwrap();
    reader
        .write_all(request("/api/v1/calls/5").as_bytes())
        .unwrap();
    assert_eq!(answer(&mut reader).body, CALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_stranger_no_body_is_read_and_the_refusal_is_still_received() {
    let edge = edge().await;
    let mut stream = connect(&edge);
    let length = 1 << 20;
    let head = format!(
        "PATCH /api/v1/calls/5/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let told = answer(&mut stream);
    assert_eq!(
        (told.status, told.header("connection")),
        (401, Some("close"))
    );
    // The rest of it is taken without a reset, for a while.
    let _ = stream.write_all(&vec![b' '; 1000]);
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap(), 0);
}
