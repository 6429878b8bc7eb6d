//! A server before the simulated upstream that has recordings, each answered as a test wants it;
//! everything else is the simulator's to answer.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use burki_edge::simulator::WorldConfig;
use burki_edge::sync::{Phase, UpstreamState};
use bytes::Bytes;
use futures_util::stream;

use super::edge_and_upstream::Site;

/// How a recording is answered.
#[derive(Clone)]
pub enum Play {
    Audio(Vec<u8>),
    /// In pieces, so that nobody is told how long it is.
    Chunked(Vec<u8>),
    Other(u16, &'static str, &'static str),
    /// Ends after so much of what was promised.
    Broken(usize),
}

#[derive(Default)]
struct Inner {
    simulator: Option<String>,
    play: Option<Play>,
    /// The paths and ranges of the recordings that were asked for.
    asked: Vec<(String, Option<String>)>,
}

#[derive(Clone, Default)]
pub struct Studio {
    inner: Arc<Mutex<Inner>>,
}

/// An edge, behind it the studio, behind that the simulator.
pub struct Stage {
    pub studio: Studio,
    pub site: Site,
    server: ServerHandle,
}

impl Stage {
    pub async fn with(settings: &[(&str, &str)]) -> Stage {
        let studio = Studio::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = studio.clone();
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(shared.clone()))
                .default_service(web::to(answer))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        let mut settings = settings.to_vec();
        settings.push(("BURKI_EDGE_UPSTREAM__BASE_URL", base.as_str()));
        let world = WorldConfig {
            calls: 50,
            ..WorldConfig::default()
        };
        let site = Site::start(world, &settings);
        studio.inner.lock().unwrap().simulator = Some(site.simulator.base_url());
        site.handle.sync_now();
        site.until(|status| status.phase == Phase::Live).await;
        Stage {
            studio,
            site,
            server: handle,
        }
    }

    /// Takes the upstream away for good, and waits until the edge knows.
    pub async fn cut(&self) {
        self.server.stop(false).await;
        self.site.handle.sync_now();
        self.site
            .until(|status| status.state == UpstreamState::Offline)
            .await;
    }

    /// A call, and the path of a recording of it.
    pub fn recording(&self) -> (i64, String) {
        let id = self.site.simulator.world().newest(10)[9];
        (id, format!("/api/v1/calls/{id}/recording/7/play"))
    }
}

impl Studio {
    pub fn play(&self, play: Play) {
        self.inner.lock().unwrap().play = Some(play);
    }

    pub fn asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.inner.lock().unwrap().asked)
    }
}

async fn answer(
    studio: web::Data<Studio>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, actix_web::Error> {
    let path = request.path().to_owned();
    if path.ends_with("/play") {
        let range = request.headers().get("range");
        let range = range.map(|range| range.to_str().unwrap().to_owned());
        let play = {
            let mut inner = studio.inner.lock().unwrap();
            inner.asked.push((path, range));
            inner.play.clone().unwrap()
        };
        // Long enough for others to ask for the same.
        tokio::time::sleep(Duration::from_millis(100)).await;
        return Ok(respond(play));
    }
    let simulator = studio.inner.lock().unwrap().simulator.clone();
    let Some(simulator) = simulator else {
        return Ok(HttpResponse::ServiceUnavailable().finish());
    };
    let client = reqwest::Client::new();
    let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
    let mut passed = client
        .request(method, format!("{simulator}{}", request.uri()))
        .body(body);
    if let Some(key) = request.headers().get("authorization") {
        passed = passed.header("authorization", key.as_bytes());
    }
    let answer = passed.send().await.unwrap();
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status().as_u16()).unwrap());
    if let Some(kind) = answer.headers().get("content-type") {
        response.insert_header(("content-type", kind.as_bytes()));
    }
    Ok(response.body(answer.bytes().await.unwrap()))
}

fn respond(play: Play) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type("audio/wav;codec=1");
    match play {
        Play::Audio(audio) => response.body(audio),
        Play::Chunked(audio) => {
            let pieces: Vec<_> = audio.chunks(1000).map(Bytes::copy_from_slice).collect();
            response.streaming(stream::iter(
                pieces.into_iter().map(Ok::<_, std::io::Error>),
            ))
        }
        Play::Other(status, kind, body) => {
            HttpResponse::build(StatusCode::from_u16(status).unwrap())
                .content_type(kind)
                .insert_header(("retry-after", "9"))
                .body(body)
        }
        Play::Broken(length) => {
            let pieces = [
                Ok(Bytes::from(vec![7; length / 2])),
                Err(std::io::Error::other("cut")),
            ];
            response.body(SizedStream::new(length as u64, stream::iter(pieces)))
        }
    }
}
