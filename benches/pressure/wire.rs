//! A client that costs little: requests that are written beforehand, and of an answer no more than
//! its status, its end, and whether it says when to come back.

use std::io::{Error, ErrorKind, Result};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A head that is longer is none of the edge's.
const LONGEST_HEAD: usize = 8192;

/// What is read at once.
const PIECE: usize = 1 << 16;

/// What an answer's head says.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    pub says_when: bool,
    /// The connection ends with it.
    pub closes: bool,
    length: usize,
}

impl Head {
    /// The head, and where it ends; `None` while it has not.
    fn read(text: &[u8]) -> Result<Option<(Head, usize)>> {
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match text.len() > LONGEST_HEAD {
                true => Err(Error::new(ErrorKind::InvalidData, "a head without end")),
                false => Ok(None),
            };
        };
        let invalid = || Error::new(ErrorKind::InvalidData, "no head of HTTP");
        let head = std::str::from_utf8(&text[..end]).map_err(|_| invalid())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12));
        let mut read = Head {
            status: status
                .and_then(|status| status.parse().ok())
                .ok_or_else(invalid)?,
            says_when: false,
            closes: false,
            length: 0,
        };
        for line in lines {
            let (name, value) = line.split_once(": ").ok_or_else(invalid)?;
            if name.eq_ignore_ascii_case("content-length") {
                read.length = value.parse().map_err(|_| invalid())?;
            } else if name.eq_ignore_ascii_case("retry-after") {
                read.says_when = value.parse::<u32>().is_ok();
            } else if name.eq_ignore_ascii_case("connection") {
                read.closes = value.eq_ignore_ascii_case("close");
            }
        }
        Ok(Some((read, end + 4)))
    }
}

/// Sends a request, and reads all of its answer.
pub async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<Head> {
    stream.write_all(request).await?;
    let mut text = Vec::with_capacity(PIECE);
    let (head, mut left) = loop {
        if stream.read_buf(&mut text).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some((head, end)) = Head::read(&text)? {
            let left = (end + head.length).checked_sub(text.len());
            let left = left.ok_or_else(|| {
                Error::new(ErrorKind::InvalidData, "more than the head speaks of")
            })?;
            break (head, left);
        }
    };
    while left > 0 {
        text.clear();
        match stream.read_buf(&mut text).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => left = left.saturating_sub(read),
        }
    }
    Ok(head)
}
