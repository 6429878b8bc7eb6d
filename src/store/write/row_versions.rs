//! Versions of the calls' rows, in memory: they let a reader in the same process cache a call.
//!
//! A row that is read after its revision stays current as long as the revision does. A commit
//! increments the revisions of its calls twice: before its writes become visible, and before it is
//! reported as committed. Neither side waits for the other.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::hooks::Action;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Calls whose ids differ by a multiple of this share a revision. The revisions take half a MiB; a
/// fill that writes 10,000 calls a second makes a cached call be read again every 13 seconds.
const SLOTS: usize = 1 << 17;

/// The revisions of a file's calls, shared by its writer and its readers.
pub struct Revisions {
    /// Counts the commits to the file.
    commits: AtomicU64,
    /// One counter for each slot. Like `commits`, it is odd during a commit that changes it.
    calls: Box<[AtomicU32]>,
}

/// The version of a call's row: while it stays the same, so does the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u32);

impl Default for Revisions {
    fn default() -> Revisions {
        Revisions {
            commits: AtomicU64::new(0),
            calls: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
        }
    }
}

impl Revisions {
    /// The call's revision now; `None` while the call is being committed, when nothing that is read
    /// may be cached.
    pub fn of(&self, id: i64) -> Option<Revision> {
        let count = self.call(id).load(Ordering::SeqCst);
        (count & 1 == 0).then_some(Revision(count))
    }

    /// Changes with every commit; `None` during one.
    pub fn commits(&self) -> Option<u64> {
        let count = self.commits.load(Ordering::SeqCst);
        (count & 1 == 0).then_some(count)
    }

    fn call(&self, id: i64) -> &AtomicU32 {
        // The low bits differ between neighbours.
        &self.calls[id as usize % SLOTS]
    }
}

/// What a connection wrote in its transaction.
#[derive(Default)]
struct Writes {
    /// The ids of the calls written.
    calls: Vec<i64>,
    /// True if the transaction was begun and not committed.
    is_open: bool,
}

/// The [`Writes`] of a connection, shared with its update hook.
#[derive(Clone, Default)]
pub struct WriteLog(Arc<Mutex<Writes>>);

impl WriteLog {
    /// Records every call that `connection` writes.
    pub fn by(connection: &Connection) -> rusqlite::Result<WriteLog> {
        let touched = WriteLog::default();
        let heard = touched.clone();
        connection.update_hook(Some(move |_: Action, _: &str, table: &str, id: i64| {
            if table == "calls" {
                heard.with(|writes| writes.calls.push(id));
            }
        }))?;
        Ok(touched)
    }

    /// True if the last transaction ended without a commit.
    pub fn was_given_up(&self) -> bool {
        self.with(|writes| writes.is_open)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Writes) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A transaction of the writer.
pub struct Writing<'c> {
    transaction: Transaction<'c>,
    revisions: &'c Revisions,
    touched: &'c WriteLog,
}

impl<'c> Writing<'c> {
    pub fn begin(
        connection: &'c Connection,
        revisions: &'c Revisions,
        touched: &'c WriteLog,
    ) -> rusqlite::Result<Writing<'c>> {
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        touched.with(|writes| {
            // Left by a transaction that ended without a commit.
            writes.calls.clear();
            writes.is_open = true;
        });
        Ok(Writing {
            transaction,
            revisions,
            touched,
        })
    }

    pub fn commit(self) -> rusqlite::Result<()> {
        let calls = self
            .touched
            .with(|writes| std::mem::take(&mut writes.calls));
        let _committing = Committing::begin(self.revisions, calls);
        self.transaction.commit()?;
        self.touched.with(|writes| writes.is_open = false);
        Ok(())
    }
}

impl<'c> Deref for Writing<'c> {
    type Target = Transaction<'c>;

    fn deref(&self) -> &Transaction<'c> {
        &self.transaction
    }
}

/// While it lives, all revisions that a commit changes are odd.
struct Committing<'c> {
    revisions: &'c Revisions,
    /// One id for each revision.
    ids: Vec<i64>,
}

impl<'c> Committing<'c> {
    fn begin(revisions: &'c Revisions, mut ids: Vec<i64>) -> Committing<'c> {
        revisions.commits.fetch_add(1, Ordering::SeqCst);
        ids.retain(|id| revisions.call(*id).fetch_or(1, Ordering::SeqCst) & 1 == 0);
        Committing { revisions, ids }
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.revisions.call(*id).fetch_add(1, Ordering::SeqCst);
        }
        self.revisions.commits.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of calls, its revisions, and the recorder of its writes.
    fn file() -> (Connection, Revisions, WriteLog) {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE calls (id INTEGER PRIMARY KEY, body TEXT);
                 CREATE TABLE tombstones (id INTEGER PRIMARY KEY);
                 INSERT INTO calls VALUES (1, 'a'), (2, 'b'), (3, 'c');",
            )
            .unwrap();
        let touched = WriteLog::by(&connection).unwrap();
        (connection, Revisions::default(), touched)
    }

    fn all(revisions: &Revisions) -> Vec<Option<Revision>> {
        (1..=4).map(|id| revisions.of(id)).collect()
    }

    #[test]
    fn a_commit_changes_the_revisions_of_what_it_wrote_and_of_nothing_else() {
        let (connection, revisions, touched) = file();
        let (before, commits) = (all(&revisions), revisions.commits());
        let writing = Writing::begin(&connection, &revisions, &touched).unwrap();
        writing
            .execute_batch(
                "UPDATE calls SET body = 'x' WHERE id = 1;
                 DELETE FROM calls WHERE id = 2;
                 INSERT INTO calls VALUES (4, 'd');
                 INSERT INTO tombstones VALUES (3);",
            )
            .unwrap();
        assert_eq!(all(&revisions), before, "nobody can see it yet");
        writing.commit().unwrap();
        let after = all(&revisions);
        let changed: Vec<bool> = before.iter().zip(&after).map(|(b, a)| b != a).collect();
        assert_eq!(changed, [true, true, false, true]);
        assert!(after.iter().all(Option::is_some));
        assert!(revisions.commits().is_some() && revisions.commits() != commits);
    }

    #[test]
    fn what_was_given_up_changes_nothing() {
        let (connection, revisions, touched) = file();
        let before = all(&revisions);
        let writing = Writing::begin(&connection, &revisions, &touched).unwrap();
        writing.execute("DELETE FROM calls", []).unwrap();
        drop(writing);
        let writing = Writing::begin(&connection, &revisions, &touched).unwrap();
        writing
            .execute("UPDATE calls SET body = '' WHERE id = 3", [])
            .unwrap();
        writing.commit().unwrap();
        assert_eq!(all(&revisions)[..2], before[..2]);
        assert_ne!(all(&revisions)[2], before[2]);
    }

    #[test]
    fn in_the_middle_of_a_commit_there_is_no_revision() {
        let revisions = Revisions::default();
        let other = SLOTS as i64 + 7;
        let committing = Committing::begin(&revisions, vec![7, other, 7]);
        assert_eq!(revisions.of(7), None);
        assert_eq!(revisions.commits(), None);
        drop(committing);
        assert_eq!(revisions.of(7), Some(Revision(2)));
        assert_eq!(revisions.commits(), Some(2));
    }
}
