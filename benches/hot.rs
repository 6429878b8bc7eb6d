//! The pieces that every request or every row goes through, one by one: `cargo bench --bench hot`.
//!
//! Their times are absolute, and so of this machine. They tell where the time goes and what a
//! change of one piece does; what a client gets is measured by the others.

#[expect(dead_code, reason = "no engine runs here")]
mod support;

use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, ETAG, IF_NONE_MATCH};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpResponse, web};
use burki_edge::http::{Audio, Auth, Scans, Shared, Webhooks, routes};
use burki_edge::model::{Call, CallKey, Timestamp, Verified, Window};
use burki_edge::store::{Learned, Reader, Writer};
use burki_edge::sync::{Clock, Engine, Settings};
use burki_edge::upstream::{DateForm, HttpSource, ListQuery, PAGE_LIMIT, Request, wire};
use divan::Bencher;
use tempfile::TempDir;

const CALLS: usize = 20_000;
const KEY: &str = "burki_0123456789abcdefghijklmnopqrstuv";

fn main() {
    divan::main();
}

/// A file with calls, as an edge has it that is up to date; nobody runs on it.
struct Replica {
    folder: TempDir,
    calls: Vec<Call>,
    handle: burki_edge::sync::Handle,
    _engine: Engine<HttpSource>,
}

static REPLICA: LazyLock<Replica> = LazyLock::new(|| Replica::make().expect("a replica"));

impl Replica {
    fn make() -> anyhow::Result<Replica> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("edge.db");
        let base_url = "http://127.0.0.1:9";
        let mut writer = Writer::open(&file, base_url)?;
        let mut calls = Vec::new();
        for (page, seq) in support::pages(CALLS)?.into_iter().zip(1..) {
            calls.extend(page.iter().cloned());
            writer.merge(answer(page, seq))?;
        }
        let request = answer(Vec::new(), 1_000_000).request;
        writer.keep_windows(vec![Window {
            from: Timestamp::MIN,
            to: Timestamp::now(),
            verified: request,
            rows: CALLS,
            open_ended: true,
        }])?;
        let source = HttpSource::new(&base_url.parse()?, KEY, Duration::from_secs(1))?;
        let clock: Clock = Arc::new(Timestamp::now);
        let (engine, handle) = Engine::new(source, writer, settings(), clock);
        Ok(Replica {
            folder,
            calls,
            handle,
            _engine: engine,
        })
    }

    fn shared(&self) -> Arc<Shared> {
        let file = self.folder.path().join("edge.db");
        Arc::new(Shared {
            webhooks: Webhooks::new(None),
            scans: Scans::of(&file),
            audio: Audio::none(),
            store_path: file,
            handle: self.handle.clone(),
            clock: Arc::new(Timestamp::now),
            auth: Auth::new(Some(KEY), [], false),
            base_url: String::new(),
            history: None,
            queue: None,
            budget_per_minute: 120,
        })
    }
}

fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_secs(10),
        reconcile_interval: Duration::from_secs(86_400),
        page_limit: PAGE_LIMIT,
        history: None,
        max_concurrency: 4,
        max_requests_per_minute: 120,
        details: Default::default(),
        seed: 1,
    }
}

fn answer(calls: Vec<Call>, seq: u64) -> Learned {
    Learned {
        request: Verified {
            at: Timestamp::now(),
            seq,
        },
        oldest_in_flight: seq,
        newest_seq: seq,
        calls,
        singly: false,
        absent: None,
        denied: Vec::new(),
        complete: None,
        windows: None,
    }
}

/// Whole requests, from the parsed head to the body's bytes: all but HTTP's own framing.
mod request {
    use super::*;

    /// Sends the requests of `ask`, one after the other, to an app that `configure` makes.
    fn serve(
        bencher: Bencher<'_, '_>,
        configure: impl FnOnce(&mut web::ServiceConfig),
        ask: impl Fn(&Call) -> TestRequest,
        status: u16,
    ) {
        let system = actix_web::rt::System::new();
        let app = system.block_on(init_service(App::new().configure(configure)));
        let next = Cell::new(0);
        bencher
            .with_inputs(|| {
                next.set((next.get() + 7919) % REPLICA.calls.len());
                ask(&REPLICA.calls[next.get()])
                    .insert_header((AUTHORIZATION, format!("Bearer {KEY}")))
                    .to_request()
            })
            .bench_local_values(|request| {
                let response = system.block_on(app.call(request)).expect("an answer");
                assert_eq!(response.status(), status);
                take(response)
            });
    }

    fn take(response: ServiceResponse<impl MessageBody>) -> web::Bytes {
        let body = response.into_body().try_into_bytes();
        body.unwrap_or_else(|_| panic!("a body at once"))
    }

    fn by_id(id: i64) -> TestRequest {
        TestRequest::get().uri(&format!("/api/v1/calls/{id}"))
    }

    #[divan::bench]
    fn constant(bencher: Bencher<'_, '_>) {
        let body = web::Bytes::from(REPLICA.calls[0].body.to_string());
        let handler = move || {
            let body = body.clone();
            async move {
                Ok::<_, Error>(
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(body),
                )
            }
        };
        let configure = |config: &mut web::ServiceConfig| {
            config.default_service(web::to(handler));
        };
        serve(bencher, configure, |call| by_id(call.id), 200);
    }

    #[divan::bench]
    fn uniform(bencher: Bencher<'_, '_>) {
        serve(
            bencher,
            routes(REPLICA.shared()),
            |call| by_id(call.id),
            200,
        );
    }

    #[divan::bench]
    fn hot(bencher: Bencher<'_, '_>) {
        let id = REPLICA.calls[0].id;
        serve(bencher, routes(REPLICA.shared()), |_| by_id(id), 200);
    }

    #[divan::bench]
    fn by_sid(bencher: Bencher<'_, '_>) {
        let ask =
            |call: &Call| TestRequest::get().uri(&format!("/api/v1/calls/sid/{}", call.call_sid));
        serve(bencher, routes(REPLICA.shared()), ask, 200);
    }

    #[divan::bench]
    fn not_modified(bencher: Bencher<'_, '_>) {
        let ask = |call: &Call| {
            by_id(call.id).insert_header((IF_NONE_MATCH, format!("\"{:016x}\"", call.body_hash())))
        };
        serve(bencher, routes(REPLICA.shared()), ask, 304);
    }
}

mod store {
    use super::*;

    #[divan::bench]
    fn call_by_id(bencher: Bencher<'_, '_>) {
        let reader = Reader::open(&REPLICA.folder.path().join("edge.db")).expect("a reader");
        let next = Cell::new(0);
        bencher.bench_local(|| {
            next.set((next.get() + 7919) % REPLICA.calls.len());
            reader
                .call(&CallKey::Id(REPLICA.calls[next.get()].id))
                .expect("a call")
        });
    }
}
