//! Maintains the replica's file, as [`health::replica_file`](crate::sync::health::replica_file)
//! says.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::model::Timestamp;
use crate::store::StoreError;
use crate::sync::engine::Engine;
use crate::sync::health::replica_file::LogNews;
use crate::upstream::CallSource;

const DAY: Duration = Duration::from_secs(86_400);

/// At most this many calls from before `sync.history` are dropped per transaction.
const DROPPED_AT_ONCE: usize = 200;

impl<S: CallSource> Engine<S> {
    /// Notes a successful write, unless the file was moved away, where no reader sees it.
    pub(in crate::sync) fn stored(&mut self) {
        if !self.file.is_moved() {
            self.health.stored();
        }
    }

    /// Checks that the file is in place, and copies its write-ahead log into it: a backfill leaves
    /// a long log, and a copy of the file alone lacks what is in the log.
    pub(in crate::sync) async fn keep_file(&mut self) -> Result<(), StoreError> {
        let is_read = self.has_read_all();
        let now = self.now();
        let Some(chores) = self.file.look(is_read, now.instant)? else {
            return Ok(());
        };
        match chores.news {
            Some(LogNews::Long(bytes)) => warn!(
                mib = bytes >> 20,
                "the write-ahead log grows, since some program has been reading the file without \
                 end: an export to a slow client, a backup, or an analyst's open transaction; it \
                 shrinks when that one ends"
            ),
            Some(LogNews::ShortAgain) => info!("the write-ahead log is short again"),
            None => {}
        }
        if chores.copy_log {
            self.writer.run(|writer| writer.empty_log()).await?;
        }
        if self.health.store_rests(now.instant) {
            return Ok(());
        }
        if is_read {
            self.drop_what_is_too_old(now.wall).await?;
        }
        self.erase_traces(now.instant).await
    }

    /// Merges the full-text indexes step by step, which removes their traces of deleted calls.
    async fn erase_traces(&mut self, now: Instant) -> Result<(), StoreError> {
        let has_traces = self.writer.run(|writer| writer.has_traces()).await;
        if self.file.merges(has_traces, now)
            && self.writer.run(|writer| writer.erase_traces()).await?
        {
            self.file.merged(now);
        }
        Ok(())
    }

    /// Drops calls from before `sync.history`, a few at a time. Coverage forgets them first, by
    /// whole days; a call that a client asked for stays for a day.
    async fn drop_what_is_too_old(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.settings.history.is_none() {
            return Ok(());
        }
        let since = self.since() - DAY;
        let into_the_day = since.as_micros().rem_euclid(DAY.as_micros() as i64);
        // Calls of the head are read at every poll, however old they are.
        let Some(newest_page) = self.coverage.head().map(|head| head.from) else {
            return Ok(());
        };
        let day = Timestamp::from_micros(since.as_micros() - into_the_day);
        let before = day.min(newest_page);
        let mut coverage = (*self.coverage).clone();
        if coverage.forget_before(before) {
            let windows = coverage.windows().to_vec();
            self.writer
                .run(move |writer| writer.write_windows(windows))
                .await?;
            self.publish_coverage(coverage);
        }
        let unheard_since = now - DAY;
        let dropped = self
            .writer
            .run(move |writer| writer.drop_before(before, unheard_since, DROPPED_AT_ONCE))
            .await?;
        if dropped > 0 {
            self.row_counts = self.writer.run(|writer| writer.row_counts()).await;
        }
        Ok(())
    }
}
