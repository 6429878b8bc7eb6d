//! Life in virtual time.

use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{ApiRequest, Flavour, Rates, World, WorldConfig};

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
fn explicit_changes_move_a_call_in_every_index() {
    let mut world = World::new(WorldConfig::default());
    let (total, now, key) = (world.len(), world.now(), world.api_key().to_owned());
    let id = world.start_call(Some(now));
    assert_eq!(world.newest(4)[3], id, "after the three without a start");
    world.move_start(id, Some(Timestamp::from_micros(0)));
    assert_eq!(world.newest(total + 1).last(), Some(&id));
    assert!(world.end_call(id, Timestamp::from_micros(5_000_000), "transferred"));
    let list = ApiRequest::new("GET", "/api/v1/calls?status=transferred").with_key(&key);
    let body = world.answer(&list).body;
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
            .body
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
