//! The upstream over HTTP.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, InvalidHeaderValue, RETRY_AFTER,
};
use reqwest::{Client, Response, redirect};
use url::Url;

use super::{CallSource, ErrorKind, Reply, Request, UpstreamError, wire};
use crate::model::Timestamp;

/// The largest answer that is read, after decompression: a full page of records of 64 KiB each.
const LARGEST_BODY: usize = 64 << 20;

/// A connection that idled longer is not used again: the self-hosted server closes its side after
/// two seconds (observed), and a request sent into that is lost.
const IDLE: Duration = Duration::from_millis(1500);

/// A Burki server, asked with one key.
pub struct HttpSource {
    client: Client,
    /// Without the trailing slash; request paths are appended.
    base: String,
}

/// Why no client could be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("the API key holds a character that no HTTP header can carry")]
    Key(#[from] InvalidHeaderValue),
    #[error("the HTTP client could not be set up")]
    Client(#[from] reqwest::Error),
}

impl HttpSource {
    /// `timeout` bounds each request from its start to the end of its body.
    pub fn new(base: &Url, key: &str, timeout: Duration) -> Result<HttpSource, SetUpError> {
        // An error means that the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {key}"))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let client = Client::builder()
            .user_agent(concat!("burki-edge/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .pool_idle_timeout(IDLE)
            // A redirect followed could carry the key to another host.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(HttpSource {
            client,
            base: base.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// Status and body of any path below the base, such as another edge's `/edge/status`.
    pub async fn get(&self, path_and_query: &str) -> Result<(u16, Vec<u8>), UpstreamError> {
        let response = self.send(path_and_query).await?;
        Ok((response.status().as_u16(), read_capped(response).await?))
    }

    async fn send(&self, path_and_query: &str) -> Result<Response, UpstreamError> {
        let url = format!("{}{path_and_query}", self.base);
        self.client.get(url).send().await.map_err(classify)
    }
}

impl CallSource for HttpSource {
    async fn fetch(&self, request: &Request) -> Result<Reply, UpstreamError> {
        let response = self.send(&wire::path_and_query(request)).await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).cloned();
        match read_capped(response).await {
            Ok(body) => {
                let retry_after = retry_after.as_ref().and_then(|value| value.to_str().ok());
                wire::reply(request, status, retry_after, &body, Timestamp::now())
            }
            Err(error) => Err(UpstreamError {
                status: Some(status),
                ..error
            }),
        }
    }
}

async fn read_capped(mut response: Response) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(classify)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            let limit = format!("the answer is larger than {} MiB", LARGEST_BODY >> 20);
            return Err(UpstreamError::new(ErrorKind::BadAnswer).caused_by(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn classify(error: reqwest::Error) -> UpstreamError {
    let kind = if error.is_timeout() {
        ErrorKind::Timeout
    } else if error.is_connect() {
        ErrorKind::Unreachable
    } else {
        ErrorKind::Reset
    };
    // The URL of a by-SID read names the call; logs do without it.
    UpstreamError::new(kind).caused_by(error.without_url())
}
