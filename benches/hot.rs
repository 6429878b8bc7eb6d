//! The pieces that every request or every row goes through, one by one: `cargo bench --bench hot`.
//!
//! Their times are absolute, and so of this machine. They tell where the time goes and what a
//! change of one piece does; what a client gets is measured by the others.

#![expect(clippy::expect_used, reason = "a bench may end where it stands")]

#[expect(dead_code, reason = "no engine runs here")]
mod support;

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, IF_NONE_MATCH};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, HttpResponse, web};
use burki_edge::http::{Shared, routes};
use burki_edge::model::{Call, CallKey, Timestamp};
use burki_edge::store::{Reader, Writer};
use burki_edge::upstream::{DateForm, ListQuery, PAGE_LIMIT, Request, wire};
use divan::Bencher;
use support::replica::{self, KEY, Replica, answer};
use tempfile::TempDir;

/// More than a worker keeps in memory of calls of this size.
const CALLS: usize = 30_000;

fn main() {
    divan::main();
}

/// A file with calls, as an edge has it that is up to date; nobody runs on it.
struct Filled {
    replica: Replica,
    calls: Vec<Call>,
    _folder: TempDir,
}

static REPLICA: LazyLock<Filled> = LazyLock::new(|| Filled::make().expect("a replica"));

impl Filled {
    fn make() -> anyhow::Result<Filled> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("edge.db");
        let calls = replica::write(&file, CALLS)?;
        Ok(Filled {
            replica: Replica::open(&file)?,
            calls,
            _folder: folder,
        })
    }

    fn shared(&self) -> Arc<Shared> {
        self.replica.shared()
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

/// The file alone, a row at a time and a page at a time.
mod store {
    use super::*;

    #[divan::bench]
    fn call_by_id(bencher: Bencher<'_, '_>) {
        let reader = Reader::open(&REPLICA.replica.file).expect("a reader");
        let next = Cell::new(0);
        bencher.bench_local(|| {
            next.set((next.get() + 7919) % REPLICA.calls.len());
            let id = REPLICA.calls[next.get()].id;
            reader.call(&CallKey::Id(id)).expect("a call")
        });
    }

    /// A file of [`CALLS`] calls, of which one page after the other is merged once more.
    fn merge(bencher: Bencher<'_, '_>, again: impl Fn(&Call, usize) -> Call) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer =
            Writer::open(&folder.path().join("edge.db"), "http://edge").expect("a file");
        let pages: Vec<&[Call]> = REPLICA.calls.chunks(PAGE_LIMIT).collect();
        for (page, seq) in pages.iter().zip(1..) {
            writer.merge(answer(page.to_vec(), seq)).expect("merged");
        }
        let round = Cell::new(pages.len());
        bencher
            .with_inputs(|| {
                round.set(round.get() + 1);
                let page = pages[round.get() * 7 % pages.len()];
                let calls = page.iter().map(|call| again(call, round.get())).collect();
                answer(calls, round.get() as u64)
            })
            .bench_local_values(|learned| writer.merge(learned).expect("merged"));
    }

    #[divan::bench]
    fn merge_unchanged_page(bencher: Bencher<'_, '_>) {
        merge(bencher, |call, _| call.clone());
    }

    #[divan::bench]
    fn merge_changed_page(bencher: Bencher<'_, '_>) {
        merge(bencher, support::changed);
    }
}

/// An answer's bytes, a thousand calls.
#[divan::bench]
fn decode_page(bencher: Bencher<'_, '_>) {
    let calls = &REPLICA.calls[..PAGE_LIMIT];
    let texts: Vec<&str> = calls.iter().map(|call| &*call.body).collect();
    let body = format!(r#"{{"items":[{}],"total":{CALLS}}}"#, texts.join(","));
    let request = Request::List(ListQuery {
        from: None,
        to: None,
        status: None,
        skip: 0,
        limit: PAGE_LIMIT,
    });
    let now = Timestamp::now();
    bencher
        .counter(divan::counter::BytesCount::new(body.len()))
        .bench_local(|| {
            wire::reply(&request, DateForm::NAIVE, 200, None, body.as_bytes(), now).expect("a page")
        });
}
