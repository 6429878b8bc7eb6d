//! Clients' connections: whose they are, how many there may be, and for how long.
//!
//! A connection is a *stranger* until a valid token was shown on it. Strangers must not cost
//! anything to clients with a token: their requests have no body, they have their own places, and
//! when those fill up each has a second to authenticate. The framework gets a [`Stream`] for a
//! socket, which enforces this; requests report to it through its [`Connection`].

mod extent;
mod line;
mod places;
mod stream;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use actix_web::HttpRequest;
use tokio::time::Instant;

pub use extent::Body;
use extent::Extent;
use line::{End, Line, Phase};
pub use places::{Place, Places};
pub use stream::Stream;

/// One connection, shared by its stream and its requests.
pub struct Connection {
    line: RefCell<Line>,
    place: RefCell<Place>,
    /// A body that the stream does not know of yet.
    body: Cell<Option<Body>>,
    /// True if the head of an answer was written, so that the next request may be read.
    answered: Cell<bool>,
    /// True if bytes of the next request came.
    has_next: Cell<bool>,
    /// True if the request may ask for an upgrade.
    may_upgrade: Cell<bool>,
    /// True if the request may have a `Connection` header.
    names_itself: Cell<bool>,
    /// True if its answer was framed.
    is_framed: Cell<bool>,
    /// The task that reads the stream.
    task: RefCell<Option<Waker>>,
}

impl Connection {
    pub fn new(place: Place) -> Connection {
        Connection {
            line: RefCell::new(Line::new()),
            place: RefCell::new(place),
            body: Cell::new(None),
            answered: Cell::new(false),
            has_next: Cell::new(false),
            may_upgrade: Cell::new(false),
            names_itself: Cell::new(true),
            is_framed: Cell::new(false),
            task: RefCell::new(None),
        }
    }

    /// The connection of a request; `None` in a test of a handler alone.
    pub fn of(request: &HttpRequest) -> Option<&Rc<Connection>> {
        request.conn_data::<Rc<Connection>>()
    }

    // Called for requests.

    /// Records that a valid token was shown. Returns whether there is a place for such a
    /// connection.
    pub fn known(&self) -> bool {
        let mut line = self.line.borrow_mut();
        if !line.is_known() && self.place.borrow_mut().take_known() {
            line.known();
        }
        line.is_known()
    }

    /// Announces that the body of the request is going to be read.
    pub fn allow_body(&self, body: Body) {
        self.body.set(Some(body));
        let reads_body = Phase::Serves { reads_body: true };
        self.line.borrow_mut().enter(reads_body);
        self.wake();
    }

    /// Announces that the head of the answer is about to be written, and that all of its body is
    /// there. If it `is_last`, no further request is read.
    pub fn answered(&self, is_last: bool) {
        let next = if is_last { Phase::Leaves } else { Phase::Waits };
        self.line.borrow_mut().enter(next);
        self.place.borrow().serves(false);
        self.answered.set(!is_last);
        if self.has_next.get() {
            self.wake();
        }
    }

    /// Records whether the request has a `Connection` header.
    pub fn set_names_itself(&self, does: bool) {
        self.names_itself.set(does);
    }

    /// True if the request may have a `Connection` header.
    pub fn may_name_itself(&self) -> bool {
        self.names_itself.get()
    }

    /// True if the request may ask for another protocol.
    pub fn may_upgrade(&self) -> bool {
        self.may_upgrade.get()
    }

    /// Marks the answer as framed. Returns whether it was before.
    pub fn frame(&self) -> bool {
        self.is_framed.replace(true)
    }

    /// How long the client may wait before its next request, and the `Keep-Alive` that says so.
    pub fn keeps_alive(&self) -> (Duration, &'static str) {
        self.line.borrow().keeps_alive(self.is_crowded())
    }

    /// True if some of the request's body has not come yet.
    pub fn reads_body(&self) -> bool {
        self.line.borrow().phase() == Phase::Serves { reads_body: true }
    }

    pub fn is_known(&self) -> bool {
        self.line.borrow().is_known()
    }

    /// True if places of its kind are scarce, which shortens its time limits.
    pub fn is_crowded(&self) -> bool {
        self.place.borrow().is_crowded()
    }

    // Called by the stream.

    fn phase(&self) -> Phase {
        self.line.borrow().phase()
    }

    /// True if its place was given to another. `task` is woken when that happens.
    fn is_ousted(&self, task: &Waker) -> bool {
        self.place.borrow().is_ousted(task)
    }

    fn end(&self, now: Instant) -> Option<(Instant, End)> {
        let is_crowded = self.is_crowded();
        self.line.borrow_mut().end(is_crowded, now)
    }

    fn take_body(&self) -> Option<Body> {
        self.body.take()
    }

    fn take_answered(&self) -> bool {
        self.answered.take()
    }

    fn has_next(&self, has_next: bool) {
        self.has_next.set(has_next);
    }

    /// Updates the phase after bytes came, by how far the request extends.
    fn came(&self, extent: &Extent) {
        let mut line = self.line.borrow_mut();
        match (extent.is_over(), line.phase()) {
            (true, Phase::Waits | Phase::Head) => {
                let reads_body = false;
                line.enter(Phase::Serves { reads_body });
                self.place.borrow().serves(true);
                self.is_framed.set(false);
                self.names_itself.set(true);
            }
            (false, Phase::Waits) => line.enter(Phase::Head),
            (is_over, Phase::Serves { reads_body: true }) => {
                let reads_body = !is_over;
                line.enter(Phase::Serves { reads_body });
            }
            _ => {}
        }
    }

    fn wrote(&self, some: bool) {
        self.line.borrow_mut().wrote(some);
    }

    fn wait(&self, task: &Waker) {
        let mut waiting = self.task.borrow_mut();
        match &mut *waiting {
            Some(waiting) => waiting.clone_from(task),
            None => *waiting = Some(task.clone()),
        }
    }

    fn wake(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
    }
}
