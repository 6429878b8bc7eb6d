//! One read transaction for all requests that arrive together.
//!
//! A read transaction costs system calls and locks that all readers of a process share. Under load,
//! a worker finds many requests each time it polls its sockets. It answers them in one transaction,
//! which ends before the worker waits again. No request sees less than was committed when it came:
//! the first one after a commit renews the transaction.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::store::{Reader, Revisions, StoreError};

/// A worker's reader, and the transaction that its requests share.
pub struct Snapshot {
    reader: Reader,
    revisions: Arc<Revisions>,
    /// The number of commits that the open transaction shows, if one is open.
    held: Cell<Option<u64>>,
    /// True if the transaction's end is scheduled.
    ending: Cell<bool>,
}

impl Snapshot {
    pub fn of(reader: Reader, revisions: Arc<Revisions>) -> Rc<Snapshot> {
        Rc::new(Snapshot {
            reader,
            revisions,
            held: Cell::new(None),
            ending: Cell::new(false),
        })
    }

    /// The reader, outside of any transaction.
    pub fn reader(&self) -> &Reader {
        self.release();
        &self.reader
    }

    /// The reader, in a transaction that shows everything committed. For single rows only: a read
    /// that begins its own transaction can't do so inside another.
    pub fn now(self: &Rc<Snapshot>) -> Result<&Reader, StoreError> {
        let commits = self.revisions.commits();
        if self.held.get().is_some() && self.held.get() == commits {
            return Ok(&self.reader);
        }
        self.release();
        // During a commit, it is unknown which state a row read now belongs to.
        if commits.is_some() {
            self.reader.hold()?;
            self.held.set(commits);
            self.end_soon();
        }
        Ok(&self.reader)
    }

    /// Ends the transaction before the worker waits for its sockets again: a long transaction keeps
    /// the log from being checkpointed.
    fn end_soon(self: &Rc<Snapshot>) {
        if self.ending.replace(true) {
            return;
        }
        let snapshot = Rc::clone(self);
        actix_web::rt::spawn(async move {
            tokio::task::yield_now().await;
            snapshot.ending.set(false);
            snapshot.release();
        });
    }

    fn release(&self) {
        if self.held.take().is_some() {
            self.reader.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::model::{Call, CallKey, Timestamp, Verified};
    use crate::store::{Observation, Writer};

    struct File {
        _folder: TempDir,
        writer: Writer,
        snapshot: Rc<Snapshot>,
        other: rusqlite::Connection,
    }

    impl File {
        fn new() -> File {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("edge.db");
            let mut writer = Writer::open(&path, "https://upstream.test").unwrap();
            let revisions = Arc::<Revisions>::default();
            writer.announce_to(Arc::clone(&revisions));
            File {
                writer,
                snapshot: Snapshot::of(Reader::open(&path).unwrap(), revisions),
                other: rusqlite::Connection::open(&path).unwrap(),
                _folder: folder,
            }
        }

        fn write(&mut self, seq: u64, body: &str) {
            let request = Verified {
                at: Timestamp::from_micros(0),
                seq,
            };
            let learned = Observation {
                oldest_in_flight: seq,
                newest_seq: seq,
                calls: vec![Call::from_json(body).unwrap()],
                ..Observation::of(request)
            };
            self.writer.merge(learned).unwrap();
        }

        fn body(&self) -> String {
            let held = self.snapshot.now().unwrap().call(&CallKey::Id(1)).unwrap();
            held.unwrap().body
        }

        /// True if a reader keeps the log from being checkpointed and restarted.
        fn log_is_kept(&self) -> bool {
            let busy = |row: &rusqlite::Row<'_>| row.get(0);
            let checkpoint = "PRAGMA wal_checkpoint(RESTART)";
            self.other.query_row(checkpoint, [], busy).unwrap()
        }
    }

    const FIRST: &str = r#"{"id":1,"call_sid":"CA1","status":"ongoing","started_at":null}"#;
    const SECOND: &str = r#"{"id":1,"call_sid":"CA1","status":"completed","started_at":null}"#;

    #[actix_web::test]
    async fn what_was_committed_is_seen_at_once() {
        let mut file = File::new();
        file.write(1, FIRST);
        assert_eq!(file.body(), FIRST);
        file.write(2, SECOND);
        assert_eq!(file.body(), SECOND);
    }

    #[actix_web::test]
    async fn a_transaction_ends_before_the_worker_waits() {
        let mut file = File::new();
        file.write(1, FIRST);
        file.body();
        file.body();
        assert!(file.log_is_kept(), "both were of one transaction");
        // Once for the task to start, and once for it to continue.
        for _ in 0..2 {
            tokio::task::yield_now().await;
        }
        assert!(!file.log_is_kept());
        file.body();
        file.snapshot.reader();
        assert!(
            !file.log_is_kept(),
            "who asks for the bare reader gets it so"
        );
    }
}
