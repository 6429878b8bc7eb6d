//! The machine around it: a log that can't be written, a file that goes away, other keys, proxies,
//! signals, and a second of everything.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use burki_edge::config::token_digest;
use burki_edge::simulator::{Fault, Flavour};

use super::edge_process::{Edge, KEY, Site, answer, client, serve, until, world};

/// Whatever clients do, it has ended by then.
const STOPS: Duration = Duration::from_secs(8);

const TOKEN: &str = "burki_edge_a_token_of_the_edges_own";
const OTHER_KEY: &str = "burki_9876543210zyxwvutsrqponmlkjihgfe";

fn tokens(token: &str) -> String {
    let digest = hex::encode(token_digest(token));
    format!("[[auth.tokens]]\nname = \"ci\"\nsha256 = \"{digest}\"\n")
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Its log is full, as where it is on the disk that is, or its reader has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cant_be_written_costs_lines_and_not_the_edge() {
    let simulator = serve(world(Flavour::Hosted, 100));
    for has_reader in [true, false] {
        let mut site = Site::of(&simulator);
        let port = free_port();
        site.set("BURKI_EDGE_SERVER__LISTEN", &format!("127.0.0.1:{port}"));
        site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
        site.set("RUST_LOG", "trace");
        let mut command = site.command(&["serve"]);
        let mut child = match has_reader {
            true => {
                let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
                command.stderr(full).spawn().unwrap()
            }
            false => {
                let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
                drop(child.stderr.take());
                child
            }
        };
        let url = format!("http://127.0.0.1:{port}/readyz");
        let client = client(reqwest::Client::builder());
        let is = async |code: u16| {
            let ready = client.get(&url).send().await;
            ready.is_ok_and(|ready| ready.status() == code)
        };
        until(async || is(200).await).await;
        // What is told now can't be.
        simulator.faults().always(Fault::ServerError);
        simulator.clear_requests();
        until(async || simulator.count_requests("") > 3).await;
        assert!(is(200).await);
        simulator.faults().clear();
        let term = format!("kill -s TERM {}", child.id());
        Command::new("sh").args(["-c", &term]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{has_reader}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_or_replaced_file_is_noticed_and_loses_nothing() {
    let simulator = serve(world(Flavour::Hosted, 100));
    for replaced in [false, true] {
        let mut site = Site::of(&simulator);
        site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
        site.set("BURKI_EDGE_WRITES__QUEUE", "true");
        let edge = site.serve_all();
        let id = simulator.world().newest(1)[0];
        until(async || edge.get("/readyz").await.status == 200).await;
        let aside = site.folder().join("aside");
        fs::rename(site.replica(), &aside).unwrap();
        if replaced {
            fs::copy(&aside, site.replica()).unwrap();
        }
        simulator.cut();
        let path = format!("{}/api/v1/calls/{id}/metadata", edge.url);
        let change = client(reqwest::Client::builder()).patch(path);
        let change = change.bearer_auth(KEY).body(r#"{"metadata":{"a":1}}"#);
        let told = answer(change).await;
        // It is not acknowledged, whether or not it may have reached the upstream.
        assert!(
            [503, 504].contains(&told.status),
            "{}: {}",
            told.status,
            told.body
        );
        until(async || edge.get("/readyz").await.status == 503).await;
        let ready = edge.get("/readyz").await;
        assert!(ready.body.contains("removed, replaced"), "{}", ready.body);
        let status = edge.status().await;
        assert_eq!(status["upstream"]["last_error"]["kind"], "store");
        assert_eq!(status["sync"]["freshness_bound_s"], serde_json::Value::Null);
        // What it has is served on.
        let call = edge.get(&format!("/api/v1/calls/{id}")).await;
        assert_eq!(call.status, 200);
        simulator.faults().restore();
        fs::rename(&aside, site.replica()).unwrap();
        until(async || edge.get("/readyz").await.status == 200).await;
        edge.stop();
    }
}

/// Also its log, the index of that, and the lock.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_from_beside_the_file_is_noticed() {
    let simulator = serve(world(Flavour::Hosted, 100));
    for end in ["-wal", "-shm", ".lock"] {
        let mut site = Site::of(&simulator);
        site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
        let edge = site.serve_all();
        until(async || edge.get("/readyz").await.status == 200).await;
        let mut path = site.replica().into_os_string();
        path.push(end);
        fs::remove_file(&path).unwrap();
        until(async || edge.get("/readyz").await.status == 503).await;
        let ready = edge.get("/readyz").await;
        assert!(ready.body.contains("removed, replaced"), "{}", ready.body);
        let told = edge.stop().stderr;
        assert!(!told.contains("can be written again"), "{told}");
    }
}

/// Standard output and standard error are one pipe that nobody reads, and more lines wait than are
/// kept: the file is damaged, and each read of it is told.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_whoever_reads_the_log() {
    const READS: usize = 6000;
    let simulator = serve(world(Flavour::Hosted, 100));
    let mut site = Site::of(&simulator);
    let port = free_port();
    site.set("BURKI_EDGE_SERVER__LISTEN", &format!("127.0.0.1:{port}"));
    let (unread, log) = std::io::pipe().unwrap();
    let mut command = site.command(&["serve"]);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().unwrap();
    let url = format!("http://127.0.0.1:{port}/readyz");
    let client = client(reqwest::Client::builder());
    let is = async |code: u16| {
        let ready = client.get(&url).send().await;
        ready.is_ok_and(|ready| ready.status() == code)
    };
    until(async || is(200).await).await;
    let whole = fs::read(site.replica()).unwrap();
    fs::write(site.replica(), vec![b'x'; whole.len()]).unwrap();
    let mut reader = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let read =
        format!("GET /api/v1/calls/5 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let mut answer = [0; 4096];
    for _ in 0..READS {
        reader.write_all(read.as_bytes()).unwrap();
        let length = reader.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 500"));
    }
    assert!(is(503).await, "it is not ready");
    let begun = Instant::now();
    let term = format!("kill -s TERM {}", child.id());
    Command::new("sh").args(["-c", &term]).status().unwrap();
    until(async || child.try_wait().unwrap().is_some()).await;
    assert!(begun.elapsed() < STOPS, "{:?}", begun.elapsed());
    drop(unread);
}

/// What is no HTTP costs no line: anybody can send it.
#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_send_is_not_logged() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let edge = site.serve_all();
    for head in [
        "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        "\0\r\n\r\n",
        "GET /\r\n\r\n",
    ] {
        for _ in 0..20 {
            let mut stranger = TcpStream::connect(edge.address).unwrap();
            stranger.write_all(head.as_bytes()).unwrap();
            let mut answer = Vec::new();
            let _ = stranger.read_to_end(&mut answer);
        }
    }
    let log = edge.stop().stderr;
    assert!(log.lines().count() < 10, "{log}");
}

async fn status_with(edge: &Edge, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    edge.get_as("/edge/status", Some(&bearer)).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reloads_tokens_origins_and_level_or_keeps_them() {
    let simulator = serve(world(Flavour::Hosted, 100));
    let site = Site::of(&simulator);
    site.write("config.toml", "");
    let mut edge = site.serve_all();
    assert_eq!(status_with(&edge, TOKEN).await, 401);
    let more = format!(
        "[server]\ncors_origins = [\"https://app.example\"]\n[log]\nlevel = \"debug\"\n\
         [store]\naudio_cache = \"0\"\n{}",
        tokens(TOKEN)
    );
    site.write("config.toml", &more);
    edge.process.hang_up();
    edge.process.logs("the configuration was read again");
    let waiting = edge.process.logs("take effect at the next start");
    assert!(waiting.trim_end().ends_with(": store"), "{waiting}");
    assert_eq!(status_with(&edge, TOKEN).await, 200);
    let page = client(reqwest::Client::builder())
        .get(format!("{}/healthz", edge.url))
        .header("Origin", "https://app.example");
    let page = answer(page).await;
    assert_eq!(
        page.header("access-control-allow-origin"),
        "https://app.example"
    );

    for wrong in ["[auth]\ntokens = 5", "[auth", "[sync]\nhistory = 5"] {
        site.write("config.toml", wrong);
        edge.process.hang_up();
        edge.process.logs("all stays as it was");
        assert_eq!(status_with(&edge, TOKEN).await, 200, "{wrong}");
    }
    site.write("config.toml", "");
    edge.process.hang_up();
    edge.process.logs("the configuration was read again");
    assert_eq!(status_with(&edge, TOKEN).await, 401);
    let page = client(reqwest::Client::builder())
        .get(format!("{}/healthz", edge.url))
        .header("Origin", "https://app.example");
    let page = answer(page).await;
    assert_eq!(page.header("access-control-allow-origin"), "");
    assert_eq!(status_with(&edge, KEY).await, 200);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_exchanged_in_its_file_is_used_by_the_sync_and_for_reading() {
    let simulator = serve(world(Flavour::Hosted, 100));
    let mut site = Site::of(&simulator);
    site.unset("BURKI_API_KEY");
    let file = site.write("key", KEY);
    site.set("BURKI_EDGE_UPSTREAM__API_KEY_FILE", file.to_str().unwrap());
    site.set("BURKI_EDGE_SYNC__POLL_INTERVAL", "1s");
    let mut edge = site.serve_all();
    simulator.world().set_api_key(OTHER_KEY);
    until(async || edge.status().await["upstream"]["state"] == "unauthorized").await;
    assert_eq!(status_with(&edge, OTHER_KEY).await, 401);
    site.write("key", &format!("{OTHER_KEY}\n"));
    edge.process.logs("holds another one, which is taken");
    until(async || status_with(&edge, OTHER_KEY).await == 200).await;
    assert_eq!(status_with(&edge, KEY).await, 401);
    let new = simulator.world().start_call(None);
    let bearer = format!("Bearer {OTHER_KEY}");
    let path = format!("/api/v1/calls/{new}");
    until(async || edge.get_as(&path, Some(&bearer)).await.status == 200).await;
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_of_the_environment_is_given_the_key_for_this_machine() {
    let simulator = serve(world(Flavour::Hosted, 100));
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let mut site = Site::of(&simulator);
    let url = format!("http://{}", proxy.local_addr().unwrap());
    for variable in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        site.set(variable, &url);
    }
    let edge = site.serve_all();
    for command in ["status", "release"] {
        let ended = site.run(&[command, "--url", &edge.url]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    edge.stop();
    assert!(proxy.accept().is_err(), "it was asked");
}

#[test]
fn an_upstream_that_is_the_edge_itself_is_refused() {
    let simulator = serve(world(Flavour::Hosted, 10));
    for (listens, asks) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "edge.localhost."),
        ("[::]", "[::1]"),
    ] {
        let mut site = Site::of(&simulator);
        let port = free_port();
        site.set("BURKI_EDGE_SERVER__LISTEN", &format!("{listens}:{port}"));
        let url = format!("http://{asks}:{port}");
        site.set("BURKI_EDGE_UPSTREAM__BASE_URL", &url);
        let ended = site.run(&["serve"]);
        assert_eq!(ended.code, Some(1), "{url}");
        assert!(
            ended.stderr.contains("that is this edge itself"),
            "{}",
            ended.stderr
        );
        assert!(!site.replica().exists(), "nothing was begun");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_of_both_kinds_of_addresses_is_listened_on() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    let port = free_port();
    let both = format!("[\"0.0.0.0:{port}\", \"[::]:{port}\"]");
    site.set("BURKI_EDGE_SERVER__LISTEN", &both);
    let mut edge = site.serve();
    edge.process.logs("phase=Live");
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let address: SocketAddr = address.parse().unwrap();
        let health = client(reqwest::Client::builder()).get(format!("http://{address}/healthz"));
        assert_eq!(answer(health).await.status, 200, "{address}");
    }
    edge.stop();
}

/// Someone fetches an export and reads nothing of it, someone sends half a request, and someone
/// keeps a connection.
#[tokio::test(flavor = "multi_thread")]
async fn it_stops_in_time_whatever_clients_do() {
    let simulator = serve(world(Flavour::Hosted, 20_000));
    let site = Site::of(&simulator);
    let edge = site.serve_all();
    let authorization = format!("Host: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let mut clients = Vec::new();
    for request in [
        format!("GET /api/v1/calls/export HTTP/1.1\r\n{authorization}"),
        "GET /healthz HTTP/1.1\r\nHo".to_owned(),
        format!("GET /api/v1/calls?limit=1 HTTP/1.1\r\n{authorization}"),
        format!("PATCH /api/v1/calls/5/metadata HTTP/1.1\r\nContent-Length: 9\r\n{authorization}"),
    ] {
        let mut client = TcpStream::connect(edge.address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        clients.push(client);
    }
    let mut first = [0; 100];
    clients[0].read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"));
    let begun = Instant::now();
    edge.stop();
    assert!(begun.elapsed() < STOPS, "{:?}", begun.elapsed());
}

/// A copy of the file by itself is one with tables at once, and with everything soon after.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_running_edges_file_is_a_replica() {
    let simulator = serve(world(Flavour::Hosted, 100));
    simulator.faults().always(Fault::ServerError);
    let site = Site::of(&simulator);
    let edge = site.serve();
    let copy = site.folder().join("copy.db");
    fs::copy(site.replica(), &copy).unwrap();
    let tables = rusqlite::Connection::open(&copy).unwrap();
    let calls: i64 = tables
        .query_row("SELECT count(*) FROM calls", [], |row| row.get(0))
        .unwrap();
    assert_eq!(calls, 0);
    edge.stop();
}
