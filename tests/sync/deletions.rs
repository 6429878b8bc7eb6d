//! Deletions: a call is removed on proof, and on nothing that merely looks like it.

use std::time::Duration;

use burki_edge::model::CallKey;
use burki_edge::simulator::{Fault, Flavour, World, WorldConfig};
use burki_edge::store::Reader;
use burki_edge::sync::{Hint, Phase, UpstreamState};

use super::engine_harness::{Running, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

async fn mirrored(flavour: Flavour, calls: usize) -> (Stage, Running) {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    let running = stage.start();
    running.until_live().await;
    stage.assert_equal();
    (stage, running)
}

/// The file is as it was: no call is gone, under suspicion or new.
fn assert_untouched(stage: &Stage, calls: usize) {
    let totals = stage.totals();
    assert_eq!(
        (totals.calls as usize, totals.suspects, totals.tombstones),
        (calls, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_call_is_served_until_its_deletion_is_proven() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 600).await;
        let (old, new) = (stage.call_of_age(30 * DAY), stage.ids()[10]);
        let texts = [old, new].map(|id| stage.held(id));
        let records = [old, new].map(|id| stage.world().delete(id).unwrap());
        // Nobody is asked for a call by id: there is no proof.
        for id in [old, new] {
            let path = format!("/calls/{id}");
            stage.faults().times_where(1000, &path, Fault::ServerError);
        }
        if flavour == Flavour::Hosted {
            running.pass(120).await;
            assert_eq!([old, new].map(|id| stage.held(id)), texts);
            assert!(stage.totals().suspects > 0);
        }
        stage.faults().clear();
        running
            .pass_until(SECOND, 3 * MINUTE, || {
                stage.is_buried(old) && stage.is_buried(new)
            })
            .await;
        assert_eq!(stage.totals().tombstones, 2);
        stage.assert_equal();
        for record in records {
            stage.world().insert(record).unwrap();
        }
        running
            .pass_until(SECOND, 3 * MINUTE, || {
                stage.is_current(old) && stage.is_current(new)
            })
            .await;
        assert_untouched(&stage, 600);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_no_proof_removes_a_call() {
    for flavour in FLAVOURS {
        for fault in [
            Fault::EmptyList,
            Fault::ShortList(3),
            Fault::NotFoundPage,
            Fault::ServerError,
            Fault::Unauthorized,
            Fault::Unavailable,
        ] {
            let (stage, running) = mirrored(flavour, 300).await;
            let before = stage.held_texts();
            stage.faults().always(fault.clone());
            running.pass(1800).await;
            let status = running.now();
            if fault == Fault::Unauthorized {
                assert_eq!(status.state, UpstreamState::Unauthorized);
            }
            // Where a list is short and all else is right, single calls are found.
            let is_wrong = match fault {
                // Without a total it is a server that puts three on a page, and is read like that.
                Fault::ShortList(_) if flavour == Flavour::SelfHosted => true,
                Fault::ShortList(_) => status.phase == Phase::Held,
                _ => status.state != UpstreamState::Online,
            };
            assert!(is_wrong, "{flavour:?}, {fault:?}: {status:?}");
            running.pass(1800).await;
            assert!(stage.held_texts() == before, "{flavour:?}, {fault:?}");
            stage.faults().clear();
            running
                .until(|status| {
                    status.state == UpstreamState::Online && status.phase == Phase::Live
                })
                .await;
            running.pass(300).await;
            assert_untouched(&stage, 300);
            assert_eq!(running.now().phase, Phase::Live, "{flavour:?}, {fault:?}");
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

/// Another organization's calls: ids and SIDs are nobody else's.
fn other_world(flavour: Flavour, calls: usize) -> World {
    let config = WorldConfig {
        flavour,
        calls,
        seed: 99,
        ..WorldConfig::default()
    };
    let mut other = World::new(WorldConfig {
        calls: 0,
        same_instant: 0,
        without_start: 0,
        ..config.clone()
    });
    for record in World::new(config).records() {
        let mut record = record.clone();
        record.id += 1_000_000;
        other.insert(record).expect("a place");
    }
    other
}

#[tokio::test(start_paused = true)]
async fn nothing_of_another_organization_is_ever_stored() {
    for flavour in FLAVOURS {
        // At any moment between two heads.
        for moment in [0, 3, 7, 9] {
            let (stage, running) = mirrored(flavour, 500).await;
            running.pass(400 + moment).await;
            let (before, own) = (stage.held_texts(), stage.world().snapshot());
            stage.world().set_organization_id(8);
            stage
                .world()
                .replace_records_from(&other_world(flavour, 700));
            for round in 0..12 {
                // Somebody asks for calls meanwhile, and they are nobody's now.
                running
                    .handle
                    .hint(Hint::Call(CallKey::Id(before[round].0)));
                running.pass(600).await;
                let held = stage.held_texts();
                let foreign = held.iter().filter(|row| !before.contains(row)).count();
                assert_eq!(
                    (foreign, held.len()),
                    (0, before.len()),
                    "{flavour:?}, {moment}, {round}"
                );
                assert_eq!(stage.totals().tombstones, 0);
            }
            let status = running.now();
            assert_eq!(status.state, UpstreamState::Unauthorized);
            let error = status.last_error.unwrap();
            assert_eq!(error.kind, "other_organization");
            stage.world().set_organization_id(7);
            stage.world().restore(&own);
            running
                .until(|status| {
                    status.state == UpstreamState::Online && status.phase == Phase::Live
                })
                .await;
            running.pass(600).await;
            assert_untouched(&stage, 500);
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

/// A backup is made, a fifth more calls happen, and the backup is restored.
async fn restored(flavour: Flavour) -> (Stage, Running, burki_edge::simulator::Snapshot) {
    let (stage, running) = mirrored(flavour, 600).await;
    let backup = stage.world().snapshot();
    for second in 0..120 {
        stage.late_call(stage.now() - Duration::from_secs(5 * second));
    }
    running.pass(120).await;
    stage.assert_equal();
    let now = stage.world().snapshot();
    stage.world().restore(&backup);
    (stage, running, now)
}

#[tokio::test(start_paused = true)]
async fn an_old_backup_is_followed_after_two_passes_a_minute_apart() {
    for flavour in FLAVOURS {
        let (stage, running, _) = restored(flavour).await;
        running.until(|status| status.phase == Phase::Held).await;
        running.pass(60).await;
        assert_eq!(running.now().phase, Phase::Held);
        assert_eq!((stage.totals().calls, stage.totals().tombstones), (720, 0));
        running.until_live().await;
        running.pass(120).await;
        assert_eq!(running.now().phase, Phase::Live);
        assert_eq!(stage.totals().tombstones, 120);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// A sample of twenty would miss the one call that no list has.
#[tokio::test(start_paused = true)]
async fn of_deletions_that_are_not_too_many_to_ask_for_each_is_proven() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 600).await;
        let kept = stage.call_of_age(30 * DAY);
        stage.unlist(kept);
        for id in stage.ids().into_iter().filter(|id| *id != kept).take(120) {
            stage.world().delete(id);
        }
        running.until(|status| status.phase == Phase::Held).await;
        stage.forget_asked();
        running
            .pass_until(SECOND, 10 * MINUTE, || {
                assert!(stage.held(kept).is_some(), "removed, and never denied");
                stage.totals().tombstones == 120
            })
            .await;
        // Two passes over ten pages; what is read between the two would count for neither.
        let ranges = stage.asked("date_from=").len();
        assert!(ranges < 40, "{ranges} ranges");
        running.pass(600).await;
        assert!(stage.held(kept).is_some());
        running.stop().await.unwrap();
    }
}

/// What lies beyond `sync.history` is read no more, and deletions do not wait until it is.
#[tokio::test(start_paused = true)]
async fn many_deletions_are_followed_in_a_file_older_than_its_history() {
    for flavour in FLAVOURS {
        let (mut stage, running) = mirrored(flavour, 600).await;
        running.stop().await.unwrap();
        stage.settings.history = Some(30 * DAY);
        let running = stage.start();
        running.until_live().await;
        for id in stage.ids().into_iter().take(120) {
            stage.world().delete(id);
        }
        running.until(|status| status.phase == Phase::Held).await;
        running
            .pass_until(SECOND, 10 * MINUTE, || stage.totals().tombstones == 120)
            .await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_put_right_in_time_has_removed_nothing() {
    for flavour in FLAVOURS {
        for seconds in [5, 40, 100] {
            let (stage, running, right) = restored(flavour).await;
            running.pass(seconds).await;
            stage.world().restore(&right);
            running.pass(300).await;
            running.until_live().await;
            assert_untouched(&stage, 720);
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

/// The assistant that most calls are of.
fn busiest(stage: &Stage) -> i64 {
    let mut calls = std::collections::HashMap::new();
    for call in stage.world().records() {
        *calls.entry(call.assistant_id).or_insert(0) += 1;
    }
    let busiest = calls.into_iter().max_by_key(|(id, calls)| (*calls, *id));
    busiest.expect("a call").0
}

#[tokio::test(start_paused = true)]
async fn an_assistant_s_calls_are_removed_by_sample_after_two_passes() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 6000).await;
        running.pass(300).await;
        stage.forget_asked();
        let busiest = busiest(&stage);
        let deleted = stage.world().delete_assistant(busiest);
        assert!(deleted > 700, "{deleted} calls");
        running.until(|status| status.phase == Phase::Held).await;
        assert_eq!(running.now().freshness_bound, None);
        // Where only a count tells how many are gone, the first are proven to be one by one.
        let proven = stage.totals().tombstones;
        assert!(proven <= 50, "{proven} before the hold");
        running.pass(59).await;
        assert!(
            stage.totals().tombstones <= 50,
            "more than few while it is held"
        );
        running.until_live().await;
        let asked = stage.asked("").len();
        // Two passes over 120 pages.
        assert!(asked < 500, "{asked} requests for {deleted} deletions");
        running.pass(120).await;
        assert_eq!(stage.totals().tombstones, deleted as u64);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn the_operator_shortens_a_hold() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 6000).await;
        running.pass(300).await;
        let busiest = busiest(&stage);
        let deleted = stage.world().delete_assistant(busiest);
        running.until(|status| status.phase == Phase::Held).await;
        running.handle.release_holds();
        running
            .pass_until(SECOND, 10 * MINUTE, || {
                stage.totals().calls as usize == stage.world().len()
            })
            .await;
        running.pass(120).await;
        assert_eq!(running.now().phase, Phase::Live);
        assert_eq!(stage.totals().tombstones, deleted as u64);
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_deletions_are_not_held() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 600).await;
        running.pass(300).await;
        let ids = stage.ids();
        for id in ids.iter().step_by(13).take(45) {
            stage.world().delete(*id);
        }
        running
            .pass_until(SECOND, 5 * MINUTE, || {
                assert_ne!(running.now().phase, Phase::Held);
                stage.totals().tombstones == 45
            })
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

/// It was read: nothing is wrong with its length or its rows, and a shorter one tells less.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_believed_is_asked_for_as_it_was() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 600).await;
        stage.faults().always(Fault::EmptyList);
        running.until(|status| status.phase == Phase::Held).await;
        stage.forget_asked();
        running.pass(45).await;
        let lists = stage.asked("limit=");
        assert!(lists.len() >= 3, "{lists:?}");
        for (_, target) in lists {
            assert!(
                target.contains("limit=50") && !target.contains("skip"),
                "{target}"
            );
        }
        running.stop().await.unwrap();
    }
}

/// A list that is not believed comes back, and can't be read as it was asked for.
#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_trusted_is_read_by_shorter_pages_where_it_fails() {
    for flavour in FLAVOURS {
        for is_row in [false, true] {
            let (stage, running) = mirrored(flavour, 600).await;
            stage.faults().always(Fault::EmptyList);
            running.until(|status| status.phase == Phase::Held).await;
            // The newest page was read too.
            running.pass(12).await;
            stage.faults().clear();
            match is_row {
                true => stage.faults().make_unreadable(stage.ids()[5]),
                false => stage.faults().break_above(20),
            }
            running.pass(30).await;
            assert_eq!(running.now().state, UpstreamState::Online);
            assert_eq!(
                running.now().phase,
                Phase::Held,
                "a shorter page is no proof"
            );
            running
                .pass_until(SECOND, 5 * MINUTE, || running.now().phase == Phase::Live)
                .await;
            running.stop().await.unwrap();
            assert_eq!(stage.totals().tombstones, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_empty_is_held_until_it_is_released() {
    for flavour in FLAVOURS {
        let (stage, running) = mirrored(flavour, 600).await;
        let all = stage.world().newest(600);
        for id in all {
            stage.world().delete(id);
        }
        running.until(|status| status.phase == Phase::Held).await;
        running.pass(6 * 3600).await;
        assert_eq!(running.now().phase, Phase::Held);
        assert_untouched(&stage, 600);
        running.handle.release_holds();
        running
            .pass_until(SECOND, 5 * MINUTE, || stage.totals().calls == 0)
            .await;
        running.until_live().await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn one_release_is_enough_where_calls_without_a_start_are_not_on_the_list() {
    for flavour in FLAVOURS {
        let mut stage = Stage::at_rest(WorldConfig {
            flavour,
            calls: 21,
            without_start: 17,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 20;
        let running = stage.start();
        running.until_live().await;
        running.pass(300).await;
        stage.assert_equal();
        // The list is read, and what it leaves out removed, before those without a start are.
        stage.hold_up("/count", 40 * SECOND);
        let all = stage.world().newest(21);
        for id in all {
            stage.world().delete(id);
        }
        running.until(|status| status.phase == Phase::Held).await;
        running.pass(3600).await;
        assert_eq!(running.now().phase, Phase::Held);
        assert_eq!(stage.totals().calls, 21);
        running.handle.release_holds();
        running
            .pass_until(SECOND, 5 * MINUTE, || stage.totals().calls == 0)
            .await;
        running.until_live().await;
        running.pass(120).await;
        assert_eq!(running.now().phase, Phase::Live);
        // The word was for those, not for the next.
        let again = stage.world().start_call(None);
        running
            .pass_until(SECOND, 10 * MINUTE, || stage.is_current(again))
            .await;
        stage.world().delete(again);
        running.until(|status| status.phase == Phase::Held).await;
        running.stop().await.unwrap();
    }
}

/// A poll verified it a moment before: the last word that held is told, not the first.
#[tokio::test(start_paused = true)]
async fn a_suspect_is_as_old_as_the_last_word_that_held() {
    let stage = Stage::at_rest(WorldConfig::default());
    let running = stage.start();
    running.until_live().await;
    running.pass(1164).await;
    let all = stage.world().newest(900);
    for id in all.iter().skip(400) {
        stage.world().delete(*id);
    }
    let suspect = all[800];
    let reader = Reader::open(&stage.path()).expect("a reader");
    let held = || {
        reader
            .call(&CallKey::Id(suspect))
            .expect("a read")
            .expect("a call")
    };
    running
        .pass_until(SECOND, 120 * SECOND, || held().suspect)
        .await;
    let age = stage.now().since(held().seen_at);
    assert!(age <= 80 * SECOND, "{age:?}");
    running.stop().await.unwrap();
}
