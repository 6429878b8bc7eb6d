//! Clients' connections: only so many are served, and those beyond are told so.
//!
//! A connection has one request under way, so that this is also how many wait for a worker: a call
//! by id costs about as much as its refusal, and the line of those is kept short by this alone.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use rustix::process::{Resource, getrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::Failure;

/// As many as are served where descriptors allow it: with all of them busy, the last waits about a
/// tenth of a second for a call, and their buffers take some 20 MB.
const MOST: usize = 1024;

/// Descriptors that are left for the file, the upstream, recordings, and connections beyond.
const OTHER_DESCRIPTORS: usize = 256;

/// Connections beyond the served that are open at once, to be refused or to ask how the edge is.
/// The next wait in the system's queue until one of them ends.
const BEYOND: usize = 128;

/// A client that found no place is told to come back after this long, in seconds.
const RETRY_AFTER: u64 = 1;

/// The places of a server's connections. Cheap to clone.
#[derive(Clone)]
pub struct Connections(Arc<Places>);

struct Places {
    free: Arc<Semaphore>,
    most: usize,
}

/// What a connection keeps as long as it is open; without a place it is one too many.
struct Place(Option<OwnedSemaphorePermit>);

impl Connections {
    /// So many places.
    pub fn at_most(most: usize) -> Connections {
        Connections(Arc::new(Places {
            free: Arc::new(Semaphore::new(most)),
            most,
        }))
    }

    /// As many as this process may have descriptors for, 1024 at most.
    pub fn of_process() -> Connections {
        let descriptors = getrlimit(Resource::Nofile).current;
        let descriptors = descriptors.and_then(|most| usize::try_from(most).ok());
        Connections::at_most(fitting(descriptors))
    }

    /// Connections that a worker of so many takes in, those beyond the served among them.
    pub(super) fn of_worker(&self, workers: usize) -> usize {
        (self.0.most + BEYOND).div_ceil(workers)
    }

    /// Gives a new connection its place, if there is one.
    pub(super) fn welcome(&self, connection: &mut Extensions) {
        connection.insert(self.place());
    }

    fn place(&self) -> Place {
        Place(Arc::clone(&self.0.free).try_acquire_owned().ok())
    }
}

/// Places for so many descriptors; `None` is any number.
fn fitting(descriptors: Option<usize>) -> usize {
    descriptors.map_or(MOST, |most| {
        most.saturating_sub(OTHER_DESCRIPTORS).clamp(1, MOST)
    })
}

/// Whether a request came by a connection that has no place.
pub fn is_beyond(request: &HttpRequest) -> bool {
    let place = request.conn_data::<Place>();
    place.is_some_and(|place| place.0.is_none())
}

/// What such a request is told.
pub fn refusal() -> Failure {
    Failure::Full {
        retry_after: RETRY_AFTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_descriptors_for_all_that_may_be_open() {
        assert_eq!(fitting(None), 1024);
        assert_eq!(fitting(Some(1_048_576)), 1024);
        assert_eq!(fitting(Some(1024)), 768);
        assert_eq!(fitting(Some(64)), 1);
        const { assert!(BEYOND < OTHER_DESCRIPTORS) };
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_ends() {
        let connections = Connections::at_most(1);
        let first = connections.place();
        assert!(first.0.is_some());
        assert!(connections.place().0.is_none());
        drop(first);
        assert!(connections.place().0.is_some());
    }
}
