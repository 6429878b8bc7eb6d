//! Rows that can't be read, answers that are wrong, and calls that move.

use std::collections::HashSet;
use std::time::Duration;

use burki_edge::model::{CallKey, Timestamp};
use burki_edge::simulator::{Fault, Flavour, WorldConfig};
use burki_edge::store::Reader;
use burki_edge::sync::{Phase, UpstreamState};

use super::engine_harness::{Running, Stage};

const FLAVOURS: [Flavour; 2] = [Flavour::Hosted, Flavour::SelfHosted];
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn at_rest(flavour: Flavour, calls: usize) -> Stage {
    let mut stage = Stage::at_rest(WorldConfig {
        flavour,
        calls,
        span: 60 * DAY,
        ..WorldConfig::default()
    });
    stage.settings.page_limit = 50;
    stage
}

/// Whether every call but these is held as it is.
fn is_exact_but(stage: &Stage, unreadable: &[i64]) -> bool {
    let held: HashSet<(i64, String)> = stage.held_texts().into_iter().collect();
    let world = stage.world();
    world
        .texts()
        .filter(|(id, _, _)| !unreadable.contains(id))
        .all(|(id, _, text)| held.contains(&(id, text)))
}

/// Places of rows among the calls, newest first, those without a start before all.
const PLACES: [(&str, &[usize]); 5] = [
    ("in the middle of history", &[300]),
    ("at a page's end", &[99, 149]),
    ("side by side", &[300, 301]),
    ("in the head", &[10]),
    ("the oldest", &[599]),
];

#[tokio::test(start_paused = true)]
async fn rows_that_cant_be_read_are_told_of_and_all_others_are_mirrored() {
    for flavour in FLAVOURS {
        for (place, rows) in PLACES {
            let mut stage = at_rest(flavour, 600);
            stage.settings.poll_interval = 30 * SECOND;
            stage.settings.reconcile_interval = 2 * HOUR;
            let all = stage.world().newest(600);
            let unreadable: Vec<i64> = rows.iter().map(|row| all[*row]).collect();
            for id in &unreadable {
                stage.faults().make_unreadable(*id);
            }
            let context = format!("{flavour:?}, {place}");
            let running = stage.start();
            running.until_live().await;
            running.pass(600).await;
            assert!(is_exact_but(&stage, &unreadable), "{context}");
            let status = running.now();
            assert_eq!(status.phase, Phase::Live, "{context}: {status:?}");
            assert_eq!(status.state, UpstreamState::Online, "{context}: {status:?}");
            assert_eq!(status.unreadable, rows.len() as u64, "{context}");
            let late = stage.late_call(stage.now() - 50 * DAY);
            let new = stage.late_call(stage.now());
            running
                .pass_until(SECOND, 3 * MINUTE, || {
                    stage.is_current(late) && stage.is_current(new)
                })
                .await;
            running.pass(1800).await;
            stage.forget_asked();
            running.pass(3600).await;
            let asked = stage.asked("").len();
            // A poll every half a minute, a count a minute where the head tells no total, each
            // window's tier, and now and then a longer head than can be read.
            assert!(asked < 330, "{context}: {asked} requests an hour");
            for id in &unreadable {
                stage.faults().make_readable(*id);
            }
            running
                .pass_until(MINUTE, 3 * HOUR, || is_exact_but(&stage, &[]))
                .await;
            running
                .pass_until(MINUTE, HOUR, || running.now().unreadable == 0)
                .await;
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_without_a_start_that_cant_be_read_leaves_the_others_followed() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour, 600);
        let id = stage.world().newest(2)[1];
        stage.faults().make_unreadable(id);
        let running = stage.start();
        running.until_live().await;
        let late = stage.late_call(stage.now() - 50 * DAY);
        running
            .pass_until(SECOND, 3 * MINUTE, || stage.is_current(late))
            .await;
        assert!(is_exact_but(&stage, &[id]));
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_can_no_longer_be_read_is_served_on() {
    for flavour in FLAVOURS {
        let mut stage = at_rest(flavour, 600);
        stage.settings.poll_interval = 30 * SECOND;
        let running = stage.start();
        running.until_live().await;
        let id = stage.call_of_age(10 * DAY);
        let text = stage.held(id);
        stage.faults().make_unreadable(id);
        running
            .pass_until(MINUTE, 13 * HOUR, || running.now().unreadable == 1)
            .await;
        running.pass(3 * 3600).await;
        assert_eq!(running.now().phase, Phase::Live);
        assert_eq!(stage.held(id), text);
        stage.faults().make_readable(id);
        stage.annotate(id);
        running
            .pass_until(MINUTE, 14 * HOUR, || stage.is_current(id))
            .await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

fn spoiling() -> Vec<Fault> {
    vec![
        Fault::Truncated,
        Fault::Garbage,
        Fault::WrongTypes,
        Fault::DuplicateKeys,
        Fault::WithoutId,
        Fault::HugeNumber,
        Fault::OtherOrder,
        Fault::SharedSid,
    ]
}

/// An hour in which things change while answers are spoiled.
async fn a_spoiled_hour(stage: &Stage, running: &Running, faults: Vec<Fault>) {
    let mut ever: HashSet<(i64, String)> = HashSet::new();
    let mut remember = |stage: &Stage| {
        let world = stage.world();
        ever.extend(world.texts().map(|(id, _, text)| (id, text)));
        let wrong = stage
            .held_texts()
            .into_iter()
            .find(|row| !ever.contains(row));
        assert_eq!(wrong, None, "no such text was ever sent");
    };
    remember(stage);
    stage.faults().at_random(5, 0.3, faults);
    for round in 0..60 {
        running.pass(60).await;
        remember(stage);
        let ids = stage.ids();
        stage.annotate(ids[round * 7]);
        stage.world().delete(ids[round * 5 + 1]);
        stage.late_call(stage.now() - DAY * u32::try_from(round).expect("small"));
        remember(stage);
    }
    stage.faults().clear();
    running
        .pass_until(MINUTE, 26 * HOUR, || is_exact_but(stage, &[]))
        .await;
    remember(stage);
    running
        .pass_until(MINUTE, 26 * HOUR, || {
            stage.totals().calls as usize == stage.world().len()
        })
        .await;
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn spoiled_answers_leave_no_wrong_row() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour, 600);
        let running = stage.start();
        running.until_live().await;
        let mut faults = spoiling();
        faults.retain(|fault| *fault != Fault::SharedSid);
        a_spoiled_hour(&stage, &running, faults).await;
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_spoiled_sids_are_put_right() {
    for flavour in FLAVOURS {
        let stage = at_rest(flavour, 600);
        let running = stage.start();
        running.until_live().await;
        stage.faults().at_random(5, 0.3, vec![Fault::SharedSid]);
        running.pass(3600).await;
        stage.faults().clear();
        running
            .pass_until(MINUTE, 26 * HOUR, || is_exact_but(&stage, &[]))
            .await;
        running.pass(600).await;
        running.stop().await.unwrap();
        stage.assert_equal();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_start_moves_is_followed() {
    for flavour in FLAVOURS {
        for (from, to) in [
            (Some(10), Some(40)),
            (Some(40), Some(10)),
            (Some(20), None),
            (None, Some(20)),
            (Some(0), Some(50)),
            (Some(50), Some(0)),
        ] {
            let stage = at_rest(flavour, 600);
            let running = stage.start();
            running.until_live().await;
            running.pass(300).await;
            let at = |days: i64| {
                let micros = stage.now().as_micros() - days * 86_400_000_000;
                Timestamp::from_micros(micros)
            };
            let id = match from {
                Some(days) => stage.call_of_age(DAY * days),
                None => stage.world().newest(1)[0],
            };
            stage.world().move_start(id, to.map(|days| at(days.into())));
            running
                .pass_until(MINUTE, 26 * HOUR, || stage.is_current(id))
                .await;
            running
                .pass_until(MINUTE, 26 * HOUR, || stage.totals().suspects == 0)
                .await;
            assert_eq!(stage.totals().tombstones, 0);
            running.stop().await.unwrap();
            stage.assert_equal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_moved_keeps_its_text_though_a_later_answer_missed_it() {
    let stage = at_rest(Flavour::SelfHosted, 600);
    let running = stage.start();
    running.until_live().await;
    running.pass(300).await;
    let id = stage.call_of_age(DAY * 10);
    stage.world().move_start(id, None);
    let moved = stage.now();
    // The head has it where it is now, and the range where it was has it no more. The range is
    // asked for later, and answers sooner; nobody says what became of the call.
    stage.hold_up("/calls/?limit=50", MINUTE * 3);
    stage.hold_up(&format!("/calls/{id}"), HOUR);
    running
        .pass_until(SECOND, MINUTE * 3, || stage.totals().suspects == 1)
        .await;
    let claimed = || {
        let coverage = running.handle.coverage();
        coverage
            .known(None)
            .is_some_and(|verified| verified.at >= moved)
    };
    running.pass_until(SECOND, MINUTE * 5, claimed).await;
    assert!(stage.is_current(id), "{:?}", stage.held(id));
    assert_eq!(stage.totals().suspects, 1, "by the later request's word");
    running
        .pass_until(MINUTE, 26 * HOUR, || stage.totals().suspects == 0)
        .await;
    running.stop().await.unwrap();
    stage.assert_equal();
}

#[tokio::test(start_paused = true)]
async fn two_records_of_one_sid_are_both_mirrored() {
    for flavour in FLAVOURS {
        let mut stage = Stage::at_rest(WorldConfig {
            flavour,
            calls: 0,
            same_instant: 0,
            without_start: 0,
            ..WorldConfig::default()
        });
        stage.settings.page_limit = 50;
        let at = stage.now() - DAY;
        let ids: Vec<i64> = (0..5).map(|_| stage.late_call(at)).collect();
        stage.share_sid(ids[1], ids[3]);
        let running = stage.start();
        running.until_live().await;
        let expected = stage.sent_texts();
        let mut held = stage.held_texts();
        held.sort();
        assert_eq!(held, expected);
        let reader = Reader::open(&stage.path()).unwrap();
        let sid = stage.world().get(ids[1]).unwrap().call_sid.to_string();
        let found = reader.call(&CallKey::Sid(sid)).unwrap().unwrap();
        assert!([ids[1], ids[3]].contains(&found.id));
        running.pass(3600).await;
        assert_eq!(running.now().phase, Phase::Live);
        running.stop().await.unwrap();
    }
}
