//! Downloads of recordings into the cache: requests for the same recording share one.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::http::calls::recordings::cache::{Cache, Draft};
use crate::http::calls::recordings::file_name;
use crate::http::calls::recordings::file_name::Key;
use crate::http::passed_answer::{self, Answer};
use crate::sync::{Clock, Handle, NotPassed, ProxyRequest, ProxyResponse};

/// The longest time that a download may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// The bytes that are written at once.
const PIECE: usize = 256 << 10;

/// The outcome of a download.
#[derive(Clone)]
pub enum Outcome {
    /// It is in the cache.
    StoredRecording,
    /// It can't be stored: each request has to be forwarded.
    NotKept,
    /// The upstream gave another answer.
    Said(Arc<Answer>),
    /// The upstream can't be asked, or broke off. `retry_after` is in seconds.
    Unavailable { retry_after: u64 },
}

/// The `Retry-After` if nothing better is known, in seconds.
const RETRY_AFTER: u64 = 5;

type Landing = watch::Receiver<Option<Outcome>>;

/// The downloads in flight.
#[derive(Default)]
pub struct Downloads(Mutex<HashMap<Key, Landing>>);

/// What a download needs.
pub struct Fetch {
    pub cache: Arc<Cache>,
    pub handle: Handle,
    pub clock: Clock,
    pub key: Key,
}

impl Downloads {
    /// Joins the download in flight, or begins one. It goes on when its clients are gone: a player
    /// often drops its first request, and asks again for a range.
    pub async fn fetch(self: &Arc<Downloads>, fetch: Fetch, outgoing: ProxyRequest) -> Outcome {
        let mut landing = self.join(fetch, outgoing);
        let landed = landing.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or(Outcome::Unavailable {
            retry_after: RETRY_AFTER,
        })
    }

    fn join(self: &Arc<Downloads>, fetch: Fetch, outgoing: ProxyRequest) -> Landing {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = under_way.get(&fetch.key) {
            return landing.clone();
        }
        let (land, landing) = watch::channel(None);
        under_way.insert(fetch.key, landing.clone());
        let ends = Ends(Arc::clone(self), fetch.key);
        actix_web::rt::spawn(async move {
            let fetched = tokio::time::timeout(DEADLINE, fetch.run(outgoing)).await;
            let outcome = fetched.unwrap_or(Outcome::Unavailable {
                retry_after: RETRY_AFTER,
            });
            // Before the outcome, so that no request joins a download that has ended.
            drop(ends);
            land.send_replace(Some(outcome));
        });
        landing
    }
}

/// Removes a download from those in flight, however it ends.
struct Ends(Arc<Downloads>, Key);

impl Drop for Ends {
    fn drop(&mut self) {
        let mut under_way = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.remove(&self.1);
    }
}

impl Fetch {
    async fn run(self, outgoing: ProxyRequest) -> Outcome {
        // The permit lasts until the answer was read.
        let (_permit, incoming) = match self.handle.pass(outgoing).await {
            Ok(passed) => passed,
            Err(NotPassed { retry_after, .. }) => return Outcome::Unavailable { retry_after },
        };
        match content_type(&incoming) {
            Some(content_type) => self.keep(content_type, incoming).await,
            None => match passed_answer::read(incoming).await {
                Ok(answer) => Outcome::Said(Arc::new(answer)),
                Err(_) => Outcome::Unavailable {
                    retry_after: RETRY_AFTER,
                },
            },
        }
    }

    async fn keep(self, content_type: String, incoming: ProxyResponse) -> Outcome {
        let (cache, length) = (Arc::clone(&self.cache), incoming.length);
        let kept = match blocking(move || cache.draft(length)).await {
            Ok(Some(draft)) => self.receive(draft, content_type, incoming).await,
            Ok(None) => Ok(Outcome::NotKept),
            Err(error) => Err(error),
        };
        kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "a recording could not be kept");
            Outcome::NotKept
        })
    }

    /// # Errors
    /// The disk's.
    async fn receive(
        self,
        mut draft: Draft,
        content_type: String,
        incoming: ProxyResponse,
    ) -> io::Result<Outcome> {
        let (mut body, mut buffer) = (incoming.body, BytesMut::new());
        let mut ended = false;
        while !ended {
            match body.next().await {
                Some(Ok(piece)) => buffer.extend_from_slice(&piece),
                Some(Err(_)) => {
                    let retry_after = RETRY_AFTER;
                    return Ok(Outcome::Unavailable { retry_after });
                }
                None => ended = true,
            }
            if buffer.len() >= PIECE || ended {
                let piece: Bytes = buffer.split().freeze();
                let (back, fits) = blocking(move || {
                    let fits = draft.write(&piece)?;
                    Ok((draft, fits))
                })
                .await?;
                if !fits {
                    return Ok(Outcome::NotKept);
                }
                draft = back;
            }
        }
        if incoming
            .length
            .is_some_and(|length| length != draft.written())
        {
            let retry_after = RETRY_AFTER;
            return Ok(Outcome::Unavailable { retry_after });
        }
        let fetched = (self.clock)();
        blocking(move || draft.keep(self.key, fetched, content_type)).await?;
        Ok(Outcome::StoredRecording)
    }
}

pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    web::block(work).await.map_err(io::Error::other)?
}

/// The content type of an answer that is a recording without a content coding, and whose end is
/// known.
fn content_type(incoming: &ProxyResponse) -> Option<String> {
    let header = |name: &str| {
        let found = incoming.headers.iter().find(|(other, _)| other == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    };
    let whole = incoming.status == StatusCode::OK && incoming.delimited;
    let as_it_is = header(CONTENT_ENCODING.as_str()).is_none_or(|coding| coding == "identity");
    header(CONTENT_TYPE.as_str())
        .filter(|content_type| whole && as_it_is && file_name::is_kept(content_type))
        .map(str::to_owned)
}
