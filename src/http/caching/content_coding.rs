//! The content coding of a body: what the client accepts, and what compression costs.

use std::io::{self, Write};
use std::str::FromStr;

use actix_web::http::header::{ACCEPT_ENCODING, HeaderMap};
use actix_web::web::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A smaller body, in bytes, is not compressed: the gain is not worth the work.
pub const WORTH_IT: usize = 1024;

/// The levels at which compression takes about as long as the rest of an answer.
const GZIP_LEVEL: u32 = 5;
const ZSTD_LEVEL: i32 = 3;

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// In order of preference, among those that the client accepts equally.
    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Gzip, Coding::Identity];

    /// Its name in `Content-Encoding`, if it is compressed.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Coding::Identity => None,
            Coding::Gzip => Some("gzip"),
            Coding::Zstd => Some("zstd"),
        }
    }

    /// What distinguishes its entity tag from those of the others.
    pub fn suffix(self) -> &'static str {
        match self {
            Coding::Identity => "",
            Coding::Gzip => "-gz",
            Coding::Zstd => "-zst",
        }
    }

    /// The coding to send. If the client accepts none of them, the body is not compressed: that is
    /// better than no answer.
    pub fn wanted(headers: &HeaderMap) -> Coding {
        let accepted = Accepted::of(headers);
        let mut best = (Coding::Identity, 0);
        for coding in Coding::ALL {
            let weight = accepted.weight(coding);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        best.0
    }

    /// The same for a body of `size` bytes.
    pub fn wanted_of(headers: &HeaderMap, size: usize) -> Coding {
        match Coding::wanted(headers) {
            _ if size < WORTH_IT && !Accepted::of(headers).refuses_plain() => Coding::Identity,
            coding => coding,
        }
    }
}

/// The weights of an `Accept-Encoding` in thousandths (RFC 9110, section 12.5.3).
#[derive(Default)]
struct Accepted {
    identity: Option<u32>,
    gzip: Option<u32>,
    zstd: Option<u32>,
    /// `*`: every coding that is not named.
    others: Option<u32>,
}

impl Accepted {
    fn of(headers: &HeaderMap) -> Accepted {
        let mut accepted = Accepted::default();
        let lines = headers.get_all(ACCEPT_ENCODING);
        for member in lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
        {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let place = match name.as_str() {
                "identity" => &mut accepted.identity,
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "zstd" => &mut accepted.zstd,
                "*" => &mut accepted.others,
                _ => continue,
            };
            *place = Some(parts.find_map(weight).unwrap_or(1000));
        }
        accepted
    }

    fn weight(&self, coding: Coding) -> u32 {
        match coding {
            Coding::Gzip => self.gzip.or(self.others).unwrap_or(0),
            Coding::Zstd => self.zstd.or(self.others).unwrap_or(0),
            // Acceptable unless refused, but preferred less than any coding that is named.
            Coding::Identity => self
                .identity
                .or(self.others.filter(|w| *w == 0))
                .unwrap_or(1),
        }
    }

    fn refuses_plain(&self) -> bool {
        self.weight(Coding::Identity) == 0
    }
}

/// The weight in `q=0.5`, in thousandths; `None` if it can't be read.
fn weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = f64::from_str(value.trim()).ok()?;
    // Between 0 and 1,000.
    Some((value.clamp(0.0, 1.0) * 1000.0) as u32)
}

/// A body that is compressed as it is written.
pub enum Encoder {
    Identity(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Identity => Encoder::Identity(Vec::new()),
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Zstd => {
                Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
            }
        })
    }

    /// The output so far.
    pub fn take(&mut self) -> Bytes {
        let done = match self {
            Encoder::Identity(done) => done,
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        };
        std::mem::take(done).into()
    }

    /// The rest of the output.
    pub fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Identity(done) => done.into(),
            Encoder::Gzip(encoder) => encoder.finish()?.into(),
            Encoder::Zstd(encoder) => encoder.finish()?.into(),
        })
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Identity(done) => done.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Identity(_) => Ok(()),
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// Compresses a whole body, which takes milliseconds.
pub fn encode(coding: Coding, body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = Encoder::new(coding)?;
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[rstest]
    #[case("", Coding::Identity)]
    #[case("gzip", Coding::Gzip)]
    #[case("GZip;Q=0.3", Coding::Gzip)]
    #[case("x-gzip", Coding::Gzip)]
    #[case("gzip, deflate, br, zstd", Coding::Zstd)]
    #[case("gzip, zstd;q=0.9", Coding::Gzip)]
    #[case("zstd;q=0, gzip;q=0", Coding::Identity)]
    #[case("br, deflate", Coding::Identity)]
    #[case("*", Coding::Zstd)]
    #[case("*;q=0", Coding::Identity)]
    #[case("*;q=0, gzip;q=0.1", Coding::Gzip)]
    #[case("zstd;q=0, *", Coding::Gzip)]
    #[case("identity, gzip;q=0.5", Coding::Identity)]
    #[case("identity;q=0.5, gzip;q=1.0", Coding::Gzip)]
    #[case("identity;q=0, gzip;q=0.001", Coding::Gzip)]
    #[case("gzip;q=x", Coding::Gzip)]
    #[case("gzip ; q=0.2 , zstd ; q=0.1", Coding::Gzip)]
    fn the_coding_is_the_one_the_client_likes_best(#[case] value: &str, #[case] coding: Coding) {
        assert_eq!(Coding::wanted(&headers(value)), coding, "{value}");
    }

    #[test]
    fn a_small_body_is_compressed_only_where_identity_is_refused() {
        for (value, small) in [
            ("gzip", Coding::Identity),
            ("gzip, identity;q=0", Coding::Gzip),
            ("gzip, *;q=0", Coding::Gzip),
        ] {
            let headers = headers(value);
            assert_eq!(Coding::wanted_of(&headers, WORTH_IT - 1), small, "{value}");
            assert_eq!(
                Coding::wanted_of(&headers, WORTH_IT),
                Coding::Gzip,
                "{value}"
            );
        }
        assert_eq!(Coding::wanted(&HeaderMap::new()), Coding::Identity);
    }

    #[test]
    fn what_is_compressed_in_pieces_is_the_whole_when_read() {
        let text = "what repeats is small. ".repeat(50_000);
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut sent = Vec::new();
            for piece in text.as_bytes().chunks(1000) {
                encoder.write_all(piece).unwrap();
                sent.extend_from_slice(&encoder.take());
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            let read = match coding {
                Coding::Identity => sent,
                Coding::Gzip => {
                    let mut text = Vec::new();
                    let mut decoder = flate2::write::GzDecoder::new(&mut text);
                    decoder.write_all(&sent).unwrap();
                    decoder.finish().unwrap();
                    text
                }
                Coding::Zstd => zstd::decode_all(&*sent).unwrap(),
            };
            assert!(read == text.as_bytes(), "{coding:?}");
        }
    }
}
