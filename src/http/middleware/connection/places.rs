//! The places of connections: those that showed a token, and strangers, by their address.
//!
//! One stranger too many of an address takes the place of the one that has waited longest. So a
//! client that soon shows its token is never turned away, even if many have one address.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use futures_util::task::AtomicWaker;
use rustix::process::{Resource, getrlimit};

use crate::http::middleware::peer::network;

/// The most connections that showed a token, if descriptors allow it: with all of them busy, the
/// last waits about a tenth of a second for a call, and their buffers take some 20 MB.
const MOST: usize = 1024;

/// The most strangers at once. Further ones wait in the system's queue, a second at most.
const MOST_STRANGERS: usize = 1536;

/// The most strangers of one address.
const MOST_OF_ADDRESS: usize = 1024;

/// With more strangers than this, in all or of one address, places are scarce.
const CROWD: usize = 256;
const CROWD_OF_ADDRESS: usize = 64;

/// Descriptors reserved for the file, the upstream, recordings and the rest.
const OTHER_DESCRIPTORS: usize = 256;

/// The places of a server's connections. Cheap to clone.
#[derive(Clone)]
pub struct Places(Arc<Shared>);

struct Shared {
    most: usize,
    known: AtomicUsize,
    strangers: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, VecDeque<Arc<Stranger>>>>,
}

pub struct Place {
    shared: Arc<Shared>,
    held: Held,
}

enum Held {
    /// Counted as a stranger and, unless its address is a trusted proxy's, by its address.
    Stranger(Option<(IpAddr, Arc<Stranger>)>),
    Known,
}

#[derive(Default)]
struct Stranger {
    /// True while its request is being answered: it waits for the edge.
    is_served: AtomicBool,
    is_ousted: AtomicBool,
    task: AtomicWaker,
}

impl Places {
    /// `most` places for connections that showed a token.
    pub fn at_most(most: usize) -> Places {
        Places(Arc::new(Shared {
            most,
            known: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
            addresses: Mutex::default(),
        }))
    }

    /// As many places as the process's limit of descriptors allows, at most 1024.
    pub fn of_process() -> Places {
        let descriptors = getrlimit(Resource::Nofile).current;
        let descriptors = descriptors.and_then(|most| usize::try_from(most).ok());
        Places::at_most(fitting(descriptors))
    }

    /// The connections that each of `workers` accepts.
    pub fn of_worker(&self, workers: usize) -> usize {
        let strangers = MOST_STRANGERS.min(2 * self.0.most);
        (self.0.most + strangers).div_ceil(workers)
    }

    /// A stranger's place for a connection from this address; `None` is one that many may share.
    pub fn take(&self, address: Option<IpAddr>) -> Place {
        self.0.strangers.fetch_add(1, Ordering::Relaxed);
        let of_address = address.map(|address| {
            let network = network(address);
            (network, self.0.join(network))
        });
        Place {
            shared: Arc::clone(&self.0),
            held: Held::Stranger(of_address),
        }
    }
}

impl Shared {
    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, VecDeque<Arc<Stranger>>>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stranger of this address; if there are too many, one that waits loses its place.
    fn join(&self, address: IpAddr) -> Arc<Stranger> {
        let mut addresses = self.addresses();
        let strangers = addresses.entry(address).or_default();
        if strangers.len() >= MOST_OF_ADDRESS {
            let waits = |stranger: &Arc<Stranger>| !stranger.is_served.load(Ordering::Relaxed);
            let longest = strangers.iter().position(waits).unwrap_or(0);
            if let Some(ousted) = strangers.remove(longest) {
                ousted.is_ousted.store(true, Ordering::Relaxed);
                ousted.task.wake();
            }
        }
        let stranger = Arc::<Stranger>::default();
        strangers.push_back(Arc::clone(&stranger));
        stranger
    }

    fn leave(&self, address: IpAddr, stranger: &Arc<Stranger>) {
        let mut addresses = self.addresses();
        if let Entry::Occupied(mut entry) = addresses.entry(address) {
            let strangers = entry.get_mut();
            let is_it = |other: &Arc<Stranger>| Arc::ptr_eq(other, stranger);
            if let Some(place) = strangers.iter().position(is_it) {
                strangers.remove(place);
            }
            if strangers.is_empty() {
                entry.remove();
            }
        }
    }

    fn count(&self, address: IpAddr) -> usize {
        self.addresses().get(&address).map_or(0, VecDeque::len)
    }
}

impl Place {
    /// Takes a place among connections that showed a token. Returns whether there is one.
    pub fn take_known(&mut self) -> bool {
        if matches!(self.held, Held::Known) {
            return true;
        }
        let taken = self.shared.known.fetch_add(1, Ordering::Relaxed) < self.shared.most;
        if !taken {
            self.shared.known.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.leave();
        self.held = Held::Known;
        true
    }

    /// True if places of its kind are scarce.
    pub fn is_crowded(&self) -> bool {
        match &self.held {
            Held::Known => self.shared.known.load(Ordering::Relaxed) > self.shared.most * 3 / 4,
            Held::Stranger(of_address) => {
                self.shared.strangers.load(Ordering::Relaxed) > CROWD
                    || of_address
                        .as_ref()
                        .is_some_and(|(address, _)| self.shared.count(*address) > CROWD_OF_ADDRESS)
            }
        }
    }

    /// True if its place was given to another. `task` is woken when it is.
    pub fn is_ousted(&self, task: &Waker) -> bool {
        match &self.held {
            Held::Stranger(Some((_, stranger))) => {
                stranger.task.register(task);
                stranger.is_ousted.load(Ordering::Relaxed)
            }
            _ => false,
        }
    }

    /// Resolves when its place is given to another.
    pub async fn ousted(&self) {
        poll_fn(|cx| match self.is_ousted(cx.waker()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }

    /// Records whether its request is being answered.
    pub fn serves(&self, is_served: bool) {
        if let Held::Stranger(Some((_, stranger))) = &self.held {
            stranger.is_served.store(is_served, Ordering::Relaxed);
        }
    }

    fn leave(&mut self) {
        match &self.held {
            Held::Known => {
                self.shared.known.fetch_sub(1, Ordering::Relaxed);
            }
            Held::Stranger(of_address) => {
                self.shared.strangers.fetch_sub(1, Ordering::Relaxed);
                if let Some((address, stranger)) = of_address {
                    self.shared.leave(*address, stranger);
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The places that this many descriptors allow; `None` is any number.
fn fitting(descriptors: Option<usize>) -> usize {
    descriptors.map_or(MOST, |most| {
        (most.saturating_sub(OTHER_DESCRIPTORS) / 3).clamp(1, MOST)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn is_ousted(place: &Place) -> bool {
        place.is_ousted(Waker::noop())
    }

    #[test]
    fn there_are_descriptors_for_all_that_may_be_open() {
        assert_eq!(fitting(None), 1024);
        assert_eq!(fitting(Some(1_048_576)), 1024);
        assert_eq!(fitting(Some(1024)), 256);
        assert_eq!(fitting(Some(64)), 1);
        for descriptors in [512, 1024, 4096, 20_000] {
            let places = Places::at_most(fitting(Some(descriptors)));
            assert!(
                places.of_worker(1) + OTHER_DESCRIPTORS <= descriptors,
                "{descriptors}"
            );
        }
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let places = Places::at_most(1);
        let mut first = places.take(Some(HERE));
        let mut second = places.take(Some(HERE));
        assert!(first.take_known() && first.take_known());
        assert!(!second.take_known());
        drop(first);
        assert!(second.take_known());
        drop(second);
        assert_eq!(places.0.known.load(Ordering::Relaxed), 0);
        assert_eq!(places.0.strangers.load(Ordering::Relaxed), 0);
        assert!(places.0.addresses().is_empty());
    }

    #[test]
    fn one_more_of_an_address_takes_the_place_of_whoever_waited_longest() {
        let places = Places::at_most(1000);
        let other: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let mut held = Vec::new();
        for number in 1..=MOST_OF_ADDRESS {
            held.push(places.take(Some(other)));
            let is_crowded = held[0].is_crowded();
            assert_eq!(is_crowded, number > CROWD_OF_ADDRESS, "{number}");
        }
        assert!(!held.iter().any(is_ousted));
        held[0].serves(true);
        let late = places.take(Some(neighbour));
        assert_eq!((is_ousted(&held[0]), is_ousted(&held[1])), (false, true));
        assert!(!is_ousted(&late) && !is_ousted(&held[2]));
        // It no longer counts for that address, like one that has closed.
        assert_eq!(places.0.count(network(other)), MOST_OF_ADDRESS);
        drop(held.remove(1));
        assert_eq!(places.0.count(network(other)), MOST_OF_ADDRESS);
        held[0].serves(false);
        assert!(held[1].take_known());
        let last = places.take(Some(other));
        assert!(!is_ousted(&held[0]), "there was room");
        drop(last);

        let here = places.take(Some(HERE));
        assert!(here.is_crowded(), "there are many of all");
        let mut proxy = places.take(None);
        assert!(proxy.take_known() && !proxy.is_crowded());
    }
}
