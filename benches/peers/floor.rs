//! The floor: as little as a server of the edge's framework can do to send that many bytes. One
//! process answers as many as a call has on average, one as many as a page of the list.

use std::ffi::OsString;
use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, ensure};

use super::Settings;
use super::client::Answer;
use super::data::Sample;
use super::load::Load;
use super::peer::Peer;
use super::service::{DEADLINE, Service};

pub const MODE: &str = "floor";

pub struct Floor {
    call: Service,
    page: Service,
    bytes: (usize, usize),
}

impl Floor {
    pub fn start(settings: &Settings, call: usize, page: usize) -> anyhow::Result<Floor> {
        let bench = std::env::current_exe()?;
        let start = |name, bytes: usize| {
            Service::start(
                name,
                &bench,
                settings.folder.path(),
                DEADLINE,
                |command, address| {
                    command.arg(MODE).arg(address.to_string());
                    command.args([bytes.to_string(), settings.workers.to_string()]);
                    Ok(())
                },
            )
        };
        Ok(Floor {
            call: start("floor", call)?,
            page: start("floor-page", page)?,
            bytes: (call, page),
        })
    }
}

impl Peer for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn address(&self, load: Load) -> SocketAddr {
        match load.is_list() {
            true => self.page.address,
            false => self.call.address,
        }
    }

    fn target(&self, load: Load) -> Option<(&'static str, &'static str)> {
        Some(load.target())
    }

    fn check(&self, load: Load, _: &Sample, answer: &Answer) -> anyhow::Result<()> {
        let (call, page) = self.bytes;
        let bytes = if load.is_list() { page } else { call };
        ensure!(answer.status == 200, "not a 200");
        ensure!(answer.body.len() == bytes, "not {bytes} bytes");
        Ok(())
    }
}

/// The process: an address, the bytes of an answer, the number of workers.
pub fn serve(args: &[OsString]) -> anyhow::Result<()> {
    let args: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let [address, bytes, workers] = args[..] else {
        anyhow::bail!("floor ADDRESS BYTES WORKERS");
    };
    let body = web::Bytes::from(vec![b'x'; bytes.parse().context("BYTES")?]);
    let server = HttpServer::new(move || {
        let body = body.clone();
        App::new().default_service(web::to(move || {
            let body = body.clone();
            async move {
                HttpResponse::Ok()
                    .content_type("application/json")
                    .body(body)
            }
        }))
    });
    let server = server.workers(workers.parse().context("WORKERS")?);
    actix_web::rt::System::new().block_on(server.bind(address)?.run())?;
    Ok(())
}
