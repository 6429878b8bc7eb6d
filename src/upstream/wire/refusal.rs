//! How a server refuses a list.

use serde::Deserialize;

use crate::upstream::error::{ErrorKind, UpstreamError};

/// The error for a refused list: its length is refused, if the answer says so (FastAPI names the
/// parameter and its maximum), or something else is.
pub fn of_page(status: u16, body: &[u8]) -> UpstreamError {
    #[derive(Deserialize)]
    struct Refusal {
        detail: Vec<Complaint>,
    }
    #[derive(Deserialize)]
    struct Complaint {
        loc: Vec<serde_json::Value>,
        #[serde(default)]
        ctx: serde_json::Value,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let complaints = refusal.map(|refusal| refusal.detail).unwrap_or_default();
    let of_length = complaints
        .iter()
        .find(|complaint| complaint.loc.last().is_some_and(|name| name == "limit"));
    let most = |complaint: &Complaint| {
        let ctx = &complaint.ctx;
        let most = ctx["le"].as_u64();
        most.or_else(|| ctx["lt"].as_u64()?.checked_sub(1))
            .or_else(|| ctx["limit_value"].as_u64())
    };
    let most_rows = of_length
        .and_then(most)
        .and_then(|most| most.try_into().ok());
    let kind = match status == 413 || of_length.is_some() {
        true => ErrorKind::PageTooLong,
        false => ErrorKind::Refused,
    };
    UpstreamError {
        status: Some(status),
        most_rows,
        ..UpstreamError::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_rows_are_read_from_what_the_server_complains_of() {
        let fastapi = br#"{"detail":[{"type":"less_than_equal","loc":["query","limit"],
            "msg":"Input should be less than or equal to 100","input":"1000","ctx":{"le":100}}]}"#;
        for (status, body, kind, most) in [
            (422, &fastapi[..], ErrorKind::PageTooLong, Some(100)),
            (
                422,
                br#"{"detail":[{"loc":["query","limit"],"ctx":{"lt":101}}]}"#,
                ErrorKind::PageTooLong,
                Some(100),
            ),
            (
                422,
                br#"{"detail":[{"loc":["query","limit"]}]}"#,
                ErrorKind::PageTooLong,
                None,
            ),
            (
                422,
                br#"{"detail":[{"loc":["query","date_from"],"ctx":{"le":1}}]}"#,
                ErrorKind::Refused,
                None,
            ),
            (422, b"no", ErrorKind::Refused, None),
            (413, b"<html>", ErrorKind::PageTooLong, None),
        ] {
            let error = of_page(status, body);
            assert_eq!((error.kind, error.most_rows), (kind, most), "{error}");
            assert_eq!(error.status, Some(status));
        }
    }
}
