//! The upstream's answer to a forwarded request.

use actix_web::http::StatusCode;
use actix_web::http::header::{AGE, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::http::error::ApiError;
use crate::sync::ProxyResponse;

/// The largest answer that is read whole: a full page of records of 64 KiB each.
const LARGEST_ANSWER: usize = 64 << 20;

/// An answer that was read whole.
pub struct Answer {
    pub status: StatusCode,
    /// Without hop-by-hop headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The `Age` that a cache on the way has set, in seconds; 0 without one.
    pub fn age(&self) -> u64 {
        let told = self.headers.iter().find(|(name, _)| name == AGE);
        let text = told.and_then(|(_, value)| value.to_str().ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

pub async fn read(incoming: ProxyResponse) -> Result<Answer, ApiError> {
    let mut answer = Answer {
        status: status(&incoming),
        headers: headers(&incoming),
        body: Vec::new(),
    };
    let mut pieces = incoming.body;
    while let Some(piece) = pieces.next().await {
        let fits = |piece: &Bytes| answer.body.len() + piece.len() <= LARGEST_ANSWER;
        let piece = piece.ok().filter(fits).ok_or(ApiError::Unanswered)?;
        answer.body.extend_from_slice(&piece);
    }
    Ok(answer)
}

pub fn status(incoming: &ProxyResponse) -> StatusCode {
    StatusCode::from_u16(incoming.status).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// The upstream's headers, without those that the edge's server writes itself.
pub fn headers(incoming: &ProxyResponse) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = incoming.headers.iter().filter(|(name, _)| name != "date");
    let read = |(name, value): &(String, Vec<u8>)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    };
    pairs.filter_map(read).collect()
}
