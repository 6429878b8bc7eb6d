//! What the log never holds, however talkative it is made: keys, tokens, and whose calls they are.

use burki_edge::simulator::{Flavour, Simulator};

use super::edge_process::{KEY, Known, Site, calls, serve, world};

const STRANGER: &str = "burki_a_token_that_opens_nothing";
const UNKNOWN_SID: &str = "CA0000000000000000000000000000dead";

/// Of every call: its SID, its numbers where they are more than a word, and its metadata.
fn private(simulator: &Simulator) -> Vec<String> {
    let world = simulator.world();
    let mut private = Vec::new();
    for record in world.records() {
        private.push(record.call_sid.to_string());
        private.push(record.to_phone_number.to_string());
        private.push(record.customer_phone_number.to_string());
        let metadata = record.call_meta.as_deref().unwrap_or_default();
        private.push(metadata.trim_matches(['{', '}']).to_owned());
    }
    private.retain(|text| text.len() > "anonymous".len());
    private.extend([KEY, STRANGER, UNKNOWN_SID, "Ada Lovelace", "call_meta"].map(str::to_owned));
    private.sort_unstable();
    private.dedup();
    private
}

#[tokio::test]
async fn no_log_level_brings_a_secret_or_a_callers_data_into_the_log() {
    let simulator = serve(world(Flavour::Hosted, 400));
    let mut site = Site::of(&simulator);
    site.set(
        "RUST_LOG",
        "trace,hyper=trace,h2=trace,reqwest=trace,actix_http=trace",
    );
    let edge = site.serve_all();

    let known: Vec<Known> = calls(&simulator);
    for call in known.iter().step_by(10) {
        let by_sid = format!("/api/v1/calls/sid/{}", call.sid);
        assert_eq!(edge.get(&by_sid).await.body, call.text);
        let by_id = format!("/api/v1/calls/{}", call.id);
        assert_eq!(edge.get(&by_id).await.body, call.text);
    }
    for call in &known[..5] {
        let by_sid = format!("/api/v1/calls/sid/{}", call.sid);
        let stranger = edge
            .get_as(&by_sid, Some(&format!("Bearer {STRANGER}")))
            .await;
        assert_eq!(stranger.status, 401);
    }
    let new = simulator.world().start_call(None);
    assert_eq!(edge.get(&format!("/api/v1/calls/{new}")).await.status, 200);
    let unknown = format!("/api/v1/calls/sid/{UNKNOWN_SID}");
    assert_eq!(edge.get(&unknown).await.status, 404);
    simulator.cut();
    // It may be a new call's.
    assert_eq!(edge.get(&format!("{unknown}0")).await.status, 503);
    let log = edge.stop().stderr;

    assert!(log.contains("phase=Live") && log.contains("stopped"));
    let leaked: Vec<String> = private(&simulator)
        .into_iter()
        .filter(|text| log.contains(text.as_str()))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?} in\n{log}");
    // What the libraries would say is not even listened to.
    let of_libraries = |line: &&str| line.contains(" TRACE ") || line.contains(" DEBUG ");
    assert_eq!(log.lines().find(of_libraries), None);
}
