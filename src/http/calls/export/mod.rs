//! Exports: all calls that match, as a file that is sent while it is read in batches.
//!
//! Only a few batches are in memory, however many there are and however slow the client is. An
//! export that can't be completed breaks off its connection, so that no client takes the part for
//! the whole.

mod document;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::rt;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::http::caching::cache_control::Directives;
use crate::http::caching::content_coding::Coding;
use crate::http::caching::freshness::Freshness;
use crate::http::calls::list;
use crate::http::error::ApiError;
use crate::http::middleware::auth::Caller;
use crate::http::params::{Choice, Query};
use crate::http::proxy;
use crate::http::reading::completeness;
use crate::http::reading::completeness::{AnswerScope, COVERAGE, Reach};
use crate::http::reading::scans;
use crate::http::reading::worker::Worker;
use crate::model::CallFilter;
use crate::store::Reader;
use document::Format;
use progress::Progress;

/// How long the export waits for a client that accepts nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most pieces that wait for the client while the next is read.
const AHEAD: usize = 2;

const FORMAT: Choice<Format> = Choice {
    name: "format",
    usual: Format::Csv,
    pattern: "^(csv|json)$",
    values: &[("csv", Format::Csv), ("json", Format::Json)],
};

/// What the reading task sends.
enum Chunk {
    Bytes(Bytes),
    /// The file is complete.
    End,
}

/// The parameters of an export.
struct Asked {
    format: Format,
    filter: CallFilter,
}

impl Asked {
    /// In the order in which the upstream declares them.
    fn of(query: &str) -> Result<Asked, ApiError> {
        let mut query = Query::of(query);
        let format = query.choice(&FORMAT);
        let filter = list::narrowed(&mut query);
        query.finish()?;
        Ok(Asked { format, filter })
    }
}

/// True if the upstream applies these filters to an export. A self-hosted server ignores all but
/// the status, the assistant's id and the dates.
fn is_understood(filter: &CallFilter, is_hosted: bool) -> bool {
    let ignored = [
        filter.customer_phone.is_some(),
        filter.call_sid.is_some(),
        filter.assistant_name.is_some(),
    ];
    is_hosted || !ignored.contains(&true)
}

/// Answers `GET` and `HEAD`. It has no `ETag`: the content is unknown until it has been sent.
pub async fn get(
    worker: &Worker,
    caller: Caller,
    request: &HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (method, headers) = (request.method(), request.headers());
    let Asked { format, filter } = Asked::of(request.uri().query().unwrap_or_default())?;
    // Loaded before the rows: no reported age may be younger than its data.
    let coverage = Arc::clone(&worker.shared().handle.coverage());
    let mut extent = AnswerScope::whole(Reach::of(&filter));
    // There may be many suspects, and the worker's own thread has point reads to answer.
    let known = |reader: &Reader| Ok((reader.unverified()?, reader.knows_names()?));
    let (unverified, knows_names) = worker.shared().scans.run(known).await?;
    extent.suspect(&unverified);
    extent.is_nameless = !knows_names;
    let age = extent.age(&coverage, worker.now());
    let directives = Directives::of(headers);
    if directives.only_if_cached && !directives.accept(age) {
        return Err(ApiError::OnlyIfCached);
    }
    let lacks = !directives.accept(age) || !extent.is_complete(&coverage);
    let may_ask = !directives.only_if_cached
        && *method == Method::GET
        && worker.is_online()
        && is_understood(&filter, worker.status().is_hosted);
    if lacks && may_ask && caller == Caller::Upstream {
        // Nothing of it is stored: an export does not have the calls' texts.
        let answer = proxy::stream(worker, caller, request, payload).await;
        if let Ok(response) = answer
            && response.status() == StatusCode::OK
        {
            return Ok(response);
        }
    }
    worker.has_read_anything(&coverage)?;
    let coding = Coding::wanted(headers);
    let mut response = match *method == Method::HEAD {
        true => streamed(BodyStream::new(stream::empty::<Result<Bytes, Broken>>())),
        false => {
            let turn = worker.shared().scans.export_turn().await?;
            let progress = Progress::new(turn, filter, format, coding)?;
            // The first batch is read before the head is sent, while an error can still be
            // reported.
            let (first, progress) = scans::block(move || progress.step()).await?;
            streamed(pieces(first, progress))
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    let disposition = HeaderValue::from_static(format.disposition());
    headers.insert(CONTENT_DISPOSITION, disposition);
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(name) = coding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    headers.insert(COVERAGE, completeness::header(&extent, &coverage));
    let freshness = Freshness {
        origin: worker.origin(),
        age,
        stored: true,
    };
    freshness.write(headers);
    Ok(response)
}

fn streamed(body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::with_body(StatusCode::OK, body).map_into_boxed_body()
}

/// The reading task ended before the file did.
#[derive(Debug, thiserror::Error)]
#[error("the export was broken off")]
struct Broken;

/// The file as a stream, which a task of its own reads ahead of the client.
fn pieces(first: Bytes, progress: Option<Progress>) -> impl MessageBody {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // The task ends by itself: with the file, or when the client is gone or accepts nothing.
    drop(rt::spawn(send(sender, first, progress)));
    body_of(receiver)
}

/// The pieces as they come, and an error if they stop before the end.
fn body_of(receiver: mpsc::Receiver<Chunk>) -> impl MessageBody {
    BodyStream::new(stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            Some(Chunk::Bytes(bytes)) => Some((Ok(bytes), receiver)),
            Some(Chunk::End) => None,
            None => Some((Err(Broken), receiver)),
        }
    }))
}

async fn send(sender: mpsc::Sender<Chunk>, first: Bytes, progress: Option<Progress>) {
    let mut next = Some((first, progress));
    while let Some((bytes, progress)) = next {
        // A compressor may have no output yet.
        if !bytes.is_empty() && !hand_over(&sender, Chunk::Bytes(bytes)).await {
            return;
        }
        next = match progress {
            None => None,
            Some(progress) => match scans::block(move || progress.step()).await {
                Ok(step) => Some(step),
                Err(failure) => {
                    tracing::error!(%failure, "an export was broken off");
                    return;
                }
            },
        };
    }
    hand_over(&sender, Chunk::End).await;
}

/// Returns whether the client accepted it in time. A piece that waits occupies the export's permit.
async fn hand_over(sender: &mpsc::Sender<Chunk>, piece: Chunk) -> bool {
    matches!(
        tokio::time::timeout(PATIENCE, sender.send(piece)).await,
        Ok(Ok(()))
    )
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;
    use crate::http::params::validation_error::Step;

    #[tokio::test]
    async fn a_stream_whose_reader_gave_up_ends_with_an_error() {
        let (sender, receiver) = mpsc::channel(AHEAD);
        assert!(hand_over(&sender, Chunk::Bytes(Bytes::from_static(b"a"))).await);
        drop(sender);
        assert!(to_bytes(body_of(receiver)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_not_waited_for_for_ever() {
        let (sender, _receiver) = mpsc::channel(AHEAD);
        let piece = || Chunk::Bytes(Bytes::from_static(b"a"));
        assert!(hand_over(&sender, piece()).await);
        assert!(hand_over(&sender, piece()).await);
        assert!(!hand_over(&sender, piece()).await);
    }

    #[actix_web::test]
    async fn what_was_sent_arrives_in_order_and_ends() {
        let body = pieces(Bytes::from_static(b"all of it"), None);
        let Ok(bytes) = to_bytes(body).await else {
            panic!("it has an end")
        };
        assert_eq!(bytes, "all of it");
    }

    #[test]
    fn a_format_nobody_knows_comes_before_what_else_is_wrong() {
        let Err(ApiError::Invalid(problems)) = Asked::of("date_from=x&format=xml") else {
            panic!("there are problems")
        };
        let places: Vec<_> = problems
            .iter()
            .map(|problem| problem.place[1].clone())
            .collect();
        assert_eq!(places, [Step::Name("format"), Step::Name("date_from")]);
        assert_eq!(
            Asked::of("format=json").map(|asked| asked.format).ok(),
            Some(Format::Json)
        );
    }
}
