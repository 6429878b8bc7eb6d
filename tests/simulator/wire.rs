//! What a client sees over a real socket.

use std::collections::BTreeSet;
use std::time::Duration;

use burki_edge::model::Timestamp;
use burki_edge::simulator::{ApiRequest, Fault, Flavour, Rates, Simulator, World, WorldConfig};
use reqwest::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;

/// Far more than anything here takes; a hang shows well before.
const DEADLINE: Duration = Duration::from_secs(20);

struct Upstream {
    simulator: Simulator,
    client: Client,
    key: String,
}

impl Upstream {
    fn start(config: WorldConfig) -> Upstream {
        let key = config.api_key.clone();
        let simulator = Simulator::start(World::new(config), "127.0.0.1:0").unwrap();
        // Refused where another test was first, which installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(Policy::none())
            .timeout(DEADLINE)
            .build()
            .unwrap();
        Upstream {
            simulator,
            client,
            key,
        }
    }

    fn hosted() -> Upstream {
        Upstream::start(WorldConfig::default())
    }

    fn self_hosted() -> Upstream {
        Upstream::start(WorldConfig {
            flavour: Flavour::SelfHosted,
            ..WorldConfig::default()
        })
    }

    fn url(&self, target: &str) -> String {
        format!("{}{target}", self.simulator.base_url())
    }

    async fn get(&self, target: &str) -> reqwest::Result<Response> {
        let request = self.client.get(self.url(target)).bearer_auth(&self.key);
        request.send().await
    }

    async fn text(&self, target: &str) -> String {
        self.get(target).await.unwrap().text().await.unwrap()
    }

    async fn ids(&self, target: &str) -> Vec<i64> {
        let list: Value = serde_json::from_str(&self.text(target).await).unwrap();
        let items = list.get("items").unwrap_or(&list).as_array().unwrap();
        let ids = items.iter().map(|item| item["id"].as_i64().unwrap());
        ids.collect()
    }

    /// Orders a fault for the next request and makes it.
    async fn under(&self, fault: Fault) -> reqwest::Result<Response> {
        self.simulator.faults().once(fault);
        self.get("/api/v1/calls").await
    }

    fn last_status(&self) -> Option<u16> {
        self.simulator.requests().last().unwrap().status
    }
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> &str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn rows_without_a_start_come_first_and_ties_differ_between_requests() {
    let upstream = Upstream::start(WorldConfig {
        same_instant: 40,
        without_start: 20,
        calls: 200,
        ..WorldConfig::default()
    });
    let first = upstream.ids("/api/v1/calls?limit=1000").await;
    let again = upstream.ids("/api/v1/calls?limit=1000").await;
    assert_eq!(first.len(), 200);
    assert_ne!(first, again);
    let set = |ids: &[i64]| ids.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(set(&first), set(&again));
    let world = upstream.simulator.world();
    let starts = |ids: &[i64]| {
        let start = |id: &i64| world.get(*id).unwrap().started_at;
        ids.iter().map(start).collect::<Vec<_>>()
    };
    assert_eq!(starts(&first), starts(&again));
    assert!(starts(&first)[..20].iter().all(Option::is_none));
    assert!(starts(&first)[20..].is_sorted_by(|newer, older| newer >= older));
    assert!(starts(&first)[20..].iter().all(Option::is_some));
}

#[tokio::test]
async fn a_hosted_list_has_a_total_whatever_is_skipped_or_filtered() {
    let upstream = Upstream::hosted();
    let text = upstream.text("/api/v1/calls/?skip=995&limit=10").await;
    assert!(text.ends_with("],\"total\":1000,\"skip\":995,\"limit\":10}"));
    assert_eq!(
        upstream.ids("/api/v1/calls?skip=995&limit=10").await.len(),
        5
    );
    let body = upstream
        .text("/api/v1/calls?status=completed&limit=1")
        .await;
    let list: Value = serde_json::from_str(&body).unwrap();
    let count = upstream.text("/api/v1/calls/count?status=completed").await;
    assert_eq!(count, format!("{{\"count\":{}}}", list["total"]));
}

#[tokio::test]
async fn every_filter_narrows_the_list_as_its_records_say() {
    let upstream = Upstream::hosted();
    for (target, matches) in [
        (
            "assistant_id=4",
            (|text| text.contains("\"assistant_id\":4,")) as fn(&str) -> bool,
        ),
        ("assistant_name=OFF_camp", |text| {
            text.contains("50% off_campaign")
        }),
        ("customer_phone=SIP:USER", |text| {
            text.contains("\"sip:user")
        }),
        ("call_sid=V3:", |text| text.contains("\"call_sid\":\"v3:")),
        ("status=failed&min_duration=1&max_duration=1", |text| {
            text.contains("\"status\":\"failed\",\"duration\":1,")
        }),
    ] {
        let served = upstream
            .ids(&format!("/api/v1/calls?limit=1000&{target}"))
            .await;
        let world = upstream.simulator.world();
        let matching = world.texts().filter(|(.., text)| matches(text));
        let expected: BTreeSet<i64> = matching.map(|(id, ..)| id).collect();
        assert!(!expected.is_empty(), "{target}");
        assert_eq!(BTreeSet::from_iter(served), expected, "{target}");
    }
    for nothing in [
        "assistant_id=0",
        "status=",
        "assistant_name=&call_sid=",
        "unknown=1",
    ] {
        let target = format!("/api/v1/calls?limit=1000&{nothing}");
        assert_eq!(upstream.ids(&target).await.len(), 1000, "{nothing}");
    }
}

#[tokio::test]
async fn the_self_hosted_server_ignores_filters_that_it_does_not_know() {
    let upstream = Upstream::self_hosted();
    let all = upstream.ids("/api/v1/calls/?limit=1000").await.len();
    for ignored in ["call_sid=nope", "assistant_name=nope"] {
        let target = format!("/api/v1/calls/?limit=1000&{ignored}");
        assert_eq!(upstream.ids(&target).await.len(), all, "{ignored}");
    }
    let target = "/api/v1/calls/?limit=1000&customer_phone=nope";
    assert_eq!(upstream.ids(target).await.len(), 0);
    for ignored in [
        "call_sid=nope",
        "assistant_name=nope",
        "customer_phone=nope",
    ] {
        let target = format!("/api/v1/calls/export?{ignored}");
        let csv = upstream.text(&target).await;
        assert_eq!(csv.lines().count(), all + 1, "{ignored}");
    }
}

#[test]
fn a_page_may_tell_a_row_twice() {
    let mut world = World::new(WorldConfig {
        doubled: 1.0,
        ..WorldConfig::default()
    });
    let request = ApiRequest::new("GET", "/api/v1/calls?limit=20").with_key(world.api_key());
    let mut told = world.answer(&request).records;
    assert_eq!(told.len(), 20);
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 19);
}

#[tokio::test]
async fn dates_bound_a_list_inclusively_and_a_raw_plus_is_refused() {
    let upstream = Upstream::hosted();
    let instant = Timestamp::parse("2026-11-01T12:00:00.250000").unwrap();
    let id = upstream.simulator.world().start_call(Some(instant));
    for form in [
        "2026-11-01T12:00:00.250000",
        "2026-11-01%2012:00:00.25Z",
        "2026-11-01T17:30:00.25%2B05:30",
        "1793534400.25",
        "1793534400250",
    ] {
        let target = format!("/api/v1/calls?date_from={form}&date_to={form}");
        assert_eq!(upstream.ids(&target).await, [id], "{form}");
    }
    let refused = upstream
        .get("/api/v1/calls?date_from=2026-11-01T17:30:00+05:30")
        .await;
    assert_eq!(refused.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn the_self_hosted_server_redirects_between_slash_forms() {
    let upstream = Upstream::self_hosted();
    for (from, to) in [
        ("/api/v1/calls?limit=2", "/api/v1/calls/?limit=2"),
        ("/api/v1/calls/5/", "/api/v1/calls/5"),
        ("/api/v1/calls/sid/v3%3Aa/", "/api/v1/calls/sid/v3:a"),
    ] {
        let response = upstream.get(from).await.unwrap();
        assert_eq!(response.status(), StatusCode::TEMPORARY_REDIRECT, "{from}");
        assert_eq!(header(&response, LOCATION), upstream.url(to));
        assert!(!response.headers().contains_key(CONTENT_TYPE));
        assert_eq!(response.text().await.unwrap(), "");
    }
    assert_eq!(upstream.ids("/api/v1/calls/?limit=3").await.len(), 3);
    let me = upstream.get("/api/v1/users/me").await.unwrap();
    assert_eq!(me.status(), StatusCode::NOT_FOUND);
    assert_eq!(me.text().await.unwrap(), r#"{"detail":"Not Found"}"#);
}

#[tokio::test]
async fn an_unknown_assistant_is_a_500_on_a_self_hosted_list_and_count() {
    let upstream = Upstream::self_hosted();
    for target in [
        "/api/v1/calls/?assistant_id=99",
        "/api/v1/calls/count?assistant_id=99",
    ] {
        let response = upstream.get(target).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn an_assistant_is_deleted_with_all_its_calls() {
    let upstream = Upstream::self_hosted();
    let target = "/api/v1/calls/?limit=1000&assistant_id=3";
    let ids = upstream.ids(target).await;
    assert!(!ids.is_empty());
    assert_eq!(upstream.simulator.world().delete_assistant(3), ids.len());
    let gone = upstream.get(target).await.unwrap();
    assert_eq!(gone.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let count = upstream.text("/api/v1/calls/count").await;
    assert_eq!(count, format!("{{\"count\":{}}}", 1000 - ids.len()));
    let call = upstream.get(&format!("/api/v1/calls/{}", ids[0])).await;
    assert_eq!(call.unwrap().status(), StatusCode::NOT_FOUND);
    let left = upstream.ids("/api/v1/calls/?limit=1000").await;
    assert!(ids.iter().all(|id| !left.contains(id)));
}

#[tokio::test]
async fn a_call_is_read_by_id_and_by_sid_and_its_metadata_merged() {
    let upstream = Upstream::hosted();
    let (id, sid) = {
        let mut world = upstream.simulator.world();
        let id = world.start_call(None);
        world.set_metadata(id, Some(r#"{"b":1,"a":[1.10]}"#));
        (id, world.get(id).unwrap().call_sid.clone())
    };
    let text = upstream.text(&format!("/api/v1/calls/{id}/")).await;
    assert_eq!(
        upstream.text(&format!("/api/v1/calls/sid/{sid}")).await,
        text
    );
    let patch = upstream
        .client
        .patch(upstream.url(&format!("/api/v1/calls/{id}/metadata")))
        .bearer_auth(&upstream.key)
        .body(r#"{"metadata": {"b": null, "new": "\u00e9"}}"#);
    let answer = patch.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains(r#""call_meta":{"a":[1.10],"new":"é"},"#));
    assert_eq!(upstream.text(&format!("/api/v1/calls/{id}")).await, answer);
}

#[tokio::test]
async fn a_key_is_asked_for_before_parameters_and_of_any_scheme_spelling() {
    let upstream = Upstream::hosted();
    let url = upstream.url("/api/v1/calls/abc");
    for value in [
        None,
        Some("Bearer nope".to_owned()),
        Some(upstream.key.clone()),
    ] {
        let mut request = upstream.client.get(&url);
        if let Some(value) = &value {
            request = request.header("authorization", value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(header(&response, WWW_AUTHENTICATE), "Bearer");
    }
    let spelled = format!("bEARER {}", upstream.key);
    let request = upstream.client.get(&url).header("authorization", spelled);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!response.text().await.unwrap().contains("\"url\""));
    let me: Value = serde_json::from_str(&upstream.text("/api/v1/users/me").await).unwrap();
    assert_eq!(me["organization_id"], 7);
}

#[tokio::test]
async fn another_method_is_a_405_that_names_the_right_one() {
    let upstream = Upstream::hosted();
    for (method, target, allow) in [
        (Method::DELETE, "/api/v1/calls/5", "GET"),
        (Method::HEAD, "/api/v1/calls", "GET"),
        (Method::GET, "/api/v1/calls/5/metadata", "PATCH"),
    ] {
        let request = upstream.client.request(method, upstream.url(target));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, ALLOW), allow);
    }
}

#[tokio::test]
async fn faults_that_are_answers_look_as_ordered_and_hit_one_request() {
    let upstream = Upstream::hosted();
    let retry_after = "7".to_owned();
    for (fault, status, kind, part) in [
        (
            Fault::Unauthorized,
            401,
            "application/json",
            "Authentication required",
        ),
        (
            Fault::Throttled { retry_after },
            429,
            "application/json",
            "Too Many",
        ),
        (
            Fault::ServerError,
            500,
            "text/plain",
            "Internal Server Error",
        ),
        (Fault::Unavailable, 503, "text/html", "<html>"),
        (Fault::NotFoundPage, 404, "text/html", "<html>"),
        (
            Fault::EmptyList,
            200,
            "application/json",
            "{\"items\":[],\"total\":0",
        ),
    ] {
        let response = upstream.under(fault.clone()).await.unwrap();
        assert_eq!(response.status(), status, "{fault:?}");
        assert!(
            header(&response, CONTENT_TYPE).starts_with(kind),
            "{fault:?}"
        );
        if status == 429 {
            assert_eq!(header(&response, RETRY_AFTER), "7");
        }
        assert!(response.text().await.unwrap().contains(part), "{fault:?}");
        assert_eq!(upstream.last_status(), Some(status));
        assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
    }
    let garbage = upstream.under(Fault::Garbage).await.unwrap();
    assert_eq!(garbage.status(), 200);
    assert_eq!(header(&garbage, CONTENT_TYPE), "application/json");
    let text = garbage.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&text).is_err());
}

#[tokio::test]
async fn a_reset_request_gets_no_answer_and_changes_nothing() {
    let upstream = Upstream::hosted();
    let id = upstream.simulator.world().start_call(None);
    let before = upstream.simulator.world().text(id);
    upstream.simulator.faults().once(Fault::Reset);
    let url = upstream.url(&format!("/api/v1/calls/{id}/metadata"));
    let patch = upstream.client.patch(url).bearer_auth(&upstream.key);
    let error = patch
        .body(r#"{"metadata":{"a":1}}"#)
        .send()
        .await
        .unwrap_err();
    assert!(!error.is_timeout() && !error.is_connect(), "{error:?}");
    assert_eq!(upstream.last_status(), None);
    assert_eq!(upstream.simulator.world().text(id), before);
}

#[tokio::test]
async fn a_truncated_answer_ends_before_its_promised_length() {
    let upstream = Upstream::hosted();
    let whole = upstream.text("/api/v1/calls").await.len() as u64;
    let response = upstream.under(Fault::Truncated).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.content_length(), Some(whole));
    let error = response.bytes().await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn an_answer_is_spoiled_on_its_way_out() {
    let upstream = Upstream::hosted();
    upstream
        .simulator
        .faults()
        .at_random(1, 1.0, vec![Fault::ShortList(2)]);
    assert_eq!(upstream.ids("/api/v1/calls?limit=50").await.len(), 2);
    let count = upstream.text("/api/v1/calls/count").await;
    assert_eq!(count, r#"{"count":1000}"#);
    upstream.simulator.faults().clear();
    let spoiled = upstream.under(Fault::HugeNumber).await.unwrap();
    assert_eq!(spoiled.status(), 200);
    assert_eq!(header(&spoiled, CONTENT_TYPE), "application/json");
    let text = spoiled.text().await.unwrap();
    assert_eq!(text.matches("\"id\":99999999999999999999,").count(), 1);
}

#[tokio::test]
async fn a_hanging_request_is_never_answered_while_others_are() {
    let upstream = Upstream::hosted();
    upstream.simulator.faults().once(Fault::Hang);
    let hanging = upstream.get("/api/v1/calls?hanging");
    tokio::pin!(hanging);
    while upstream.simulator.requests().is_empty() {
        tokio::select! {
            biased;
            _ = &mut hanging => panic!("answered"),
            () = tokio::task::yield_now() => {}
        }
    }
    tokio::select! {
        biased;
        _ = &mut hanging => panic!("answered"),
        ids = upstream.ids("/api/v1/calls") => assert_eq!(ids.len(), 100),
    }
    // Cutting the line ends it.
    upstream.simulator.cut();
    assert!(!hanging.await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn latency_delays_the_right_answer() {
    let upstream = Upstream::hosted();
    let delay = Duration::from_millis(30);
    let begin = std::time::Instant::now();
    let response = upstream.under(Fault::Latency(delay)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(begin.elapsed() >= delay);
}

#[tokio::test]
async fn an_unreadable_record_spoils_only_answers_that_contain_it() {
    let upstream = Upstream::hosted();
    let ids = upstream.simulator.world().newest(300);
    let bad = ids[150];
    upstream.simulator.faults().make_unreadable(bad);
    let status = async |target: &str| upstream.get(target).await.unwrap().status().as_u16();
    assert_eq!(status("/api/v1/calls?limit=100").await, 200);
    assert_eq!(status("/api/v1/calls?skip=100&limit=100").await, 500);
    assert_eq!(status("/api/v1/calls?skip=200&limit=100").await, 200);
    assert_eq!(status(&format!("/api/v1/calls/{bad}")).await, 500);
    assert_eq!(status(&format!("/api/v1/calls/{}", ids[151])).await, 200);
    upstream.simulator.faults().make_readable(bad);
    assert_eq!(status("/api/v1/calls?skip=100&limit=100").await, 200);
}

#[tokio::test]
async fn a_cut_line_drops_every_connection_until_it_is_restored() {
    let upstream = Upstream::hosted();
    let control = async |what: &str| {
        let url = upstream.url(&format!("/simulator/{what}"));
        upstream.client.post(url).send().await.unwrap().status()
    };
    assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
    upstream.simulator.cut();
    assert!(upstream.get("/api/v1/calls").await.is_err());
    upstream.simulator.restore();
    assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
    assert_eq!(control("cut").await, StatusCode::OK);
    assert!(upstream.get("/api/v1/calls").await.is_err());
    assert!(upstream.get("/api/v1/calls").await.is_err());
    assert_eq!(control("restore").await, StatusCode::OK);
    assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
}

#[tokio::test]
async fn a_stopped_upstream_refuses_connections_and_frees_its_port() {
    let mut upstream = Upstream::hosted();
    assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
    let address = ("127.0.0.1", upstream.simulator.port());
    upstream.simulator.stop();
    assert!(upstream.get("/api/v1/calls").await.is_err());
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    upstream.simulator = Simulator::start(World::new(WorldConfig::default()), address).unwrap();
    assert_eq!(upstream.ids("/api/v1/calls").await.len(), 100);
}

#[tokio::test]
async fn a_living_upstream_follows_the_clock_it_is_given() {
    let upstream = Upstream::start(WorldConfig {
        rates: Rates {
            calls: 60.0,
            ..Rates::STILL
        },
        ..WorldConfig::default()
    });
    // A clock an hour ahead of the world: one tick makes a whole hour pass.
    upstream
        .simulator
        .live(|| WorldConfig::default().now + Duration::from_secs(3600));
    let grown =
        async { while upstream.text("/api/v1/calls/count").await == r#"{"count":1000}"# {} };
    tokio::time::timeout(DEADLINE, grown).await.unwrap();
}

#[tokio::test]
async fn requests_are_logged_in_order_with_what_became_of_them() {
    let upstream = Upstream::hosted();
    upstream.get("/api/v1/calls?limit=2").await.unwrap();
    upstream.get("/nope").await.unwrap();
    let log = upstream.simulator.requests();
    let seen: Vec<_> = log
        .iter()
        .map(|one| (one.sequence, &*one.target, one.status))
        .collect();
    assert_eq!(
        seen,
        [
            (1, "/api/v1/calls?limit=2", Some(200)),
            (2, "/nope", Some(404))
        ]
    );
    assert_eq!(upstream.simulator.count_requests("limit="), 1);
    upstream.simulator.clear_requests();
    assert!(upstream.simulator.requests().is_empty());
}
