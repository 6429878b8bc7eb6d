//! What belongs to calls: when it is asked for, when not, and what becomes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use burki_edge::model::{CallKey, Detail};
use burki_edge::simulator::{Fault, WorldConfig};
use burki_edge::sync::FetchOutcome;
use tokio::time::Instant;

use super::engine_harness::{Running, Stage, Told};

use Detail::{Messages, Recordings, Transcripts};

const DAY: u64 = 86_400;

fn old(calls: usize) -> WorldConfig {
    WorldConfig {
        calls,
        span: Duration::from_secs(400 * DAY),
        ..WorldConfig::default()
    }
}

/// Ended calls, few of them young, whose details are to be kept.
fn stage(calls: usize, kinds: &[Detail]) -> Stage {
    let mut stage = Stage::at_rest(old(calls));
    stage.settings.details = kinds.iter().copied().collect();
    stage
}

async fn until_kept(running: &Running) {
    running
        .until(|status| status.details.due == 0 && status.details.kept > 0)
        .await;
}

fn kinds(stage: &Stage, id: i64) -> Vec<Detail> {
    let held = |kind: &Detail| stage.detail(id, *kind).is_some();
    Detail::ALL.into_iter().filter(held).collect()
}

/// Old enough to be asked about once.
fn call_of_last_week(stage: &Stage) -> i64 {
    stage.call_of_age(Duration::from_secs(7 * DAY))
}

#[tokio::test(start_paused = true)]
async fn all_that_is_configured_is_kept_byte_for_byte_and_no_more() {
    let stage = stage(40, &[Transcripts, Detail::Metrics]);
    let running = stage.start();
    until_kept(&running).await;
    for id in stage.ids() {
        for kind in [Transcripts, Detail::Metrics] {
            let held = stage.detail(id, kind).expect("a text");
            assert_eq!(held.body, Told::usual(id, kind));
            assert!(held.ended);
        }
        assert_eq!(stage.detail(id, Recordings), None);
    }
    assert!(stage.asked("/recordings").is_empty());
    let path = "/transcripts?include_interim=true";
    assert!(stage.asked(path).len() >= 40);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_newest_come_first_and_after_everything_else() {
    let mut stage = stage(300, &[Transcripts]);
    stage.settings.page_limit = 20;
    stage.settings.max_concurrency = 1;
    let running = stage.start();
    until_kept(&running).await;
    let asked = stage.asked_details();
    let lists = stage.asked("/calls/?");
    let filled = lists.iter().filter(|(at, _)| *at < asked[0].0).count();
    assert!(filled >= 15, "{filled} pages were read before");
    let mut seen = BTreeSet::new();
    let firsts = asked.iter().map(|(_, id, _)| *id);
    let firsts: Vec<i64> = firsts.filter(|id| seen.insert(*id)).collect();
    let expected: Vec<i64> = stage.world().newest(usize::MAX);
    let with_start: BTreeSet<i64> = stage.ids().into_iter().collect();
    let (dated, undated): (Vec<i64>, Vec<i64>) =
        expected.into_iter().partition(|id| with_start.contains(id));
    assert_eq!(firsts[..dated.len()], dated);
    assert_eq!(firsts.len(), dated.len() + undated.len());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_where_nothing_is_to_be_kept() {
    let stage = stage(40, &[]);
    let running = stage.start();
    running.until_live().await;
    running.pass(3600).await;
    assert!(stage.asked_details().is_empty());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn under_a_tiny_budget_polls_and_clients_do_not_wait_for_details() {
    for per_minute in [8, 12, 30] {
        let mut stage = stage(200, &[Transcripts, Recordings]);
        stage.settings.max_requests_per_minute = per_minute;
        let running = stage.start();
        running.until_live().await;
        running.pass(60).await;
        stage.forget_asked();
        running.pass(600).await;
        let heads = stage.asked("/calls/?limit=1000");
        let latest = heads.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        assert!(
            latest < Some(Duration::from_secs(11)),
            "{per_minute}: {latest:?}"
        );
        let details = stage.asked_details().len();
        assert!(details > 10 || per_minute == 8, "{per_minute}: {details}");
        let id = stage.world().start_call(Some(stage.now()));
        let begun = Instant::now();
        assert_eq!(
            running.handle.fetch(CallKey::Id(id)).await,
            FetchOutcome::Found
        );
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(1), "{per_minute}: {waited:?}");
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn late_details_are_found_until_a_call_is_a_day_old() {
    let stage = stage(40, &[Transcripts]);
    let running = stage.start();
    until_kept(&running).await;
    let id = stage.world().start_call(Some(stage.now()));
    running.pass(60).await;
    assert_eq!(stage.detail(id, Transcripts), None, "it goes on");
    let ended = stage.now();
    stage.world().end_call(id, ended, "completed");
    running.pass(25).await;
    assert_eq!(
        stage.detail(id, Transcripts).map(|held| held.body),
        Some(Told::usual(id, Transcripts))
    );
    running.pass(3600).await;
    let late = format!(r#"[{{"call_id":{id},"content":"late"}}]"#);
    stage.told().texts.insert((id, Transcripts), late.clone());
    let holds = || stage.detail(id, Transcripts).map(|held| held.body) == Some(late.clone());
    let step = Duration::from_secs(1);
    let most = Duration::from_secs(3800 + 10);
    running.pass_until(step, most, holds).await;

    running.pass(DAY + DAY / 10).await;
    let asked = stage.asked_details();
    let looks = asked.iter().filter(|(_, other, _)| *other == id).count();
    assert!((5..=15).contains(&looks), "{looks}");
    stage.forget_asked();
    running.pass(DAY).await;
    let asked = stage.asked_details();
    assert!(asked.iter().all(|(_, other, _)| *other != id), "{asked:?}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_young_call_that_changes_is_looked_at_at_once() {
    let stage = stage(40, &[Transcripts]);
    let running = stage.start();
    until_kept(&running).await;
    let id = stage.late_call(stage.now() - Duration::from_secs(20 * 3600));
    running.handle.fetch(CallKey::Id(id)).await;
    running.pass(20).await;
    assert!(stage.detail(id, Transcripts).is_some());
    stage.forget_asked();
    stage.annotate(id);
    running.handle.fetch(CallKey::Id(id)).await;
    running.pass(20).await;
    let again = stage.asked_details();
    assert!(again.iter().any(|(_, other, _)| *other == id), "{again:?}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_takes_the_details_along() {
    let stage = stage(40, &[Transcripts, Recordings]);
    let running = stage.start();
    until_kept(&running).await;
    let id = call_of_last_week(&stage);
    let kept = running.now().details.kept;
    stage.world().delete(id);
    let step = Duration::from_secs(10);
    let most = Duration::from_secs(DAY);
    running.pass_until(step, most, || stage.is_buried(id)).await;
    running.pass(20).await;
    assert_eq!(kinds(&stage, id), []);
    assert_eq!(running.now().details.kept, kept - 2);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_denied_with_its_details_is_asked_for_and_no_more() {
    let stage = stage(20, &[Transcripts]);
    stage.told().denies = true;
    let running = stage.start();
    running.until_live().await;
    running.pass(300).await;
    let id = call_of_last_week(&stage);
    let points = stage.asked(&format!("/calls/{id}"));
    assert!(
        points
            .iter()
            .any(|(_, path)| path.ends_with(&format!("/{id}")))
    );
    assert!(stage.held(id).is_some());
    assert_eq!(stage.totals().suspects, 0);
    stage.told().denies = false;
    until_kept(&running).await;
    assert_eq!(kinds(&stage, id), [Transcripts]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_kept_from_now_on_is_fetched_of_calls_that_were_done() {
    let mut stage = stage(40, &[Transcripts]);
    let running = stage.start();
    until_kept(&running).await;
    running.stop().await.unwrap();
    stage.settings.details.insert(Recordings);
    stage.forget_asked();
    let running = stage.start();
    running.until(|status| status.details.kept == 80).await;
    until_kept(&running).await;
    let old = call_of_last_week(&stage);
    let asked = stage.asked_details();
    let of_old: Vec<_> = asked.iter().filter(|(_, id, _)| *id == old).collect();
    assert_eq!(of_old.len(), 1, "{of_old:?}");
    running.stop().await.unwrap();

    stage.settings.details.clear();
    stage.forget_asked();
    let running = stage.start();
    running.until_live().await;
    running.pass(600).await;
    assert!(stage.asked_details().is_empty());
    assert_eq!(kinds(&stage, old), [Transcripts, Recordings]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_kind_the_server_does_not_have_is_asked_for_once() {
    let stage = stage(60, &[Transcripts, Messages]);
    stage.told().missing.insert(Messages);
    let running = stage.start();
    until_kept(&running).await;
    running.pass(3600).await;
    let asked = stage.asked("/messages").len();
    assert!(asked <= 2, "{asked}, one of them under way with another");
    for id in stage.ids() {
        assert_eq!(kinds(&stage, id), [Transcripts]);
    }
    let answer = running.handle.fetch_detail(stage.ids()[0], Messages);
    assert_eq!(answer.await, FetchOutcome::NoSuchDetail);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_put_off_and_blocks_nothing() {
    let stage = stage(60, &[Transcripts, Recordings]);
    let ids = stage.ids();
    for (place, status) in [(0, 500), (1, 0), (5, 404), (6, 403)] {
        stage
            .told()
            .failing
            .insert((ids[place], Transcripts), status);
    }
    // Once is enough for the key's own failure.
    let running = stage.start();
    running.until_live().await;
    running.pass(400).await;
    stage.told().failing.remove(&(ids[6], Transcripts));
    let most = Duration::from_secs(1200);
    let rest = || {
        let expected = |id: &i64| match [ids[0], ids[1], ids[5]].contains(id) {
            true => vec![Recordings],
            false => vec![Transcripts, Recordings],
        };
        ids.iter().all(|id| kinds(&stage, *id) == expected(id))
    };
    running
        .pass_until(Duration::from_secs(10), most, rest)
        .await;
    let heads = stage.asked("/calls/?limit=1000");
    let latest = heads.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    assert!(latest < Some(Duration::from_secs(60)), "{latest:?}");
    // Twice as long each time.
    let tries = stage.asked(&format!("/calls/{}/transcripts", ids[0])).len();
    assert!((2..12).contains(&tries), "{tries}");
    stage.told().failing.clear();
    let all = || stage.detail(ids[0], Transcripts).is_some();
    let most = Duration::from_secs(6 * 3600);
    running.pass_until(Duration::from_secs(60), most, all).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_stopped() {
    let stage = stage(120, &[Transcripts, Recordings]);
    let running = stage.start();
    running.until(|status| status.details.kept >= 100).await;
    running.kill().await;
    let before = stage.asked_details();
    let running = stage.start();
    until_kept(&running).await;
    running.stop().await.unwrap();
    let asked = stage.asked_details();
    let old: BTreeSet<i64> = stage.ids().into_iter().skip(10).collect();
    let of_old = asked.iter().filter(|(_, id, _)| old.contains(id)).count();
    let repeated = of_old - 2 * old.len();
    assert!(repeated <= 2, "{repeated} after {}", before.len());
    for id in stage.ids() {
        assert_eq!(kinds(&stage, id), [Transcripts, Recordings]);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_want_the_same_detail_share_one_request() {
    let stage = stage(40, &[]);
    let running = stage.start();
    running.until_live().await;
    let id = stage.ids()[3];
    let misses = (0..50).map(|_| running.handle.fetch_detail(id, Recordings));
    let answers = futures_util::future::join_all(misses).await;
    assert!(answers.iter().all(|answer| *answer == FetchOutcome::Found));
    assert_eq!(stage.asked_details().len(), 1);
    assert_eq!(kinds(&stage, id), [Recordings]);
    stage.faults().once(Fault::Reset);
    let answer = running.handle.fetch_detail(id, Transcripts).await;
    assert_eq!(
        answer,
        FetchOutcome::Found,
        "a broken connection is tried once more"
    );
    stage.faults().cut();
    let answer = running.handle.fetch_detail(id, Messages).await;
    assert!(matches!(answer, FetchOutcome::Unavailable { .. }));
    running.stop().await.unwrap();
}
