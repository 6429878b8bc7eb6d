//! What is known of a stored recording, all of it in its file's name, so that no crash can leave a
//! file without it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::model::Timestamp;

/// A recording of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub call: i64,
    pub recording: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecording {
    pub key: Key,
    /// First 64 bits of the audio's SHA-256.
    pub hash: u64,
    /// In bytes.
    pub length: u64,
    pub fetched: Timestamp,
    /// The upstream's `Content-Type`, as it was sent.
    pub content_type: String,
}

/// The longest encoded content type: a file name has 255 bytes, of which the numbers take up to
/// 100.
const LONGEST_TYPE: usize = 150;

impl StoredRecording {
    /// `{call}-{recording}-{hash}-{length}-{microseconds}-{type}`: numbers, and the percent-encoded
    /// content type.
    pub fn file_name(&self) -> String {
        let StoredRecording { key, hash, .. } = self;
        format!(
            "{}-{}-{hash:016x}-{}-{}-{}",
            key.call,
            key.recording,
            self.length,
            self.fetched.as_micros(),
            encoded(&self.content_type),
        )
    }

    /// Parses a file's name; `None` if it is not that of a recording.
    pub fn parse(name: &str) -> Option<StoredRecording> {
        let mut parts = name.splitn(6, '-');
        let mut part = || parts.next();
        let kept = StoredRecording {
            key: Key {
                call: part()?.parse().ok()?,
                recording: part()?.parse().ok()?,
            },
            hash: u64::from_str_radix(part()?, 16).ok()?,
            length: part()?.parse().ok()?,
            fetched: Timestamp::from_micros(part()?.parse().ok()?),
            content_type: percent_decode_str(part()?).decode_utf8().ok()?.into_owned(),
        };
        // Another spelling of the same numbers is refused.
        (kept.file_name() == name).then_some(kept)
    }
}

/// True if audio of this type is stored: `audio/…`, or bytes of an unspecified type. It must be one
/// type (RFC 9110, section 8.3.1), so that no browser can take the second of two.
pub fn is_kept(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
    let is_audio = match essence.strip_prefix("audio/") {
        Some(subtype) => !subtype.is_empty() && subtype.bytes().all(is_token),
        None => essence == "application/octet-stream",
    };
    let is_one = !content_type.contains(',') && content_type.bytes().all(|byte| byte >= b' ');
    is_audio && is_one && encoded(content_type).len() <= LONGEST_TYPE
}

fn encoded(content_type: &str) -> String {
    utf8_percent_encode(content_type, NON_ALPHANUMERIC).to_string()
}

/// The time as the file system writes it.
pub fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(at.as_micros().try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn kept(content_type: &str) -> StoredRecording {
        StoredRecording {
            key: Key {
                call: i64::MAX,
                recording: 7,
            },
            hash: 0xAB,
            length: 10,
            fetched: Timestamp::from_micros(1_700_000_000_000_001),
            content_type: content_type.to_owned(),
        }
    }

    #[rstest]
    #[case("audio/mpeg")]
    #[case("audio/L16;rate=8000; channels=1")]
    #[case("audio/x-wav")]
    #[case("application/octet-stream")]
    fn a_name_says_all_there_is_to_know(#[case] content_type: &str) {
        let (kept, name) = (kept(content_type), kept(content_type).file_name());
        assert!(name.len() <= 255 && !name.contains(['/', '.']), "{name}");
        assert_eq!(StoredRecording::parse(&name), Some(kept));
    }

    #[rstest]
    #[case("feed")]
    #[case("download-1")]
    #[case("5-7-00000000000000ab-10-1")]
    #[case("05-7-00000000000000ab-10-1-audio%2Fmpeg")]
    #[case("+5-7-00000000000000ab-10-1-audio%2Fmpeg")]
    #[case("5-7-ab-10-1-audio%2Fmpeg")]
    #[case("5-7-00000000000000ab-10-1-audio/mpeg")]
    #[case("5-7-00000000000000ab-10-1-audio%2fmpeg")]
    fn another_name_is_none_of_ours(#[case] name: &str) {
        assert_eq!(StoredRecording::parse(name), None);
    }

    #[rstest]
    #[case("audio/mpeg", true)]
    #[case("AUDIO/wav; rate=8000", true)]
    #[case("application/octet-stream", true)]
    #[case("application/json", false)]
    #[case("text/html; audio/mpeg", false)]
    #[case("", false)]
    fn only_audio_is_kept(#[case] content_type: &str, #[case] keeps: bool) {
        assert_eq!(is_kept(content_type), keeps);
        let endless = format!("audio/{}", "x".repeat(LONGEST_TYPE));
        assert!(!is_kept(&endless));
    }
}
