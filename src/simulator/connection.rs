//! Second handles of accepted sockets, with which a fault can close what the server holds.

use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Weak};

use socket2::{SockRef, Socket};

/// A second handle of one socket, to be dropped with its connection: the socket closes with the
/// last of its handles.
pub(super) struct Connection(Socket);

impl Connection {
    /// Closes the connection for both sides, whatever other handles there are.
    pub(super) fn shut_down(&self) {
        // A connection that is already down can't be closed, so the error means nothing.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The open connections.
#[derive(Default)]
pub(super) struct Connections(Vec<Weak<Connection>>);

impl Connections {
    /// Creates a second handle of an accepted socket, for its connection to own.
    pub(super) fn add(&mut self, socket: &SockRef<'_>) -> io::Result<Arc<Connection>> {
        let connection = Arc::new(Connection(socket.try_clone()?));
        self.0.retain(|known| known.strong_count() > 0);
        self.0.push(Arc::downgrade(&connection));
        Ok(connection)
    }

    /// Closes all connections but `spared`.
    pub(super) fn shut_down(&self, spared: Option<&Arc<Connection>>) {
        for connection in self.0.iter().filter_map(Weak::upgrade) {
            if !spared.is_some_and(|spared| Arc::ptr_eq(spared, &connection)) {
                connection.shut_down();
            }
        }
    }
}
