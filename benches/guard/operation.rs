//! The operations that are hot, and how each is run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::num::NonZero;
use std::path::Path;

use burki_edge::http;
use burki_edge::model::Call;
use burki_edge::store::Writer;
use burki_edge::upstream::PAGE_LIMIT;
use strum::{Display, EnumString};

use super::support::replica::{KEY, Replica, answer};
use super::{CALLS, support};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum Operation {
    /// `GET /api/v1/calls/{id}` of a call that was asked for before.
    GetHot,
    /// Of one that was not.
    GetCold,
    GetBySid,
    NotModified,
    Unauthorized,
    /// A list that was asked for before, and nothing changed since.
    ListKept,
    ListNew,
    Count,
    /// A page of `/edge/changes`.
    FeedPage,
    /// A page of the upstream's that says what is held.
    MergeUnchanged,
    /// One of which every call is another.
    MergeChanged,
}

impl Operation {
    pub const ALL: [Operation; 11] = [
        Operation::GetHot,
        Operation::GetCold,
        Operation::GetBySid,
        Operation::NotModified,
        Operation::Unauthorized,
        Operation::ListKept,
        Operation::ListNew,
        Operation::Count,
        Operation::FeedPage,
        Operation::MergeUnchanged,
        Operation::MergeChanged,
    ];

    /// How often it is done in the first run and in the second.
    pub fn times(self) -> (u64, u64) {
        match self {
            Operation::MergeUnchanged | Operation::MergeChanged => (2, 8),
            Operation::ListNew | Operation::FeedPage | Operation::Count => (50, 250),
            _ => (500, 2500),
        }
    }

    /// The request, and the status of its answer.
    pub fn request(self, time: u64, calls: &[Call]) -> (String, u16) {
        let call = &calls[time as usize * 7919 % calls.len()];
        let by_id = |call: &Call| format!("/api/v1/calls/{}", call.id);
        let (path, more, status) = match self {
            Operation::GetHot => (by_id(&calls[0]), String::new(), 200),
            Operation::GetCold => (by_id(call), String::new(), 200),
            Operation::GetBySid => {
                let path = format!("/api/v1/calls/sid/{}", call.call_sid);
                (path, String::new(), 200)
            }
            Operation::NotModified => {
                let tag = format!("If-None-Match: \"{:016x}\"\r\n", calls[0].body_hash());
                (by_id(&calls[0]), tag, 304)
            }
            Operation::Unauthorized => (by_id(&calls[0]), String::new(), 401),
            Operation::ListKept => ("/api/v1/calls?limit=100".to_owned(), String::new(), 200),
            Operation::ListNew => {
                let path = format!("/api/v1/calls?limit=100&skip={time}");
                (path, String::new(), 200)
            }
            Operation::Count => {
                let path = format!("/api/v1/calls/count?status=completed&min_duration={time}");
                (path, String::new(), 200)
            }
            Operation::FeedPage => {
                let path = format!("/edge/changes?after={}&limit=100", time * 10);
                (path, String::new(), 200)
            }
            Operation::MergeUnchanged | Operation::MergeChanged => {
                (String::new(), String::new(), 0)
            }
        };
        let authorization = match self {
            Operation::Unauthorized => String::new(),
            _ => format!("Authorization: Bearer {KEY}\r\n"),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{authorization}{more}\r\n"
        );
        (request, status)
    }

    /// In the counted process: serves until its standard input ends, or does it so many times.
    pub fn run(self, times: u64, file: &Path) -> anyhow::Result<()> {
        match self {
            Operation::MergeUnchanged => merge(times, file, |call, _| call.clone()),
            Operation::MergeChanged => merge(times, file, support::changed),
            _ => serve(file),
        }
    }
}

/// Each time another page, once more or as `again` changes it.
fn merge(times: u64, file: &Path, again: impl Fn(&Call, usize) -> Call) -> anyhow::Result<()> {
    let pages = support::pages(CALLS)?;
    let mut writer = Writer::open(file, support::replica::UPSTREAM)?;
    for time in 1..=times {
        let page = &pages[time as usize % pages.len()];
        let calls: Vec<Call> = page.iter().map(|call| again(call, time as usize)).collect();
        debug_assert_eq!(calls.len(), PAGE_LIMIT);
        writer.merge(answer(calls, 1_000_000 + time))?;
    }
    Ok(())
}

fn serve(file: &Path) -> anyhow::Result<()> {
    let replica = Replica::open(file)?;
    actix_web::rt::System::new().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = http::start(replica.shared(), NonZero::new(1), None, vec![listener])?;
        let handle = server.handle();
        let serving = actix_web::rt::spawn(server);
        let mut out = std::io::stdout();
        writeln!(out, "listening {address}")?;
        out.flush()?;
        actix_web::rt::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
            .await??;
        handle.stop(false).await;
        serving.await??;
        Ok(())
    })
}
