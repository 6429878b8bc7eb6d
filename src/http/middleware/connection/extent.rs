//! Where one request ends and the next begins (RFC 9112, sections 2.1, 6 and 7.1).
//!
//! The framework decodes all bytes that it gets, and frames an answer by what it decoded last, so
//! it gets one request at a time. What its own parser checks is not checked here.

use memchr::memchr_iter;

/// The longest head that is read, in bytes. A shorter one that is still too long is answered by
/// [`request_limits`](crate::http::middleware::request_limits).
const LONGEST_HEAD: usize = 64 << 10;

/// The body that follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// This many bytes.
    Sized(u64),
    Chunked,
}

/// How far a request extends in the bytes that come.
#[derive(Debug)]
pub struct Extent(Part);

#[derive(Debug)]
enum Part {
    Head(Head),
    /// The bytes of the body that are left.
    Sized(u64),
    Chunked(Chunked),
    /// Further bytes belong to the next request.
    Over,
}

#[derive(Debug, Default)]
struct Head {
    /// Bytes of the head so far.
    length: usize,
    line: Line,
    /// True once the request line was read: the next empty line is the end.
    has_begun: bool,
}

/// What the current line has so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    /// Only a carriage return.
    Return,
    Text,
}

impl Line {
    fn with(self, bytes: &[u8]) -> Line {
        match (self, bytes) {
            (line, []) => line,
            (Line::Empty, b"\r") => Line::Return,
            _ => Line::Text,
        }
    }
}

#[derive(Debug)]
enum Chunked {
    /// In a chunk's first line: the size so far, and true once its digits have ended.
    Size(u64, bool),
    /// The bytes of the chunk that are left, with its line end.
    Data(u64),
    /// In the trailer section: the bytes of the current line, without a carriage return.
    Trailer(usize),
}

/// The head is longer than any that is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Default for Extent {
    fn default() -> Extent {
        Extent(Part::Head(Head::default()))
    }
}

impl Extent {
    /// How many of these bytes belong to the request.
    ///
    /// # Errors
    /// The head has no end within [`LONGEST_HEAD`].
    pub fn reach(&mut self, bytes: &[u8]) -> Result<usize, TooLong> {
        match &mut self.0 {
            Part::Head(head) => {
                let Some(end) = head.reach(bytes) else {
                    return match head.length > LONGEST_HEAD {
                        true => Err(TooLong),
                        false => Ok(bytes.len()),
                    };
                };
                self.0 = Part::Over;
                Ok(end)
            }
            Part::Sized(left) => {
                let end = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= end as u64;
                if *left == 0 {
                    self.0 = Part::Over;
                }
                Ok(end)
            }
            Part::Chunked(chunked) => Ok(match chunked.reach(bytes) {
                None => bytes.len(),
                Some(end) => {
                    self.0 = Part::Over;
                    end
                }
            }),
            Part::Over => Ok(0),
        }
    }

    /// Sets the body that follows the head that was just read.
    pub fn with_body(&mut self, body: Body) {
        self.0 = match body {
            Body::Sized(0) => Part::Over,
            Body::Sized(length) => Part::Sized(length),
            Body::Chunked => Part::Chunked(Chunked::Size(0, false)),
        };
    }

    pub fn is_over(&self) -> bool {
        matches!(self.0, Part::Over)
    }

    /// True if no byte of the request has come.
    pub fn is_untouched(&self) -> bool {
        matches!(&self.0, Part::Head(head) if head.length == 0)
    }
}

impl Head {
    /// The end of the head in these bytes; `None` if it goes on. Empty lines before a request don't
    /// end it, and a bare line feed ends a line (RFC 9112, section 2.2), as in the framework's
    /// parser.
    fn reach(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        for feed in memchr_iter(b'\n', bytes) {
            let line = std::mem::take(&mut self.line).with(&bytes[at..feed]);
            at = feed + 1;
            match (line, self.has_begun) {
                (Line::Text, _) => self.has_begun = true,
                (_, true) => return Some(at),
                (_, false) => {}
            }
        }
        self.line = self.line.with(&bytes[at..]);
        self.length += bytes.len();
        None
    }
}

impl Chunked {
    fn reach(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match self {
                Chunked::Size(size, is_told) => {
                    at += 1;
                    match (char::from(byte).to_digit(16), byte) {
                        (Some(digit), _) if !*is_told => {
                            *size = size.saturating_mul(16).saturating_add(u64::from(digit));
                        }
                        (_, b'\n') if *size == 0 => *self = Chunked::Trailer(0),
                        (_, b'\n') => *self = Chunked::Data(size.saturating_add(2)),
                        _ => *is_told = true,
                    }
                }
                Chunked::Data(left) => {
                    let rest = (bytes.len() - at) as u64;
                    let taken = rest.min(*left);
                    *left -= taken;
                    at += usize::try_from(taken).unwrap_or(bytes.len());
                    if *left == 0 {
                        *self = Chunked::Size(0, false);
                    }
                }
                Chunked::Trailer(line) => {
                    at += 1;
                    match byte {
                        b'\n' if *line == 0 => return Some(at),
                        b'\n' => *line = 0,
                        b'\r' => {}
                        _ => *line += 1,
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// The end of the first request in `text`, which comes in pieces of `piece` bytes.
    fn end(text: &[u8], piece: usize, body: Option<Body>) -> Option<usize> {
        let mut extent = Extent::default();
        let mut read = 0;
        let mut body = body;
        for piece in text.chunks(piece) {
            let mut at = 0;
            loop {
                at += extent.reach(&piece[at..]).unwrap();
                if !extent.is_over() {
                    break;
                }
                match body.take() {
                    Some(body) => extent.with_body(body),
                    None => return Some(read + at),
                }
            }
            assert_eq!(at, piece.len());
            read += at;
        }
        None
    }

    #[rstest]
    #[case::a_get("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    #[case::no_header("GET / HTTP/1.0\r\n\r\n")]
    #[case::bare_line_feeds("GET / HTTP/1.1\nHost: a\n\n")]
    #[case::both("GET / HTTP/1.1\r\nHost: a\n\r\n")]
    #[case::empty_lines_before_it("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]
    #[case::a_return_within_a_line("GET / HTTP/1.1\r\nA: \rb\r\n\r\n")]
    fn a_head_ends_at_the_first_empty_line_behind_its_first(#[case] head: &str) {
        let next = format!("{head}GET /next HTTP/1.1\r\n\r\n");
        for piece in 1..next.len() {
            assert_eq!(
                end(next.as_bytes(), piece, None),
                Some(head.len()),
                "{piece}"
            );
        }
        let short = &head.as_bytes()[..head.len() - 1];
        assert_eq!(end(short, 7, None), None);
    }

    #[rstest]
    #[case::sized("hello", Body::Sized(5))]
    #[case::nothing("", Body::Sized(0))]
    #[case::chunked("5\r\nhello\r\n0\r\n\r\n", Body::Chunked)]
    #[case::no_chunk("0\r\n\r\n", Body::Chunked)]
    #[case::extensions("1;a=10\r\nx\r\n0;b\r\n\r\n", Body::Chunked)]
    #[case::trailers("2\r\n\n\n\r\n000\r\nA: b\r\n\r\n", Body::Chunked)]
    #[case::capitals("A\r\n0123456789\r\n0\r\n\r\n", Body::Chunked)]
    fn a_body_ends_where_its_framing_says(#[case] body: &str, #[case] framing: Body) {
        let whole = format!("POST / HTTP/1.1\r\nHost: a\r\n\r\n{body}");
        let next = format!("{whole}GET /next HTTP/1.1\r\n\r\n");
        for piece in 1..next.len() {
            let found = end(next.as_bytes(), piece, Some(framing));
            assert_eq!(found, Some(whole.len()), "{piece}");
        }
    }

    #[test]
    fn a_head_without_an_end_is_too_long_whatever_it_is_made_of() {
        for line in ["A: b\r\n", "x", "\r"] {
            let mut extent = Extent::default();
            let lines = line.repeat(1000);
            let mut read = 0;
            let told = loop {
                match extent.reach(lines.as_bytes()) {
                    Ok(all) => read += all,
                    Err(told) => break told,
                }
                assert!(read <= 2 * LONGEST_HEAD);
            };
            assert_eq!(told, TooLong);
        }
    }

    proptest! {
        /// The end is the same however the bytes are split.
        #[test]
        fn pieces_make_no_difference(text in "[a\r\n0;]{0,60}", piece in 1..8usize) {
            let text = text.as_bytes();
            for body in [None, Some(Body::Sized(9)), Some(Body::Chunked)] {
                prop_assert_eq!(end(text, piece, body), end(text, text.len().max(1), body));
            }
        }
    }
}
