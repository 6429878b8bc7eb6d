//! Requests as no client should send them: each is answered or its connection ended, none fails
//! inside the edge, and what they took is given back.
//!
//! `MANGLED_REQUESTS` says how many, 3,000 where nothing is said; `MANGLED_SEED` begins with a seed.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burki_edge::simulator::Flavour;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::edge_process::{KEY, Site, serve, world};

/// Sent at once.
const CLIENTS: u64 = 16;

/// How long an answer is waited for: what is no whole request gets none.
const PATIENCE: Duration = Duration::from_millis(60);

/// What the process may have grown by, in KiB: its caches and its connections' buffers.
const GROWTH: u64 = 96 << 10;

const REQUESTS: [&str; 14] = [
    "GET /api/v1/calls/101 HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "GET /api/v1/calls?limit=10&date_from=2026-01-01T00:00:00Z HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "GET /api/v1/calls/sid/CA1?x=%41 HTTP/1.1\r\nHost: x\r\nAUTH\r\nIf-None-Match: \"a\", W/\"b\"\r\n\r\n",
    "HEAD /api/v1/calls/export?status=failed HTTP/1.1\r\nHost: x\r\nAUTH\r\nAccept-Encoding: gzip;q=0.5\r\n\r\n",
    "GET /api/v1/calls/count HTTP/1.0\r\nAUTH\r\nConnection: keep-alive\r\n\r\n",
    "PATCH /api/v1/calls/101/metadata HTTP/1.1\r\nHost: x\r\nAUTH\r\nContent-Length: 20\r\n\r\n{\"metadata\":{\"a\":1}}",
    "PATCH /api/v1/calls/101/metadata HTTP/1.1\r\nHost: x\r\nAUTH\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{\"metadata\":{\"a\":1}}\r\n0\r\n\r\n",
    "POST /edge/sync HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "GET /edge/changes?after=0&limit=5 HTTP/1.1\r\nHost: x\r\nAUTH\r\n\r\n",
    "POST /edge/webhooks/0123456789abcdef HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"call_id\":1}",
    "OPTIONS /api/v1/calls HTTP/1.1\r\nHost: x\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\r\n",
    "GET /../x/%2e%2e/%2f HTTP/1.1\r\nHost: x\r\nAUTH\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /api/v1/calls/101/transcripts HTTP/1.1\r\nHost: x\r\nAUTH\r\nCache-Control: no-cache, max-age=0\r\nRange: bytes=0-5\r\n\r\n",
];

const PIECES: [&str; 12] = [
    "\r\n",
    "\n",
    "\0",
    ":",
    " ",
    "%00",
    "\u{fffd}",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Content-Length: -1\r\n",
    "Expect: 100-continue\r\n",
    "ffffffffffffffff\r\n",
];

fn mangled(random: &mut StdRng) -> Vec<u8> {
    let request = REQUESTS.choose(random).unwrap();
    let authorization = format!("Authorization: Bearer {KEY}");
    let mut bytes = request.replace("AUTH", &authorization).into_bytes();
    for _ in 0..random.random_range(0..4) {
        let at = random.random_range(0..=bytes.len());
        let end = (at + random.random_range(1..30)).min(bytes.len());
        match random.random_range(0..5) {
            0 => _ = bytes.drain(at..end),
            1 => {
                let again = bytes[at..end].repeat(random.random_range(1..200));
                bytes.splice(at..at, again);
            }
            2 => {
                let piece = PIECES.choose(random).unwrap();
                bytes.splice(at..at, piece.bytes());
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            _ => bytes.truncate(at),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// What came back, if anything did.
fn sent(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    let Ok(mut stream) = TcpStream::connect(address) else {
        return answer;
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    if stream.write_all(request).is_ok() {
        // Until it ends, or nothing comes any more.
        let _ = stream.read_to_end(&mut answer);
    }
    answer
}

/// Every status line in it is of an answer that the edge means.
fn assert_meant(request: &[u8], answer: &[u8], seed: u64) {
    let answer = String::from_utf8_lossy(answer);
    let shown = || String::from_utf8_lossy(request).escape_debug().to_string();
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1."),
        "MANGLED_SEED={seed}: {}: {answer}",
        shown()
    );
    for line in answer.lines().filter(|line| line.starts_with("HTTP/1.")) {
        let code = line.split(' ').nth(1).unwrap_or_default();
        let is_meant = !code.starts_with('5') || ["503", "504"].contains(&code);
        assert!(is_meant, "MANGLED_SEED={seed}: {}: {line}", shown());
    }
}

/// In KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let number = line.split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn mangled_requests_are_answered_or_ended_and_leave_nothing_behind() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let count = number("MANGLED_REQUESTS").unwrap_or(3000);
    let first = number("MANGLED_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    println!("{count} requests from seed {first}");
    let simulator = serve(world(Flavour::Hosted, 300));
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_WEBHOOKS__SECRET", "0123456789abcdef");
    site.set("BURKI_EDGE_SERVER__CORS_ORIGINS", "https://a.example");
    let edge = site.serve_all();
    let (address, process) = (edge.address, edge.process.id());
    let send = |from: u64, requests: u64| {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let turn = next.fetch_add(1, Ordering::Relaxed) as u64;
                        if turn >= requests {
                            break;
                        }
                        let seed = from + turn;
                        let request = mangled(&mut StdRng::seed_from_u64(seed));
                        assert_meant(&request, &sent(address, &request), seed);
                    }
                });
            }
        });
    };
    // What is kept of the first stays; then it is to stay as it is.
    send(first, count / 10);
    let before = resident(process);
    send(first + count / 10, count - count / 10);
    let after = resident(process);
    println!("{before} KiB, then {after} KiB");
    assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
    assert_eq!(edge.get("/healthz").await.status, 200);
    assert_eq!(edge.get("/api/v1/calls?limit=1").await.status, 200);
    let log = edge.stop().stderr;
    assert!(!log.contains("panic"), "{log}");
}
