//! What a client changed past the engine stays changed, whatever was under way meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use burki_edge::model::Call;
use burki_edge::simulator::WorldConfig;
use burki_edge::sync::{Chunks, Key, ProxyRequest, ProxyResponse};
use burki_edge::upstream::{Passing, Proxy};
use tokio::sync::Notify;

use super::engine_harness::Stage;

/// Takes a request, and answers when it is told to.
struct Slow(Arc<Notify>);

fn nothing() -> Chunks {
    Box::pin(futures_util::stream::empty())
}

impl Proxy for Slow {
    fn pass(&self, _outgoing: ProxyRequest) -> Passing<'_> {
        Box::pin(async {
            self.0.notified().await;
            Ok(ProxyResponse {
                status: 200,
                headers: Vec::new(),
                body: nothing(),
                length: Some(0),
                delimited: true,
            })
        })
    }
}

fn patch(id: i64) -> ProxyRequest {
    ProxyRequest {
        method: "PATCH".to_owned(),
        path_and_query: format!("/api/v1/calls/{id}/metadata"),
        headers: Vec::new(),
        key: Key::Callers,
        body: nothing(),
    }
}

#[tokio::test(start_paused = true)]
async fn however_much_clients_pass_on_the_head_is_read_and_history_goes_on() {
    let mut stage = Stage::new(WorldConfig {
        calls: 3000,
        ..WorldConfig::default()
    });
    stage.settings.max_requests_per_minute = 60;
    stage.settings.page_limit = 20;
    let running = stage.start();
    running.pass(20).await;
    let answer = Arc::new(Notify::new());
    let handle = running.handle.clone();
    let handle = handle.with_proxy(Arc::new(Slow(Arc::clone(&answer))));
    let granted = Arc::new(AtomicUsize::new(0));
    stage.forget_asked();
    for _ in 0..120 {
        for _ in 0..3 {
            let (handle, granted) = (handle.clone(), Arc::clone(&granted));
            tokio::spawn(async move {
                let passed = handle.pass(patch(1)).await;
                granted.fetch_add(usize::from(passed.is_ok()), Ordering::Relaxed);
            });
        }
        running.pass(1).await;
        answer.notify_waiters();
    }
    let asked = |part| stage.asked(part).len();
    let granted = granted.load(Ordering::Relaxed);
    let heads = stage
        .asked("limit=")
        .iter()
        .filter(|(_, path)| !path.contains("date_"))
        .count();
    let history = asked("date_");
    assert!((10..=13).contains(&heads), "{heads} heads");
    assert!(history >= 15, "{history} of history");
    assert!(granted >= 40, "{granted} of clients");
    assert!(asked("") + granted <= 150, "{} and {granted}", asked(""));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_list_read_before_a_change_does_not_undo_it() {
    let stage = Stage::at_rest(WorldConfig {
        calls: 40,
        ..WorldConfig::default()
    });
    let running = stage.start();
    running.until_live().await;
    running.pass(30).await;
    let id = stage.call_of_age(Duration::from_secs(20 * 86_400));
    let answer = Arc::new(Notify::new());
    let handle = running.handle.clone();
    let handle = handle.with_proxy(Arc::new(Slow(Arc::clone(&answer))));
    let passing = {
        let handle = handle.clone();
        tokio::spawn(async move { handle.pass(patch(id)).await })
    };
    running.pass(1).await;
    // The list begins after the request that changes the call, reads it before, and comes last.
    stage.hold_up("limit=50", Duration::from_secs(5));
    running.handle.sync_now();
    running.pass(1).await;
    stage.annotate(id);
    let text = stage.world().text(id).unwrap();
    answer.notify_one();
    let (permit, _) = passing
        .await
        .unwrap()
        .unwrap_or_else(|refused| panic!("{refused:?}"));
    let call = Call::from_json(&text).unwrap();
    assert!(handle.written(permit, call).await);
    for _ in 0..30 {
        assert_eq!(stage.held(id).as_deref(), Some(&*text));
        running.pass(1).await;
    }
    running.stop().await.unwrap();
    stage.assert_equal();
}
