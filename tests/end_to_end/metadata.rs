//! A change of metadata goes to the upstream, and whoever made it reads it here at once.

use burki_edge::simulator::WorldConfig;
use serde_json::json;

use super::edge_and_upstream::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_read_back_also_when_the_line_breaks_right_after() {
    let site = Site::of(WorldConfig::default()).await;
    let id = site.simulator.world().newest(10)[9];
    let path = format!("/api/v1/calls/{id}/metadata/");
    let body = json!({"metadata": {"größe": [1, 2.50], "agenda": null}}).to_string();
    let patched = site.ask("PATCH", &path, &[], Some(&body)).await;
    assert_eq!(patched.status, 200, "{}", patched.text());
    assert_eq!(patched.json()["call_meta"]["größe"], json!([1, 2.5]));
    site.simulator.cut();
    let read = site.get(&format!("/api/v1/calls/{id}")).await;
    assert_eq!(read.text(), patched.text());
    assert_eq!(read.header("etag"), patched.header("etag"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstreams_refusals_are_passed_back_as_they_are() {
    let site = Site::of(WorldConfig::default()).await;
    let id = site.simulator.world().newest(1)[0];
    for (path, body) in [
        (format!("/api/v1/calls/{id}/metadata"), "{}"),
        (format!("/api/v1/calls/{id}/metadata"), "{"),
        (format!("/api/v1/calls/{id}/metadata"), r#"{"metadata":[]}"#),
        (
            "/api/v1/calls/999999/metadata".to_owned(),
            r#"{"metadata":{"a":1}}"#,
        ),
        (
            "/api/v1/calls/abc/metadata".to_owned(),
            r#"{"metadata":{"a":1}}"#,
        ),
    ] {
        let edge = site.ask("PATCH", &path, &[], Some(body)).await;
        let upstream = site.upstream("PATCH", &path, Some(body)).await;
        assert_eq!(edge.status, upstream.status, "{path} {body}");
        assert_eq!(edge.json(), upstream.json(), "{path} {body}");
    }
    let get = site.get(&format!("/api/v1/calls/{id}/metadata")).await;
    assert_eq!((get.status, get.header("allow")), (405, Some("PATCH")));
    let large = format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(2 << 20));
    let path = format!("/api/v1/calls/{id}/metadata");
    let refused = site.ask("PATCH", &path, &[], Some(&large)).await;
    assert_eq!(refused.status, 413);
}
