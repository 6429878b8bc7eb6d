//! Recordings: heard once, they are heard again without the upstream, and only whole ones are.

use burki_edge::model::Timestamp;
use futures_util::future::join_all;

use super::edge_and_upstream::{Answer, TOKEN};
use super::studio::{Play, Stage};

/// Larger than what is read or written at once.
fn audio() -> Vec<u8> {
    (0..700_001_u32).map(|at| (at % 251) as u8).collect()
}

fn provenance(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("cache-status"))
}

const STORED: &str = "burki-edge; fwd=miss; stored";
const HIT: &str = "burki-edge; hit";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_heard_once_plays_without_the_upstream() {
    let stage = Stage::with(&[]).await;
    let (site, (id, path)) = (&stage.site, stage.recording());
    stage.studio.play(Play::Audio(audio()));
    // As spelled by a client that asks for a part: the whole is fetched.
    let lenient = format!("/api/v1/calls/+{id}.0/recording/007/play/");
    let part = [("range", "bytes=10-19")];
    let first = site.ask("GET", &lenient, &part, None).await;
    assert_eq!(provenance(&first), (206, Some(STORED)), "{first:?}");
    assert_eq!(first.body, audio()[10..20]);
    assert_eq!(stage.studio.asked(), [(path.clone(), None)]);
    let whole = site.get(&path).await;
    assert_eq!(provenance(&whole), (200, Some(HIT)));
    assert_eq!(whole.body, audio());
    assert_eq!(whole.header("content-type"), Some("audio/wav;codec=1"));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-length"), Some("700001"));
    assert_eq!(whole.header("cache-control"), Some("private, no-cache"));
    let age: u64 = whole.header("age").unwrap().parse().unwrap();
    assert!(age <= 30, "{age}");

    stage.cut().await;
    let offline = site.get(&path).await;
    assert_eq!(offline.body, audio());
    let told = offline.header("cache-status").unwrap();
    assert!(told.ends_with("detail=offline"), "{told}");
    let fresh = [("cache-control", "no-cache")];
    assert_eq!(site.ask("GET", &path, &fresh, None).await.status, 200);
    let missing = site.get(&path.replace("/7/", "/8/")).await;
    assert_eq!(missing.status, 503);
    assert!(missing.text().contains("does not hold this recording"));
    assert!(missing.header("retry-after").is_some());
    assert_eq!(stage.studio.asked(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_gets_the_parts_it_asks_for_and_what_it_has_is_not_sent_again() {
    let stage = Stage::with(&[]).await;
    let (site, (_, path)) = (&stage.site, stage.recording());
    stage.studio.play(Play::Chunked(audio()));
    let whole = site.get(&path).await;
    assert_eq!(provenance(&whole), (200, Some(STORED)));
    let tag = whole.header("etag").unwrap().to_owned();
    let modified = whole.header("last-modified").unwrap().to_owned();
    let weak = format!("W/{tag}");
    let head = site.ask("HEAD", &path, &[], None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("700001"));
    let long_ago = "Thu, 01 Jan 2004 00:00:00 GMT";
    for (headers, status, range) in [
        (
            &[("range", "bytes=700000-")][..],
            206,
            Some("bytes 700000-700000/700001"),
        ),
        (
            &[("range", "bytes=-2")],
            206,
            Some("bytes 699999-700000/700001"),
        ),
        (&[("range", "bytes=700001-")], 416, Some("bytes */700001")),
        (&[("range", "bytes=0-1,4-5")], 200, None),
        (
            &[("range", "bytes=0-1"), ("if-range", &tag)],
            206,
            Some("bytes 0-1/700001"),
        ),
        (
            &[("range", "bytes=0-1"), ("if-range", &modified)],
            206,
            Some("bytes 0-1/700001"),
        ),
        (
            &[("range", "bytes=0-1"), ("if-range", "\"other\"")],
            200,
            None,
        ),
        (&[("range", "bytes=0-1"), ("if-range", &weak)], 200, None),
        (&[("if-none-match", &tag)], 304, None),
        (
            &[("if-none-match", &weak), ("range", "bytes=0-1")],
            304,
            None,
        ),
        (&[("if-none-match", "\"other\"")], 200, None),
        (&[("if-modified-since", &modified)], 304, None),
        (&[("if-modified-since", long_ago)], 200, None),
        (&[("if-match", "\"other\"")], 412, None),
        (&[("if-unmodified-since", long_ago)], 412, None),
    ] {
        let answer = site.ask("GET", &path, headers, None).await;
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
        assert_eq!(answer.header("etag"), Some(tag.as_str()));
        if status == 200 {
            assert_eq!(answer.body, audio(), "{headers:?}");
        }
    }
    assert_eq!(stage.studio.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_whole_recording_is_passed_back_and_not_kept() {
    let stage = Stage::with(&[]).await;
    let (site, (_, path)) = (&stage.site, stage.recording());
    for (status, kind, body) in [
        (202, "application/json", r#"{"detail":"processing"}"#),
        (404, "application/json", r#"{"detail":"no recording"}"#),
        (401, "application/json", r#"{"detail":"no"}"#),
        (500, "text/plain", "Internal Server Error"),
        (200, "text/html", "<p>log in</p>"),
        (206, "audio/wav", "part"),
    ] {
        stage.studio.play(Play::Other(status, kind, body));
        let answer = site.get(&path).await;
        assert_eq!(provenance(&answer), (status, Some("burki-edge; fwd=miss")));
        assert_eq!(answer.text(), body);
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("retry-after"), Some("9"));
    }
    stage.studio.play(Play::Broken(600_000));
    let broken = site.get(&path).await;
    assert_eq!(broken.status, 503, "{broken:?}");
    assert_eq!(stage.studio.asked().len(), 7);
    stage.studio.play(Play::Audio(audio()));
    assert_eq!(site.get(&path).await.header("cache-status"), Some(STORED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_ask_at_once_share_one_download() {
    let stage = Stage::with(&[("BURKI_EDGE_SERVER__WORKERS", "2")]).await;
    let (site, (_, path)) = (&stage.site, stage.recording());
    stage.studio.play(Play::Audio(audio()));
    let answers = join_all((0..12).map(|_| site.get(&path))).await;
    assert!(answers.iter().all(|answer| answer.body == audio()));
    assert_eq!(stage.studio.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_edges_own_hears_what_is_kept_and_asks_for_nothing() {
    let stage = Stage::with(&[]).await;
    let (site, (_, path)) = (&stage.site, stage.recording());
    stage.studio.play(Play::Audio(audio()));
    let hear = |headers: &'static [(&str, &str)]| {
        site.send(&site.edge, TOKEN, "GET", &path, headers, None)
    };
    assert_eq!(hear(&[]).await.status, 403);
    assert_eq!(site.get(&path).await.status, 200);
    assert_eq!(hear(&[]).await.body, audio());
    assert_eq!(hear(&[("cache-control", "no-cache")]).await.status, 200);
    assert_eq!(stage.studio.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_one_is_fetched_where_it_is_demanded_and_trouble_costs_nothing() {
    let stage = Stage::with(&[]).await;
    let (site, (_, path)) = (&stage.site, stage.recording());
    let cached = [("cache-control", "only-if-cached")];
    assert_eq!(site.ask("GET", &path, &cached, None).await.status, 504);
    stage.studio.play(Play::Audio(audio()));
    site.get(&path).await;
    assert_eq!(site.ask("GET", &path, &cached, None).await.status, 200);
    let fresh = [("cache-control", "no-cache")];
    stage.studio.play(Play::Audio(b"another".to_vec()));
    let anew = site.ask("GET", &path, &fresh, None).await;
    let stored = "burki-edge; fwd=request; stored";
    assert_eq!(provenance(&anew), (200, Some(stored)));
    assert_eq!(site.get(&path).await.text(), "another");
    stage.studio.play(Play::Other(500, "text/plain", "trouble"));
    let held = site.ask("GET", &path, &fresh, None).await;
    assert_eq!((held.status, held.text()), (200, "another"));
    stage
        .studio
        .play(Play::Other(404, "application/json", "{}"));
    assert_eq!(site.ask("GET", &path, &fresh, None).await.status, 404);
    assert_eq!(site.get(&path).await.status, 404, "and is not kept on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_call_there_is_no_recording_and_wrong_ids_are_told_together() {
    let stage = Stage::with(&[]).await;
    let (site, (id, path)) = (&stage.site, stage.recording());
    stage.studio.play(Play::Audio(audio()));
    assert_eq!(site.get(&path).await.status, 200);
    assert_eq!(site.audio_files(), 1);
    site.simulator.world().delete(id);
    let call = format!("/api/v1/calls/{id}");
    let fresh = [("cache-control", "no-cache")];
    assert_eq!(site.ask("GET", &call, &fresh, None).await.status, 404);
    // A deletion takes a proof.
    let mut status = site.handle.status();
    while site.get(&call).await.status == 200 {
        status.changed().await.unwrap();
    }
    let gone = site.get(&path).await;
    assert_eq!(gone.status, 404);
    assert_eq!(gone.json(), site.get(&call).await.json());
    assert_eq!(site.audio_files(), 0);
    assert_eq!(stage.studio.asked().len(), 1);
    let unknown = site.get("/api/v1/calls/0/recording/7/play").await;
    assert_eq!(unknown.status, 404);
    let wrong = site.get("/api/v1/calls/a/recording/1.5/play").await;
    assert_eq!(wrong.status, 422);
    let places = wrong.json()["detail"].clone();
    let place = |at: usize| places[at]["loc"][1].as_str().unwrap().to_owned();
    assert_eq!([place(0), place(1)], ["call_id", "recording_id"]);
    let nul = site.get("/api/v1/calls/5/recording/7%00/play").await;
    assert_eq!(nul.status, 422);
}

/// The edge has read everything, and the call has begun since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_of_a_call_that_is_not_stored_yet_is_found() {
    let stage = Stage::with(&[("BURKI_EDGE_SYNC__POLL_INTERVAL", "1h")]).await;
    let site = &stage.site;
    stage.studio.play(Play::Audio(audio()));
    let new = site.simulator.world().start_call(Some(Timestamp::now()));
    let path = format!("/api/v1/calls/{new}/recording/7/play");
    let cached = [("cache-control", "only-if-cached, max-age=86400")];
    let absent = site.ask("GET", &path, &cached, None).await;
    assert_eq!(absent.status, 404, "as far as the edge knows");
    let stale = [("cache-control", "only-if-cached, no-cache")];
    assert_eq!(site.ask("GET", &path, &stale, None).await.status, 504);
    assert_eq!(site.get(&path).await.body, audio());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_no_room_is_passed_on() {
    for (most, requests) in [("0", 2), ("1KiB", 4)] {
        let stage = Stage::with(&[("BURKI_EDGE_STORE__AUDIO_CACHE", most)]).await;
        let (site, (_, path)) = (&stage.site, stage.recording());
        stage.studio.play(Play::Audio(audio()));
        for _ in 0..2 {
            let passed = site.get(&path).await;
            assert_eq!(provenance(&passed), (200, Some("burki-edge; fwd=bypass")));
            assert_eq!(passed.body, audio());
        }
        assert_eq!(stage.studio.asked().len(), requests);
        assert_eq!(site.audio_files(), 0);
    }
}
