//! Proxied client requests. The planner does not schedule them, but they take request numbers and
//! budget like its own.
//!
//! They queue with misses: after the head, and with one request for history after three for
//! clients.

use std::sync::{Arc, Weak};

use tokio::sync::oneshot;

use crate::model::Verified;

/// At most this many are in flight at once.
const AT_ONCE: usize = 32;

/// Where a permit is sent or, without one, the seconds until it is worth trying again.
pub type PermitReply = oneshot::Sender<Result<Permit, u64>>;

/// Permission to send the upstream one request. It counts as in flight until it is dropped, so that
/// the order of its answer and of older requests that are answered later stays known.
#[derive(Debug)]
pub struct Permit {
    pub(in crate::sync) request: Verified,
    alive: Arc<()>,
}

/// The permits in flight, by request number.
#[derive(Default)]
pub struct ProxyPermits(Vec<(u64, Weak<()>)>);

impl ProxyPermits {
    /// `None` where [`AT_ONCE`] are in flight.
    pub fn permit(&mut self, request: Verified) -> Option<Permit> {
        self.0.retain(|(_, alive)| alive.strong_count() > 0);
        if self.0.len() >= AT_ONCE {
            return None;
        }
        let alive = Arc::new(());
        self.0.push((request.seq, Arc::downgrade(&alive)));
        Some(Permit { request, alive })
    }

    /// The lowest request number in flight.
    pub fn oldest_seq(&self) -> Option<u64> {
        let alive = self.0.iter().filter(|(_, alive)| alive.strong_count() > 0);
        alive.map(|(seq, _)| *seq).min()
    }

    /// Whether this engine issued the permit: another engine's request numbers mean nothing here.
    pub fn knows(&self, permit: &Permit) -> bool {
        let same = |alive: &Weak<()>| std::ptr::eq(alive.as_ptr(), Arc::as_ptr(&permit.alive));
        self.0.iter().any(|(_, alive)| same(alive))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn request(seq: u64) -> Verified {
        let at = Timestamp::from_micros(0);
        Verified { at, seq }
    }

    #[test]
    fn a_permit_is_under_way_until_it_is_dropped() {
        let (mut passes, mut others) = (ProxyPermits::default(), ProxyPermits::default());
        let first = passes.permit(request(4)).unwrap();
        let second = passes.permit(request(7)).unwrap();
        assert_eq!(passes.oldest_seq(), Some(4));
        assert!(passes.knows(&first) && !others.knows(&first));
        let stranger = others.permit(request(4)).unwrap();
        assert!(!passes.knows(&stranger));
        drop(first);
        assert_eq!(passes.oldest_seq(), Some(7));
        drop(second);
        assert_eq!(passes.oldest_seq(), None);
    }

    #[test]
    fn there_are_so_many_at_once_and_no_more() {
        let mut passes = ProxyPermits::default();
        let mut held: Vec<_> = (0..AT_ONCE as u64)
            .map(|seq| passes.permit(request(seq)).unwrap())
            .collect();
        assert!(passes.permit(request(99)).is_none());
        held.pop();
        assert!(passes.permit(request(99)).is_some());
    }
}
