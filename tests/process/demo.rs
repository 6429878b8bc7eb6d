//! `burki-edge demo`: nothing to set up, and what it says to try works.

use std::path::PathBuf;

use burki_edge::simulator::Flavour;
use burki_edge::store::Reader;
use serde_json::Value;

use super::child::Running;
use super::edge_process::{Answer, Site, answer, client, serve, world};

/// A demo on a free port, with its temporary files in a folder of the test's.
fn start(more: &[&str]) -> (Site, PathBuf, Running) {
    // Only for its folder: the demo brings its own upstream.
    let mut site = Site::of(&serve(world(Flavour::Hosted, 0)));
    let temporary = site.folder().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    site.set("TMPDIR", temporary.to_str().unwrap());
    let arguments = ["demo", "--calls", "200", "--listen", "127.0.0.1:0"];
    let running = site.start(&[&arguments, more].concat());
    (site, temporary, running)
}

fn files_in(folder: &PathBuf) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

async fn get(url: &str, key: &str) -> Answer {
    let client = client(reqwest::Client::builder());
    answer(client.get(url).bearer_auth(key)).await
}

async fn post(url: &str) -> u16 {
    let client = client(reqwest::Client::builder());
    answer(client.post(url)).await.status
}

#[tokio::test]
async fn a_program_reads_from_one_line_all_it_needs_and_leaves_nothing_behind() {
    let (_site, temporary, mut demo) = start(&["--json"]);
    let ready: Value = serde_json::from_str(&demo.prints("{")).unwrap();
    let text = |name: &str| ready[name].as_str().unwrap();
    assert_eq!(files_in(&temporary), 1);
    assert!(PathBuf::from(text("file")).starts_with(&temporary));

    let by_id = format!("{}/api/v1/calls/{}", text("edge"), ready["call_id"]);
    let by_sid = format!("{}/api/v1/calls/sid/{}", text("edge"), text("call_sid"));
    let first = get(&by_id, text("key")).await;
    assert_eq!(first.status, 200);
    assert_eq!(
        post(&format!("{}/simulator/cut", text("upstream"))).await,
        200
    );
    for url in [&by_id, &by_sid] {
        let cut = get(url, text("key")).await;
        assert_eq!((cut.status, &cut.body), (200, &first.body));
    }

    demo.interrupt();
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1);
    assert_eq!(files_in(&temporary), 0);
}

/// One `curl` command as the demo prints it.
#[derive(Debug, PartialEq)]
struct Curl<'a> {
    post: bool,
    key: Option<&'a str>,
    url: &'a str,
}

impl Curl<'_> {
    /// The commands of a line, which is fit for a shell only if this can read all of it.
    fn all(line: &str) -> Vec<Curl<'_>> {
        line.trim().split("; ").map(Curl::one).collect()
    }

    fn one(command: &str) -> Curl<'_> {
        let rest = command.strip_prefix("curl ").unwrap();
        let rest = rest.strip_prefix("-i ").unwrap_or(rest);
        let (post, rest) = match rest.strip_prefix("-X POST ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (key, url) = match rest.strip_prefix("-H 'Authorization: Bearer ") {
            Some(rest) => {
                let (key, url) = rest.split_once("' ").unwrap();
                (Some(key), url)
            }
            None => (None, rest),
        };
        assert!(!url.contains([' ', '\'', '"']) && url.starts_with("http://127.0.0.1:"));
        Curl { post, key, url }
    }

    async fn run(&self) -> Answer {
        let client = client(reqwest::Client::builder());
        let request = match self.post {
            true => client.post(self.url),
            false => client.get(self.url),
        };
        let request = match self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        answer(request).await
    }
}

#[tokio::test]
async fn the_five_commands_it_prints_do_what_it_says_of_them() {
    let (_site, temporary, mut demo) = start(&["--upstream", "self-hosted"]);
    demo.prints("Ctrl-C");
    let printed = demo.printed().to_owned();
    let lines = printed
        .lines()
        .filter(|line| line.trim_start().starts_with("curl "));
    let commands: Vec<Vec<Curl<'_>>> = lines.map(Curl::all).collect();
    assert_eq!(commands.len(), 5, "{printed}");

    let by_id = commands[0][0].run().await;
    assert_eq!(
        (by_id.status, by_id.header("cache-status")),
        (200, "burki-edge; hit")
    );
    let by_sid = commands[1][0].run().await;
    assert_eq!((by_sid.status, by_sid.body), (200, by_id.body.clone()));
    let status: Value = serde_json::from_str(&commands[2][0].run().await.body).unwrap();
    assert_eq!(status["sync"]["phase"], "live");
    assert_eq!(commands[3][0].run().await.body, r#"{"line":"cut"}"#);
    let cut = commands[3][1].run().await;
    assert_eq!((cut.status, &cut.body), (200, &by_id.body));
    assert!(cut.header("age").parse::<u64>().is_ok());
    assert_eq!(commands[4][0].run().await.body, r#"{"line":"up"}"#);
    assert_eq!(commands[4][1].run().await.status, 200);

    demo.interrupt();
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.ends_with("Stopped.\n"));
    assert_eq!(files_in(&temporary), 0);
}

#[test]
fn a_folder_that_was_given_keeps_the_file_and_is_no_other_demos() {
    let (site, _temporary, mut demo) = start(&["--json", "--folder", "kept"]);
    demo.prints("{");
    demo.terminate();
    let ended = demo.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let file = site.folder().join("kept/burki-edge.db");
    assert!(Reader::open(&file).unwrap().totals().unwrap().calls >= 200);

    let again = site.run(&["demo", "--listen", "127.0.0.1:0", "--folder", "kept"]);
    assert_eq!(again.code, Some(1));
    for part in ["--folder", "kept/burki-edge.db", "name another folder"] {
        assert!(again.stderr.contains(part), "{part}: {}", again.stderr);
    }
}
