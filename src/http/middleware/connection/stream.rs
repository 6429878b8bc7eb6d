//! A client's connection as the framework reads and writes it: one request at a time, within the
//! time limits of [`Line`](crate::http::middleware::connection::line::Line).
//!
//! The framework's own timers cover the first head of a connection and the time between requests. A
//! later head, a body and an answer may take forever, and any byte counts as activity. They are
//! off: this stream ends with an error at the limit, which the framework takes for a client that is
//! gone.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::{memchr, memchr_iter, memmem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::http::middleware::connection::Connection;
use crate::http::middleware::connection::extent::Extent;
use crate::http::middleware::connection::line::{End, Phase};

/// How often the limits are checked, of a connection that never showed a token and of others. A
/// change of the limits takes effect within that time.
const TICK: Duration = Duration::from_secs(1);
const SLOW_TICK: Duration = Duration::from_secs(5);

/// The bytes of further requests that are read ahead. Only reading shows that a client is gone.
const AHEAD: usize = 4 << 10;

const TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub struct Stream<T> {
    io: T,
    connection: Rc<Connection>,
    extent: Extent,
    /// Bytes of the next request that came already.
    ahead: BytesMut,
    /// True if the client has closed its side, after those bytes.
    has_ended: bool,
    tick: Pin<Box<Sleep>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    pub fn new(io: T, connection: Rc<Connection>) -> Stream<T> {
        Stream {
            io,
            connection,
            extent: Extent::default(),
            ahead: BytesMut::new(),
            has_ended: false,
            tick: Box::pin(sleep(TICK)),
        }
    }

    /// The state that it shares with requests and their answers.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Fails if the connection has reached a limit or lost its place.
    fn mind_the_time(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.connection.is_ousted(cx.waker()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        while self.tick.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let end = self.connection.end(now);
            if let Some((at, end)) = end
                && at <= now
            {
                return Err(match end {
                    End::Idle => io::ErrorKind::TimedOut.into(),
                    End::HeadTooSlow => self.refuse(cx, TIMEOUT),
                });
            }
            let tick = now
                + if self.connection.is_known() {
                    SLOW_TICK
                } else {
                    TICK
                };
            let next = end.map_or(tick, |(at, _)| at.min(tick));
            self.tick.as_mut().reset(next);
        }
        Ok(())
    }

    /// Sends an answer as far as the socket accepts it at once, and returns the error to end with.
    fn refuse(&mut self, cx: &mut Context<'_>, answer: &[u8]) -> io::Error {
        if let Poll::Ready(Ok(_)) = Pin::new(&mut self.io).poll_write(cx, answer) {
            let _ = Pin::new(&mut self.io).poll_flush(cx);
        }
        io::ErrorKind::TimedOut.into()
    }

    /// Reads further requests while one is answered. An end of the stream is passed on only if no
    /// bytes came before it: the client is gone. `keeps` is false if nothing of them will be
    /// answered.
    fn read_ahead(&mut self, cx: &mut Context<'_>, keeps: bool) -> Poll<io::Result<()>> {
        if self.has_ended && keeps {
            return Poll::Pending;
        }
        let mut room = [MaybeUninit::uninit(); 1024];
        while !keeps || self.ahead.len() < AHEAD {
            let mut read = ReadBuf::uninit(&mut room);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
            match read.filled() {
                [] if keeps && !self.ahead.is_empty() => {
                    self.has_ended = true;
                    break;
                }
                [] => return Poll::Ready(Ok(())),
                bytes if keeps => self.ahead.extend_from_slice(bytes),
                _ => {}
            }
            self.connection.has_next(keeps);
        }
        Poll::Pending
    }

    /// Reads bytes of the current request.
    fn read_on(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.ahead.is_empty() && self.has_ended {
            return Poll::Ready(Ok(()));
        }
        if self.ahead.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        } else {
            let some = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..some]);
            self.ahead.advance(some);
        }
        let bytes = &mut buf.filled_mut()[before..];
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // In pieces, the word may be split between two.
        let may_upgrade = !self.extent.is_untouched() || refuse_upgrade(bytes);
        self.connection.may_upgrade.set(may_upgrade);
        let bytes = &*bytes;
        let Ok(end) = self.extent.reach(bytes) else {
            return Poll::Ready(Err(self.refuse(cx, TOO_LARGE)));
        };
        if end < bytes.len() {
            let mut ahead = BytesMut::from(&bytes[end..]);
            ahead.extend_from_slice(&self.ahead);
            self.ahead = ahead;
        }
        self.connection.has_next(!self.ahead.is_empty());
        buf.set_filled(before + end);
        self.connection.came(&self.extent);
        Poll::Ready(Ok(()))
    }
}

/// Removes the request for an upgrade. None is accepted, but the framework reports every requested
/// one as accepted, and does not keep the connection. The word is blanked in `Connection` if the
/// head begins in these bytes; a request that asks in another way is the last of its connection.
/// Returns whether an upgrade may be requested.
fn refuse_upgrade(bytes: &mut [u8]) -> bool {
    const WORD: &[u8] = b"pgrade";
    static FINDER: LazyLock<memmem::Finder<'_>> = LazyLock::new(|| memmem::Finder::new(WORD));
    if FINDER.find(bytes).is_none() {
        // In capitals it is rare, and shows in the connection type that the framework has parsed.
        return false;
    }
    let ends: Vec<usize> = memchr_iter(b'\n', bytes).collect();
    for lines in ends.windows(2) {
        let line = &mut bytes[lines[0] + 1..lines[1]];
        if line.trim_ascii().is_empty() {
            break;
        }
        let Some(colon) = memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at_mut(colon);
        if name.eq_ignore_ascii_case(b"connection")
            && let Some(at) = memmem::find(value, WORD).and_then(|at| at.checked_sub(1))
            && value[at].eq_ignore_ascii_case(&b'u')
        {
            value[at..=at + WORD.len()].fill(b' ');
        }
    }
    true
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if let Some(body) = stream.connection.take_body() {
            stream.extent.with_body(body);
        }
        let read = if !stream.extent.is_over() {
            stream.read_on(cx, buf)
        } else if stream.connection.phase() == Phase::Leaves {
            stream.read_ahead(cx, false)
        } else if stream.connection.take_answered() {
            stream.extent = Extent::default();
            stream.read_on(cx, buf)
        } else {
            stream.read_ahead(cx, true)
        };
        // A client that never stops sending gets here too, whenever there is nothing more to read.
        if read.is_pending() {
            stream.mind_the_time(cx)?;
            stream.connection.wait(cx.waker());
        }
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let written = Pin::new(&mut stream.io).poll_write(cx, buf);
        stream.connection.wrote(written.is_ready());
        if written.is_pending() {
            stream.mind_the_time(cx)?;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
