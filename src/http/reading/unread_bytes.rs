//! Large answers being sent: together they take a bounded amount of memory, however slowly their
//! clients read.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Smaller answers are not counted: there are never more of them than connections.
const SMALL: usize = 1 << 20;

/// The unit of counting, in bytes.
const UNIT: usize = 64 << 10;

/// The memory of all of them, in units: 256 MiB, which is four of the largest possible pages.
const ALL: u32 = 4096;

/// The bytes of an answer that are written at once.
const PIECE: usize = 64 << 10;

/// The memory for large answers. Cheap to clone.
#[derive(Clone)]
pub struct Unread(Arc<Semaphore>);

/// A body, with its share of the memory until it is sent or dropped.
pub struct Counted {
    left: Bytes,
    _share: OwnedSemaphorePermit,
}

impl Default for Unread {
    fn default() -> Unread {
        Unread(Arc::new(Semaphore::new(ALL as usize)))
    }
}

impl Unread {
    /// Returns a small body as it is, and a large one with its share of the memory.
    ///
    /// # Errors
    /// There is no memory for it now.
    pub fn count(&self, body: Bytes) -> Result<Result<Bytes, Counted>, Full> {
        if body.len() < SMALL {
            return Ok(Ok(body));
        }
        let units = u32::try_from(body.len().div_ceil(UNIT)).unwrap_or(u32::MAX);
        // A body larger than the whole memory is sent only while no other large one is.
        let share = Arc::clone(&self.0).try_acquire_many_owned(units.min(ALL));
        Ok(Err(Counted {
            left: body,
            _share: share.map_err(|_| Full)?,
        }))
    }
}

/// Other answers take up the memory.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl MessageBody for Counted {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let left = &mut self.get_mut().left;
        if left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = left.split_to(PIECE.min(left.len()));
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use futures_util::future::poll_fn;

    use super::*;

    #[test]
    fn large_ones_have_a_share_until_they_are_dropped_and_small_ones_none() {
        let unread = Unread::default();
        let large = Bytes::from(vec![b' '; 60 << 20]);
        let mut held: Vec<_> = (0..4)
            .map(|_| unread.count(large.clone()).unwrap().unwrap_err())
            .collect();
        assert_eq!(unread.count(large.clone()).err(), Some(Full));
        let small = Bytes::from_static(b"small");
        assert_eq!(unread.count(small.clone()).unwrap().ok(), Some(small));
        drop(held.pop());
        assert!(unread.count(large).is_ok());
        let beyond = Bytes::from(vec![b' '; 300 << 20]);
        assert_eq!(unread.count(beyond.clone()).err(), Some(Full));
        drop(held);
        assert!(unread.count(beyond).is_ok(), "alone");
    }

    #[test]
    fn it_is_sent_whole_and_in_pieces() {
        let text: Vec<u8> = (0..3_000_000_u32).map(|at| at as u8).collect();
        let counted = Unread::default().count(text.clone().into()).unwrap();
        let mut counted = counted.unwrap_err();
        assert_eq!(counted.size(), BodySize::Sized(3_000_000));
        let mut sent = Vec::new();
        while let Some(Ok(piece)) = poll_fn(|cx| Pin::new(&mut counted).poll_next(cx))
            .now_or_never()
            .unwrap()
        {
            assert!(piece.len() <= PIECE);
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, text);
    }
}
