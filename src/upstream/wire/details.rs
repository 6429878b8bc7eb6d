//! The details of a call, as bytes: how they are requested, and which answers are valid.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::Detail;
use crate::upstream::error::UpstreamError;
use crate::upstream::wire::json::{bad_answer, parse, parse_object};

/// Transcripts include the interim ones, so that one text answers every filter.
pub fn path_and_query(id: i64, kind: Detail) -> String {
    let name = kind.as_str();
    match kind {
        Detail::Transcripts => format!("/api/v1/calls/{id}/{name}?include_interim=true"),
        _ => format!("/api/v1/calls/{id}/{name}"),
    }
}

/// The text of an answer about this call: a list of objects, or for metrics one.
pub fn read(id: i64, kind: Detail, text: &str) -> Result<Box<str>, UpstreamError> {
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    match kind {
        Detail::Metrics => check(id, text)?,
        _ => {
            for item in parse::<Vec<&RawValue>>(text)? {
                check(id, item.get())?;
            }
        }
    }
    Ok(text.into())
}

/// Fails if an item names another call than the requested one.
fn check(id: i64, text: &str) -> Result<(), UpstreamError> {
    #[derive(Deserialize)]
    struct Item {
        #[serde(default)]
        call_id: Option<i64>,
    }
    let item: Item = parse_object(text)?;
    match item.call_id {
        Some(other) if other != id => {
            Err(bad_answer().caused_by("of another call than the one asked for"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::upstream::{Answer, DateForm, ErrorKind, Request, wire};

    fn answered(kind: Detail, status: u16, body: &str) -> Result<Answer, ErrorKind> {
        let request = Request::Detail(5, kind);
        let now = crate::model::Timestamp::from_micros(0);
        let reply = wire::reply(
            &request,
            DateForm::NAIVE,
            status,
            None,
            body.as_bytes(),
            now,
        );
        reply.map(|reply| reply.answer).map_err(|error| error.kind)
    }

    #[test]
    fn transcripts_are_asked_for_with_the_interim_ones() {
        let path = |kind| wire::path_and_query(&Request::Detail(5, kind), DateForm::NAIVE);
        assert_eq!(
            path(Detail::Transcripts),
            "/api/v1/calls/5/transcripts?include_interim=true"
        );
        assert_eq!(path(Detail::WebhookLogs), "/api/v1/calls/5/webhook-logs");
    }

    #[rstest]
    #[case(Detail::Transcripts, "[]")]
    #[case(Detail::Messages, r#"[{"role":"user"}]"#)]
    #[case(Detail::Recordings, r#"[ {"call_id":5,"n":1.10}, {"call_id":null}]"#)]
    #[case(Detail::Metrics, r#"{"user_turns":3}"#)]
    fn a_text_is_taken_as_it_is_without_the_space_around_it(
        #[case] kind: Detail,
        #[case] body: &str,
    ) {
        match answered(kind, 200, &format!(" {body}\n")) {
            Ok(Answer::Detail(text)) => assert_eq!(&*text, body),
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case(Detail::Transcripts, "{}")]
    #[case(Detail::Transcripts, "[1]")]
    #[case(Detail::Transcripts, "[[5]]")]
    #[case(Detail::Transcripts, r#"[{"call_id":6}]"#)]
    #[case(Detail::Transcripts, r#"[{"call_id":5},{"call_id":"5"}]"#)]
    #[case(Detail::Transcripts, "[{}")]
    #[case(Detail::Metrics, "[]")]
    #[case(Detail::Metrics, r#"{"call_id":6}"#)]
    #[case(Detail::Metrics, "")]
    fn what_is_of_another_call_or_no_list_is_no_answer(#[case] kind: Detail, #[case] body: &str) {
        assert!(matches!(
            answered(kind, 200, body),
            Err(ErrorKind::BadAnswer)
        ));
    }

    #[test]
    fn only_the_upstreams_own_words_make_a_404() {
        let denied = |body| answered(Detail::Messages, 404, body);
        let call = r#"{"detail":"Call with ID 5 not found in your organization"}"#;
        assert!(matches!(denied(call), Ok(Answer::NotFound)));
        let other = r#"{"detail":"Call with ID 55 not found in your organization"}"#;
        assert!(denied(other).is_err());
        let path = r#"{"detail":"Not Found"}"#;
        assert!(matches!(denied(path), Ok(Answer::NoSuchDetail)));
        assert!(denied("<html>Not Found</html>").is_err());
    }
}
