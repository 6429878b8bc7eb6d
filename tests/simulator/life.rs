//! Life in virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{ApiRequest, Flavour, Rates, Record, World, WorldConfig};
use proptest::prelude::*;

fn busy(seed: u64) -> World {
    World::new(WorldConfig {
        seed,
        calls: 200,
        rates: Rates {
            calls: 60.0,
            annotations: 20.0,
            deletions: 10.0,
        },
        ..WorldConfig::default()
    })
}

fn texts(world: &World) -> Vec<String> {
    world.texts().map(|(_, _, text)| text).collect()
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_same_seed_and_the_same_steps_make_the_same_world() {
    let (mut one, mut other) = (busy(5), busy(5));
    assert_eq!(texts(&one), texts(&other));
    let end = one.now() + 6 * HOUR;
    let many = one.advance(end);
    while other.now() < end {
        other.advance(other.now() + Duration::from_secs(60));
    }
    assert!(many > 300);
    assert_eq!(texts(&one), texts(&other), "however long the steps are");
    assert_ne!(texts(&one), texts(&busy(6)));
}

#[test]
fn reading_does_not_change_what_happens() {
    let (mut read, mut unread) = (busy(5), busy(5));
    let list = ApiRequest::new("GET", "/api/v1/calls").with_key(read.api_key());
    read.answer(&list);
    let end = read.now() + HOUR;
    read.advance(end);
    unread.advance(end);
    assert_eq!(texts(&read), texts(&unread));
}

#[test]
fn calls_begin_end_are_billed_annotated_and_deleted_as_time_goes_by() {
    let mut world = busy(7);
    let last = world.texts().map(|(id, ..)| id).max().unwrap();
    let before: Vec<i64> = world.texts().map(|(id, ..)| id).collect();
    let annotated = |world: &World| {
        let metas = world
            .records()
            .filter_map(|record| record.call_meta.as_deref());
        metas
            .filter(|meta| meta.contains("\"reviewed\":true"))
            .count()
    };
    assert_eq!(annotated(&world), 0);
    let end = world.now() + 12 * HOUR;
    world.advance(end);
    let new: Vec<_> = world.records().filter(|record| record.id > last).collect();
    assert!(new.len() > 400);
    let ended: Vec<_> = new
        .iter()
        .filter(|record| record.ended_at.is_some())
        .collect();
    assert!(ended.len() > 350);
    assert!(
        ended
            .iter()
            .all(|record| ["completed", "failed"].contains(&&*record.status))
    );
    assert!(
        ended
            .iter()
            .all(|record| record.duration.is_some() == record.started_at.is_some())
    );
    assert!(ended.iter().filter(|record| record.costs.is_some()).count() > 300);
    assert!(new.len() > ended.len(), "some go on");
    assert!(
        before.iter().any(|id| world.get(*id).is_none()),
        "some were deleted"
    );
    assert!(annotated(&world) > 20);
}

#[test]
fn a_still_world_does_not_change_and_a_frozen_one_no_longer() {
    let mut world = World::new(WorldConfig::default());
    let before = texts(&world);
    assert_eq!(world.advance(world.now() + 24 * HOUR), 0);
    assert_eq!(texts(&world), before);

    let mut world = busy(3);
    world.advance(world.now() + HOUR);
    world.set_rates(Rates::STILL);
    let before = texts(&world);
    world.advance(world.now() + 24 * HOUR);
    assert_eq!(texts(&world), before);
}

#[test]
fn a_self_hosted_world_is_never_billed() {
    let mut world = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        rates: Rates {
            calls: 100.0,
            ..Rates::STILL
        },
        ..WorldConfig::default()
    });
    world.advance(world.now() + 3 * HOUR);
    assert!(world.records().all(|record| record.costs.is_none()));
}

#[test]
fn every_duration_has_the_fraction_that_is_asked_for() {
    let mut world = World::new(WorldConfig {
        fraction: 0.25,
        ..WorldConfig::default()
    });
    let id = world.start_call(Some(world.now()));
    world.end_call(id, world.now() + HOUR, "completed");
    assert_eq!(world.get(id).unwrap().duration, Some(3600.25));
    let mut durations = world.records().filter_map(|record| record.duration);
    assert!(durations.all(|duration| duration.fract() == 0.25 && duration > 0.0));
}

#[test]
fn explicit_changes_move_a_call_in_every_index() {
    let mut world = World::new(WorldConfig::default());
    let (total, now, key) = (world.len(), world.now(), world.api_key().to_owned());
    let id = world.start_call(Some(now));
    assert_eq!(world.newest(4)[3], id, "after the three without a start");
    world.move_start(id, Some(Timestamp::from_micros(0)));
    assert_eq!(world.newest(total + 1).last(), Some(&id));
    assert!(world.end_call(id, Timestamp::from_micros(5_000_000), "transferred"));
    let list = ApiRequest::new("GET", "/api/v1/calls?status=transferred").with_key(&key);
    let answer = world.answer(&list);
    let body = answer.text();
    assert!(
        body.ends_with(",\"total\":1,\"skip\":0,\"limit\":100}"),
        "{body}"
    );
    assert!(body.contains("\"duration\":5,\"started_at\":\"1970-01-01T00:00:00Z\""));
    let record = world.delete(id).unwrap();
    assert!(world.get_by_sid(&record.call_sid).is_none());
    assert_eq!(world.answer(&list).records, [0; 0]);
    world.insert(record.clone()).unwrap();
    assert!(world.insert(record).is_err());
    assert_eq!(world.len(), total + 1);
}

#[test]
fn a_restored_backup_holds_what_it_held_and_gives_its_ids_again() {
    let mut world = busy(11);
    let (backup, held) = (world.snapshot(), texts(&world));
    let last = world.records().map(|record| record.id).max().unwrap();
    world.advance(world.now() + 6 * HOUR);
    assert_ne!(texts(&world), held);
    let since: BTreeMap<i64, String> = world
        .records()
        .filter(|record| record.id > last)
        .map(|record| (record.id, record.call_sid.to_string()))
        .collect();
    let now = world.now();
    world.restore(&backup);
    assert_eq!(texts(&world), held);
    assert_eq!(world.now(), now, "time does not go back");
    let key = world.api_key().to_owned();
    let list = ApiRequest::new("GET", "/api/v1/calls?limit=1000").with_key(&key);
    assert_eq!(world.answer(&list).records.len(), held.len());
    assert!(since.values().all(|sid| world.get_by_sid(sid).is_none()));

    world.advance(now + 6 * HOUR);
    let again = world
        .records()
        .filter_map(|record| since.get(&record.id).map(|sid| **sid != *record.call_sid));
    let again: Vec<bool> = again.collect();
    assert!(again.len() > 50 && again.iter().all(|other| *other));
    let start = |record: &&Record| record.started_at.is_some_and(|at| at > now);
    assert!(world.records().filter(start).count() > 200, "life goes on");
}

#[test]
fn calls_that_were_open_in_a_backup_end_and_are_billed_after_all() {
    let mut world = busy(11);
    world.set_rates(Rates {
        calls: 1e-9,
        ..Rates::STILL
    });
    let ids: Vec<i64> = (0..5)
        .map(|_| world.start_call(Some(world.now())))
        .collect();
    let backup = world.snapshot();
    world.advance(world.now() + 12 * HOUR);
    world.restore(&backup);
    let costs = |world: &World, id| world.get(id).map(|record| record.costs.is_some());
    assert!(ids.iter().all(|id| costs(&world, *id) == Some(false)));
    world.advance(world.now() + 12 * HOUR);
    assert!(ids.iter().all(|id| costs(&world, *id) == Some(true)));
}

#[test]
fn a_key_may_turn_into_another_organizations_and_back() {
    let mut world = busy(12);
    let other = World::new(WorldConfig {
        seed: 99,
        calls: 30,
        ..WorldConfig::default()
    });
    let (own, held) = (world.snapshot(), texts(&world));
    world.replace_records_from(&other);
    world.set_organization_id(8);
    assert_eq!(texts(&world), texts(&other));
    let key = world.api_key().to_owned();
    let count = ApiRequest::new("GET", "/api/v1/calls/count").with_key(&key);
    assert_eq!(world.answer(&count).text(), r#"{"count":30}"#);
    let me = ApiRequest::new("GET", "/api/v1/users/me").with_key(&key);
    assert!(world.answer(&me).text().contains("\"organization_id\":8,"));
    let self_hosted = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        ..WorldConfig::default()
    });
    let mut told = self_hosted;
    told.set_organization_id(8);
    assert_eq!(told.answer(&me).status, 404);
    let told_with_assistants = ApiRequest::new("GET", "/api/v1/assistants/me/organization");
    let answer = told.answer(&told_with_assistants.with_key(&key));
    assert!(answer.text().contains("\"organization_id\":8,"));
    world.restore(&own);
    assert_eq!(texts(&world), held);
}

/// Three hours of life by a clock that is so many microseconds ahead.
fn lived(rates: Rates, seed: u64, skew: Option<i64>) -> World {
    let mut world = World::new(WorldConfig {
        seed,
        calls: 100,
        rates,
        ..WorldConfig::default()
    });
    if let Some(micros) = skew {
        world.set_clock_skew(micros);
    }
    world.advance(world.now() + 3 * HOUR);
    world
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(16)
    })]

    #[test]
    fn a_right_clock_changes_nothing(seed in 0_u64..1000) {
        let rates = Rates { calls: 60.0, annotations: 20.0, deletions: 10.0 };
        let (unset, zero) = (lived(rates, seed, None), lived(rates, seed, Some(0)));
        prop_assert_eq!(texts(&unset), texts(&zero));
    }

    #[test]
    fn a_wrong_clock_moves_the_starts_and_ends_of_new_calls_and_nothing_else(
        seed in 0_u64..1000,
        micros in -40_000_000_000_000_i64..40_000_000_000_000,
    ) {
        let rates = Rates { calls: 60.0, ..Rates::STILL };
        let begun = lived(Rates::STILL, seed, None);
        let last = begun.records().map(|record| record.id).max();
        let (right, wrong) = (lived(rates, seed, None), lived(rates, seed, Some(micros)));
        let back = |at: Option<Timestamp>| {
            at.map(|at| Timestamp::from_micros(at.as_micros() - micros))
        };
        prop_assert_eq!(wrong.now(), right.now());
        prop_assert_eq!(wrong.len(), right.len());
        for record in wrong.records().filter(|record| Some(record.id) > last) {
            let mut record = record.clone();
            record.started_at = back(record.started_at);
            record.ended_at = back(record.ended_at);
            prop_assert_eq!(Some(&record), right.get(record.id));
        }
        for record in begun.records().filter(|record| record.ended_at.is_some()) {
            let of = |world: &World| world.get(record.id).cloned();
            prop_assert_eq!(of(&wrong), of(&right));
        }
    }
}

#[test]
fn a_clock_set_back_while_a_call_goes_on_leaves_no_negative_duration() {
    let mut world = World::new(WorldConfig::default());
    let id = world.start_call(Some(world.now()));
    let began = world.get(id).unwrap().started_at;
    assert_eq!(began, Some(world.now()), "a test's own dates are its own");
    world.set_clock_skew(-7 * 86_400_000_000);
    world.set_rates(Rates {
        calls: 1.0,
        ..Rates::STILL
    });
    world.advance(world.now() + 7 * HOUR);
    let record = world.get(id).unwrap();
    assert!(record.ended_at < began);
    assert_eq!((record.started_at, record.duration), (began, Some(0.0)));
}

#[test]
fn a_server_may_misread_naive_dates_and_zoned_ones_not() {
    let mut world = World::new(WorldConfig {
        naive_zone: 2 * HOUR,
        ..WorldConfig::default()
    });
    let id = world.start_call(Some(Timestamp::parse("2026-12-01T12:00:00").unwrap()));
    let key = world.api_key().to_owned();
    let mut at = |date: &str| {
        let target = format!("/api/v1/calls?date_from={date}&date_to={date}");
        world.answer(&ApiRequest::new("GET", &target).with_key(&key))
    };
    assert_eq!(at("2026-12-01T12:00:00Z").records, [id]);
    assert_eq!(at("1796126400").records, [id], "a Unix time names its zone");
    assert_eq!(at("2026-12-01T12:00:00").records, [0; 0]);
    assert_eq!(at("2026-12-01T14:00:00").records, [id]);
}

#[test]
fn a_server_may_cap_its_pages_and_misread_zoned_dates() {
    let mut world = World::new(WorldConfig {
        page_cap: Some(10),
        zone: 2 * HOUR,
        ..WorldConfig::default()
    });
    let noon = "2026-12-01T12:00:00";
    let id = world.start_call(Some(Timestamp::parse(noon).unwrap()));
    let key = world.api_key().to_owned();
    let mut list = |query: &str| {
        let target = format!("/api/v1/calls?{query}");
        world.answer(&ApiRequest::new("GET", &target).with_key(&key))
    };
    assert_eq!(list("limit=100").records.len(), 10);
    assert!(
        list("limit=100")
            .text()
            .ends_with(",\"total\":1001,\"skip\":0,\"limit\":100}")
    );
    assert_eq!(
        list(&format!("date_from={noon}&date_to={noon}")).records,
        [id]
    );
    assert_eq!(
        list(&format!("date_from={noon}Z&date_to={noon}Z")).records,
        [0; 0]
    );
}
