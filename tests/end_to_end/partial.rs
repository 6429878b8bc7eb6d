//! What was read of the upstream is never passed off as all of it.

use burki_edge::model::Timestamp;
use burki_edge::simulator::{Fault, Faults, Flavour, Rates, World, WorldConfig};
use burki_edge::sync::Phase;

use super::edge_and_upstream::{Answer, Site, TOKEN};

/// An edge that reads no more than the newest page, for history is never answered.
async fn begun(flavour: Flavour) -> Site {
    let world = World::new(WorldConfig {
        flavour,
        calls: 3000,
        now: Timestamp::now(),
        ..WorldConfig::default()
    });
    let unanswered = |faults: &mut Faults| faults.always_where("date_", Fault::ServerError);
    let site = Site::start_among(unanswered, world, &[]);
    site.until(|status| status.phase == Phase::Backfilling)
        .await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_covered_is_refetched_and_stored() {
    let site = begun(Flavour::Hosted).await;
    let path = "/api/v1/calls?skip=2500&limit=3";
    let answer = site.get(path).await;
    assert_eq!(answer.header("burki-edge-coverage"), Some("complete"));
    assert_eq!(
        answer.header("cache-status"),
        Some("burki-edge; fwd=miss; stored")
    );
    assert_eq!(answer.json()["total"], 3000);
    let count = site.get("/api/v1/calls/count").await;
    assert_eq!(count.json()["count"], 3000);
    let csv = site.get("/api/v1/calls/export").await;
    assert_eq!(csv.text().lines().count(), 3001);
    // What it held before the line broke and what it learned since, it tells now, and no more.
    site.cut().await;
    for call in answer.json()["items"].as_array().unwrap() {
        let kept = site.get(&format!("/api/v1/calls/{}", call["id"])).await;
        assert_eq!(kept.status, 200);
    }
    for path in [
        path,
        "/api/v1/calls/count",
        "/api/v1/calls/export",
        "/api/v1/calls/stats",
    ] {
        let offline = site.get(path).await;
        assert_eq!(offline.status, 200, "{path}");
        let told = offline.header("burki-edge-coverage").unwrap();
        assert!(told.starts_with("partial; from=\""), "{path}: {told}");
    }
    let newest = site.get("/api/v1/calls?limit=5").await;
    assert!(
        newest
            .header("burki-edge-coverage")
            .unwrap()
            .starts_with("partial")
    );
}

/// A self-hosted server ignores some filters, and would answer with everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_hosted_server_is_asked_only_by_filters_that_it_applies() {
    let site = begun(Flavour::SelfHosted).await;
    let (failed, sid) = {
        let world = site.simulator.world();
        let mut failed: Vec<i64> = world
            .records()
            .filter(|call| &*call.status == "failed")
            .map(|call| call.id)
            .collect();
        failed.sort_unstable();
        let oldest = world.newest(usize::MAX).pop().expect("a call");
        (
            failed,
            world.get(oldest).expect("a call").call_sid.to_string(),
        )
    };
    let coverage = |answer: &Answer| answer.header("burki-edge-coverage").map(str::to_owned);
    let is_partial = |answer: &Answer| {
        assert_eq!(answer.status, 200);
        coverage(answer).is_some_and(|told| told.starts_with("partial"))
    };
    let by_status = "/api/v1/calls/export?status=failed";
    let export = site.get(by_status).await;
    assert_eq!(coverage(&export), None, "the upstream's own");
    assert_eq!(export.text().lines().count(), failed.len() + 1);
    for query in [
        format!("call_sid={sid}"),
        "customer_phone=1".to_owned(),
        "assistant_name=sales".to_owned(),
    ] {
        let path = format!("/api/v1/calls/export?{query}");
        assert!(is_partial(&site.get(&path).await), "{path}");
    }
    let only = [("cache-control", "only-if-cached, max-age=86400")];
    assert!(is_partial(&site.ask("GET", by_status, &only, None).await));
    assert!(is_partial(&site.ask("HEAD", by_status, &[], None).await));

    let list = site.get("/api/v1/calls?status=failed&limit=1000").await;
    assert_eq!(coverage(&list).as_deref(), Some("complete"));
    let items = list.json()["items"].as_array().expect("a list").clone();
    let mut listed: Vec<i64> = items
        .iter()
        .map(|call| call["id"].as_i64().unwrap())
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, failed);
    for query in [format!("call_sid={sid}"), "assistant_name=sales".to_owned()] {
        // The last page too, whose total the upstream's answer would tell.
        for page in ["limit=1000", "limit=1000&skip=2500"] {
            let path = format!("/api/v1/calls?{query}&{page}");
            assert!(is_partial(&site.get(&path).await), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_key_of_the_upstreams_is_told_what_is_missing() {
    let site = begun(Flavour::Hosted).await;
    let asked = site.send(&site.edge, TOKEN, "GET", "/api/v1/calls/count", &[], None);
    let answer = asked.await;
    assert_eq!(answer.status, 200);
    let told = answer.header("burki-edge-coverage").unwrap();
    assert!(told.starts_with("partial; from=\""), "{told}");
    assert!(answer.json()["count"].as_u64() < Some(3000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_it_fresh_gets_the_upstreams_own_word() {
    let site = Site::of(WorldConfig::default()).await;
    let fresh = [("cache-control", "no-cache")];
    let answer = site.ask("GET", "/api/v1/calls?limit=3", &fresh, None).await;
    assert_eq!(
        answer.header("cache-status"),
        Some("burki-edge; fwd=request; stored")
    );
    assert_eq!(answer.header("age"), Some("0"));
    site.cut().await;
    let answer = site.ask("GET", "/api/v1/calls?limit=3", &fresh, None).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("cache-status").unwrap().contains("offline"));
}

/// A self-hosted server ignores these two filters, and its whole list is no answer to them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_list_is_not_one_whose_filter_the_upstream_ignores() {
    let site = Site::of(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 40,
        ..WorldConfig::default()
    })
    .await;
    let fresh = [("cache-control", "no-cache")];
    let answer = site
        .ask("GET", "/api/v1/calls?limit=50", &fresh, None)
        .await;
    assert_eq!(
        answer.header("cache-status"),
        Some("burki-edge; fwd=request; stored")
    );
    for filter in ["call_sid=nope", "assistant_name=nobody"] {
        let path = format!("/api/v1/calls?limit=50&{filter}");
        let answer = site.ask("GET", &path, &fresh, None).await;
        assert_eq!(answer.json()["total"], 0, "{filter}");
        assert_eq!(answer.header("cache-status"), Some("burki-edge; hit"));
    }
}

/// A self-hosted server that lists no assistants either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_by_names_that_nobody_tells_says_what_it_lacks() {
    let world = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 200,
        now: Timestamp::now(),
        ..WorldConfig::default()
    });
    let unlisted = |faults: &mut Faults| faults.always_where("/assistants?", Fault::ServerError);
    let site = Site::start_among(unlisted, world, &[]);
    site.until(|status| status.phase == Phase::Live).await;
    let path = "/api/v1/calls?assistant_name=sales&limit=1000";
    // It would not apply the filter, and its answer be taken for what it is not.
    let answer = site.get(path).await;
    assert_eq!(answer.header("burki-edge-coverage"), Some("partial"));
    site.cut().await;
    let offline = site.get(path).await;
    assert_eq!(offline.header("burki-edge-coverage"), Some("partial"));
}

/// A self-hosted server's calls do not name their assistants, and it lists those apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_listed_assistants_work_offline_in_every_filter() {
    let mut site = Site::of(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 200,
        ..WorldConfig::default()
    })
    .await;
    let listed = site
        .upstream("GET", "/api/v1/assistants", None)
        .await
        .json();
    let named: Vec<(i64, String)> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|assistant| {
            let name = assistant["name"].as_str().unwrap().to_owned();
            (assistant["id"].as_i64().unwrap(), name)
        })
        .collect();
    let (sales, name) = named[0].clone();
    assert_eq!(name, "Sales");
    let expected = {
        let world = site.simulator.world();
        let night = named.iter().find(|(_, name)| name == "Sales (night)");
        let ids = [sales, night.unwrap().0];
        world
            .records()
            .filter(|call| ids.contains(&call.assistant_id))
            .count()
    };
    assert!(expected > 0);
    let path = "/api/v1/calls?assistant_name=SALES&limit=1000";
    site.until_served(path, "complete").await;
    site.cut().await;
    for again in 0..2 {
        let answer = site.get(path).await;
        assert_eq!(answer.header("burki-edge-coverage"), Some("complete"));
        assert_eq!(answer.json()["total"], expected, "{again}");
        let csv = site.get("/api/v1/calls/export?assistant_name=sales").await;
        assert_eq!(csv.header("burki-edge-coverage"), Some("complete"));
        let lines: Vec<String> = csv.text().lines().skip(1).map(str::to_owned).collect();
        assert_eq!(lines.len(), expected);
        assert!(
            lines.iter().all(|line| line.contains(",Sales")),
            "{lines:?}"
        );
        let analytics = site.get("/api/v1/calls/analytics?period=90d").await;
        let top = analytics.json()["top_assistants"].clone();
        let told = top.as_array().unwrap().iter().all(|assistant| {
            let id = assistant["assistant_id"].as_i64().unwrap();
            let name = assistant["assistant_name"].as_str().unwrap();
            named.contains(&(id, name.to_owned()))
        });
        assert!(told && top.as_array().unwrap().len() > 3, "{top}");
        // It is in the file.
        site.restart().await;
    }
}

/// A row that the upstream can't tell makes its own list fail: to ask for it anew helps nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_unreadable_row_costs_no_list_and_counts_as_complete() {
    let mut world = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 1500,
        now: Timestamp::now(),
        ..WorldConfig::default()
    });
    let bad = world.newest(1200)[1100];
    world.set_rates(Rates::STILL);
    let site = Site::start_among(|faults| faults.make_unreadable(bad), world, &[]);
    site.until(|status| status.phase == Phase::Live && status.unreadable == 1)
        .await;
    let status = site.get("/edge/status").await.json();
    assert_eq!(status["replica"]["unreadable"], 1);
    assert_eq!(status["replica"]["coverage"]["complete"], true);
    assert_eq!(site.get("/readyz").await.status, 200);
    let asked = site.simulator.count_requests("skip=7");
    for path in [
        "/api/v1/calls?limit=1000&skip=7",
        "/api/v1/calls?limit=1000&skip=777",
        "/api/v1/calls?skip=7&limit=5",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, 200);
        let told = answer.header("burki-edge-coverage");
        assert_eq!(told, Some("complete; unreadable"), "{path}");
    }
    assert_eq!(site.simulator.count_requests("skip=7"), asked);
    // The row itself may be there for all that is known.
    site.cut().await;
    let answer = site.get(&format!("/api/v1/calls/{bad}")).await;
    assert_eq!(answer.status, 503);
}

/// Of a full page a self-hosted server does not say how many there are in all, so that its answer
/// can't be given in the hosted shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_hosted_upstream_is_not_asked_in_vain() {
    let world = World::new(WorldConfig {
        flavour: Flavour::SelfHosted,
        calls: 3000,
        now: Timestamp::now(),
        ..WorldConfig::default()
    });
    let unanswered = |faults: &mut Faults| faults.always_where("date_", Fault::ServerError);
    let site = Site::start_among(unanswered, world, &[]);
    site.until(|status| status.phase == Phase::Backfilling)
        .await;
    for path in [
        "/api/v1/calls?skip=77&limit=5",
        "/api/v1/calls?skip=77&call_sid=CA",
    ] {
        let answer = site.get(path).await;
        let told = answer.header("burki-edge-coverage").unwrap();
        assert!(told.starts_with("partial"), "{path}: {told}");
    }
    assert_eq!(site.simulator.count_requests("skip=77"), 0);
}

/// Browsers send both: whoever wants it fresh and has it already is told that he has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refetched_answer_has_the_replicas_etag_and_coding() {
    for flavour in [Flavour::Hosted, Flavour::SelfHosted] {
        let world = WorldConfig {
            flavour,
            calls: 40,
            // Whose order is another each time.
            same_instant: 0,
            without_start: 0,
            now: Timestamp::now(),
            ..WorldConfig::default()
        };
        let site = Site::of(world).await;
        for path in ["/api/v1/calls?limit=50", "/api/v1/calls/count"] {
            let gzip = ("accept-encoding", "gzip");
            let held = site.ask("GET", path, &[gzip], None).await;
            let afresh = [("cache-control", "no-cache"), gzip];
            let fresh = site.ask("GET", path, &afresh, None).await;
            let context = format!("{flavour:?} {path}");
            assert_eq!(fresh.status, 200, "{context}");
            assert!(
                fresh
                    .header("cache-status")
                    .unwrap()
                    .contains("fwd=request"),
                "{context}"
            );
            for name in ["etag", "content-encoding", "vary"] {
                assert_eq!(fresh.header(name), held.header(name), "{context}: {name}");
            }
            let tag = fresh.header("etag").unwrap().to_owned();
            let known = [
                ("cache-control", "no-cache"),
                gzip,
                ("if-none-match", &*tag),
            ];
            let same = site.ask("GET", path, &known, None).await;
            assert_eq!((same.status, same.text()), (304, ""), "{context}");
            assert_eq!(same.header("etag"), Some(&*tag), "{context}");
            let other = [
                ("cache-control", "no-cache"),
                ("if-none-match", "\"other\""),
            ];
            let other = site.ask("GET", path, &other, None).await;
            assert_eq!(other.status, 200, "{context}");
        }
    }
}
