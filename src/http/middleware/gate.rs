//! The gate: which tokens and origins are accepted, also after a change while the server runs,
//! which proxies are trusted, and what wrong tokens cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::HttpRequest;
use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::error::ApiError;
use crate::http::middleware::auth::{Auth, Caller};
use crate::http::middleware::peer::Proxies;
use crate::http::middleware::token_guesses::{Guesses, Verdict};
use crate::model::Timestamp;

/// The `Retry-After` for an address that sends many wrong tokens, in seconds.
const RETRY_AFTER: u64 = 60;

pub struct Gate {
    auth: ArcSwap<Auth>,
    origins: ArcSwap<Vec<String>>,
    /// Read at every request, which is faster than loading the list.
    has_origins: AtomicBool,
    /// The proxies whose `X-Forwarded-For` counts.
    pub proxies: Proxies,
    guesses: Guesses,
    refused: Notify,
}

impl Gate {
    /// `origins` are those whose pages may read: as browsers write them, or `*` alone.
    pub fn new(auth: Auth, origins: Vec<String>, proxies: Proxies) -> Gate {
        Gate {
            auth: ArcSwap::from_pointee(auth),
            has_origins: AtomicBool::new(!origins.is_empty()),
            origins: ArcSwap::from_pointee(origins),
            proxies,
            guesses: Guesses::new(Instant::now()),
            refused: Notify::new(),
        }
    }

    /// Takes effect with the next request.
    pub fn change(&self, auth: Auth, origins: Vec<String>) {
        self.auth.store(Arc::new(auth));
        self.has_origins
            .store(!origins.is_empty(), Ordering::Relaxed);
        self.origins.store(Arc::new(origins));
    }

    /// Waits until a token comes that is not valid: it may be the upstream's new key.
    pub async fn refused(&self) {
        self.refused.notified().await;
    }

    /// `None` if no page may read.
    pub(in crate::http) fn origins(&self) -> Option<Guard<Arc<Vec<String>>>> {
        let has_origins = self.has_origins.load(Ordering::Relaxed);
        has_origins.then(|| self.origins.load())
    }

    /// The sender of the request; `None` if the token is not valid.
    pub(in crate::http) fn caller(
        &self,
        request: &HttpRequest,
        now: impl Fn() -> Timestamp,
    ) -> Option<Caller> {
        self.auth.load().caller(request.headers(), now)
    }

    /// The answer to a request without a valid token, which is delayed after many wrong tokens.
    pub(in crate::http) async fn refuse(&self, request: &HttpRequest) -> ApiError {
        let tried = Auth::is_tried(request.headers());
        let Some(address) = self.proxies.client(request).filter(|_| tried) else {
            return ApiError::Unauthorized;
        };
        self.refused.notify_one();
        match self.guesses.wrong(address, Instant::now()) {
            Verdict::AtOnce => {}
            Verdict::Late(held_back) => held_back.wait().await,
            Verdict::TooMany => {
                return ApiError::TooManyGuesses {
                    retry_after: RETRY_AFTER,
                };
            }
        }
        ApiError::Unauthorized
    }
}
