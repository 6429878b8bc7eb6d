//! The replica's file. All SQL is below this module.
//!
//! A file has one [`Writer`], guarded by a lock file beside it, and any number of [`Reader`]s, each
//! with its own read-only connection. One answer of the upstream is one transaction, so the file on
//! disk is always as of one whole answer.
//!
//! From the ground up: `file`, `derived`, `details`, `write`, `read`, and `lists`, which plans how
//! a list is read. Beside them: the `coverage`, the `identity` of the file, the names of
//! `assistants`, and the `outbox` of changes that wait for the upstream.

mod assistants;
mod coverage;
mod derived;
mod details;
mod error;
mod file;
mod identity;
mod lists;
mod outbox;
mod read;
mod write;

pub use assistants::Names;
pub use details::queue::{Again, DetailsCounts, DueDetails};
pub use details::text::{DetailObservation, StoredDetail};
pub use error::StoreError;
pub use file::lock::is_written;
pub use file::opened_file::{LogFile, OpenedFile};
pub use file::temp_replica::TempReplica;
pub use identity::Identity;
pub use lists::Listed;
pub use lists::place::Place;
pub use outbox::{Conflict, NewWrite, Outbox, Queued, Write};
pub use read::aggregates::{Analytics, Assistant, Day, Durations};
pub use read::changes::{Change, Changed, Changes, Confirmation};
pub use read::pool::{PoolState, Readers};
pub use read::reader::{Reader, StoredCall, Totals};
pub use read::scan::{Scan, Text};
pub use write::feed::FeedPage;
pub use write::feed_position::FeedPosition;
pub use write::ledger::RowCounts;
pub use write::observation::{Complete, Merged, Observation, Trust};
pub use write::row_versions::{Revision, Revisions};
pub use write::shared_writer::SharedWriter;
pub use write::writer::{OpenCalls, Writer};
