//! Clocks that are wrong, ours and the upstream's, and dates that a server misreads.

use std::time::Duration;

use burki_edge::model::{CallKey, KeyHash, Timestamp};
use burki_edge::simulator::{Fault, Flavour, Rates, WorldConfig};
use burki_edge::store::Reader;
use burki_edge::sync::{Hint, Phase};
use burki_edge::upstream::{
    CallSource, DateForm, ErrorKind, Reply, Request, Spelling, UpstreamError, wire,
};

use super::engine_harness::{Running, Source, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const TWO_YEARS: i64 = 2 * 365 * 86_400;

fn at_rest(flavour: Flavour) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls: 600,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage.settings.poll_interval = Duration::from_secs(60);
    stage.settings.reconcile_interval = 6 * HOUR;
    stage
}

/// How long ago a call's window was verified, by the edge's own word.
fn told_age(stage: &Stage, running: &Running, ahead: i64, id: i64) -> i64 {
    let start = stage.world().get(id).and_then(|call| call.started_at);
    let known = running.handle.coverage().known(start).expect("it was read");
    let now = stage.now().as_micros() + ahead * 1_000_000;
    (now - known.at.as_micros()) / 1_000_000
}

#[tokio::test(start_paused = true)]
async fn whatever_our_clock_does_changes_are_seen_in_time() {
    for flavour in FLAVOURS {
        for ahead in [-TWO_YEARS, 2 * 86_400, -3600] {
            let stage = at_rest(flavour);
            let running = stage.start();
            running.until_live().await;
            running.pass(4000).await;
            stage.set_clock_ahead(ahead);
            let (old, new) = (stage.call_of_age(40 * DAY), stage.late_call(stage.now()));
            stage.annotate(old);
            running
                .pass_until(SECOND, Duration::from_secs(130), || stage.is_current(new))
                .await;
            running
                .pass_until(60 * SECOND, 7 * HOUR, || stage.is_current(old))
                .await;
            // And back to the right time.
            stage.set_clock_ahead(0);
            running.pass(200).await;
            let age = told_age(&stage, &running, 0, new);
            assert!((0..=130).contains(&age), "{age} s by a clock set back");
            stage.annotate(old);
            running
                .pass_until(60 * SECOND, 7 * HOUR, || stage.is_current(old))
                .await;
            let gone = stage.call_of_age(20 * DAY);
            stage.world().delete(gone);
            running
                .pass_until(60 * SECOND, 7 * HOUR, || stage.is_buried(gone))
                .await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_age_is_told_that_is_younger_than_the_true_one() {
    for ahead in [-TWO_YEARS, 2 * 86_400] {
        let stage = at_rest(Flavour::Hosted);
        let running = stage.start();
        running.until_live().await;
        running.pass(1000).await;
        let id = stage.call_of_age(40 * DAY);
        let before = told_age(&stage, &running, 0, id);
        stage.faults().cut();
        stage.set_clock_ahead(ahead);
        running.pass(3600).await;
        let after = told_age(&stage, &running, ahead, id);
        assert!(after >= before + 3600, "{before} s and then {after} s");
        stage.set_clock_ahead(0);
        running.pass(3600).await;
        let back = told_age(&stage, &running, 0, id);
        assert!(back >= before + 7200, "{before} s and then {back} s");
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_clock_in_the_future_verified_is_verified_again_at_once() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour);
        stage.set_clock_ahead(10 * 86_400);
        let running = stage.start();
        running.until_live().await;
        running.stop().await.unwrap();
        stage.set_clock_ahead(0);
        let old = stage.call_of_age(40 * DAY);
        stage.annotate(old);
        let running = stage.start();
        running
            .pass_until(SECOND, Duration::from_secs(60), || stage.is_current(old))
            .await;
        running.stop().await.unwrap();
        let now = stage.now();
        let windows = Reader::open(&stage.path()).unwrap().windows().unwrap();
        assert!(windows.iter().all(|window| window.verified.at <= now));
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn new_calls_arrive_whatever_the_upstreams_clock_says() {
    for flavour in FLAVOURS {
        let mut stage = Stage::new(WorldConfig {
            flavour,
            rates: Rates {
                calls: 60.0,
                ..Rates::STILL
            },
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 50;
        let running = stage.start();
        running.until_live().await;
        let hours = 3_600_000_000;
        for skew in [-2 * hours, 2 * hours, 0, -hours / 60, hours / 60, 0] {
            stage.world().set_clock_skew(skew);
            running.pass(1800).await;
        }
        stage.world().set_rates(Rates::STILL);
        running.pass(3 * 3600).await;
        running.stop().await.unwrap();
        assert!(stage.world().len() > 1100);
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_misreads_dates_of_one_form_is_mirrored_by_the_other() {
    for flavour in FLAVOURS {
        for (zone, naive_zone) in [(5, 0), (0, 5)] {
            let mut stage = Stage::at_rest(WorldConfig {
                flavour,
                calls: 1000,
                zone: zone * HOUR,
                naive_zone: naive_zone * HOUR,
                ..WorldConfig::default()
            });
            stage.settings.page_limit = 50;
            let running = stage.start();
            running.until_live().await;
            stage.assert_equal();
            let late = stage.late_call(stage.now() - 20 * DAY);
            let gone = stage.call_of_age(10 * DAY);
            running
                .pass_until(SECOND, 200 * SECOND, || stage.is_current(late))
                .await;
            stage.world().delete(gone);
            running
                .pass_until(SECOND, 200 * SECOND, || stage.is_buried(gone))
                .await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

/// A fresh fill, a late call, a deletion and an edit; the same again after a restart.
#[tokio::test(start_paused = true)]
async fn texts_cut_off_at_a_coarser_unit_than_filters_are_mirrored() {
    for flavour in FLAVOURS {
        for unit in ["12:00:00.001", "12:00:00.1", "12:00:01"] {
            let unit = Timestamp::parse(&format!("2026-11-20T{unit}"))
                .unwrap()
                .unit();
            let mut stage = Stage::at_rest(WorldConfig {
                flavour,
                unit,
                calls: 700,
                same_instant: 60,
                ..WorldConfig::default()
            });
            stage.settings.page_limit = 50;
            for ages in [(4, 2), (3, 1)] {
                let running = stage.start();
                running.until_live().await;
                stage.assert_equal();
                let late = stage.late_call(stage.now() - ages.0 * DAY);
                let gone = stage.call_of_age(ages.1 * DAY);
                running
                    .pass_until(SECOND, 200 * SECOND, || stage.is_current(late))
                    .await;
                stage.world().delete(gone);
                running
                    .pass_until(SECOND, 200 * SECOND, || stage.is_buried(gone))
                    .await;
                let edited = stage.call_of_age((ages.1 + 1) * DAY);
                stage
                    .world()
                    .set_metadata(edited, Some(r#"{"edited":true}"#));
                running
                    .pass_until(HOUR, 26 * HOUR, || stage.is_current(edited))
                    .await;
                running.stop().await.unwrap();
                stage.assert_equal();
            }
        }
    }
}

/// The newest page is of tenths of a second by chance. A call to the microsecond, in whatever way
/// it was read, shows that no bound may be widened, then and after every restart.
#[tokio::test(start_paused = true)]
async fn one_call_to_the_microsecond_ends_that_bounds_are_widened() {
    // The newest of the bounds that were asked for since the last look.
    let widened = |stage: &Stage, looked: usize| {
        let asked = stage.asked("date_to=").split_off(looked);
        assert!(!asked.is_empty(), "no range was asked for");
        asked
            .iter()
            .any(|(_, target)| target.split('&').any(|part| part.ends_with("99999")))
    };
    for flavour in FLAVOURS {
        let stage = at_rest(flavour);
        let ids = stage.world().newest(usize::MAX);
        for id in ids {
            let start = stage.world().get(id).and_then(|call| call.started_at);
            if start.is_some_and(|start| start.unit().as_micros() < 100_000) {
                stage.world().delete(id);
            }
        }
        let running = stage.start();
        running.until_live().await;
        assert!(widened(&stage, 0), "it is asked in tenths until then");
        let fine = stage.late_call(stage.now() - 40 * DAY - Duration::from_micros(7));
        running.handle.hint(Hint::Call(CallKey::Id(fine)));
        running
            .pass_until(SECOND, 5 * SECOND, || stage.is_current(fine))
            .await;
        let looked = stage.asked("date_to=").len();
        running.pass(600).await;
        running.until_live().await;
        assert!(!widened(&stage, looked), "{flavour:?}: after it was read");
        running.stop().await.unwrap();
        let looked = stage.asked("date_to=").len();
        let running = stage.start();
        running.pass(7 * 3600).await;
        assert!(!widened(&stage, looked), "{flavour:?}: after a restart");
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// An upstream that fails wherever dates have no zone.
struct ZonesAlone(Source);

impl CallSource for ZonesAlone {
    fn key_hash(&self) -> KeyHash {
        self.0.key_hash()
    }

    async fn fetch(&self, request: &Request, dates: DateForm) -> Result<Reply, UpstreamError> {
        let is_dated = wire::path_and_query(request, dates).contains("date_");
        match is_dated && dates.spelling == Spelling::Naive {
            true => Err(UpstreamError {
                status: Some(500),
                ..UpstreamError::new(ErrorKind::ServerError)
            }),
            false => self.0.fetch(request, dates).await,
        }
    }
}

/// It is asked in the other form, as one that misreads them is.
#[tokio::test(start_paused = true)]
async fn a_server_that_fails_at_dates_of_one_form_is_mirrored_by_the_other() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour);
        let running = stage.start_watched(ZonesAlone);
        running.until_live().await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// What broke on the way says nothing of how dates are read: the form is not given up for it.
#[tokio::test(start_paused = true)]
async fn a_probe_that_breaks_off_changes_no_form() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour);
        // It is sent once more at once.
        stage.faults().times_where(2, "date_", Fault::Reset);
        let running = stage.start();
        running.until_live().await;
        let zoned = stage.asked("date_").into_iter();
        let zoned: Vec<_> = zoned.filter(|(_, target)| target.contains('Z')).collect();
        assert!(zoned.is_empty(), "{flavour:?}: {zoned:?}");
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// A call whose start is not found in any form is no proof that ranges are read right.
#[tokio::test(start_paused = true)]
async fn a_server_that_finds_no_call_by_its_start_is_reported_as_stalled() {
    let mut stage = Stage::at_rest(WorldConfig {
        calls: 200,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage.faults().always_where("date_", Fault::EmptyList);
    let running = stage.start();
    running.pass(200).await;
    let status = running.now();
    assert_eq!(status.phase, Phase::Backfilling);
    let error = status.last_error.unwrap();
    assert_eq!(error.kind, "no_progress", "{error:?}");
    assert!(error.message.contains("dates"), "{error:?}");
    stage.faults().clear();
    running.until_live().await;
    running.stop().await.unwrap();
    stage.assert_equal();
}
