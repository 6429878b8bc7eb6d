//! The replica's file between requests: whether it is in place, when its write-ahead log is copied
//! into it or reported as long, and when traces of deleted calls are removed from its indexes.
//! Pure, except for checks of the file.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{LogFile, OpenedFile, StoreError};

/// The log is first copied this long after the start, so that the file by itself can be copied.
const FIRST: Duration = Duration::from_secs(30);

/// How long changes may be in the log alone, once history was read.
const INTERVAL: Duration = Duration::from_secs(600);

/// A log that did not change for this long is copied, so that the file by itself is complete.
const REST: Duration = Duration::from_secs(60);

/// The time between two merges of the search indexes, so that traces of deleted calls last a day at
/// most.
const MERGE_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// The first merge is due this long after a start.
const MERGE_FIRST: Duration = Duration::from_secs(3600);

/// The file is checked at least this often.
const LOOK: Duration = Duration::from_secs(10);

/// The log's usual size at most, in bytes; a reader that never ends keeps it from being reused.
const USUAL: u64 = 64 << 20;

/// A log of this many times that size is reported.
const TIMES: u64 = 4;

#[derive(Debug)]
pub struct ReplicaFile {
    file: OpenedFile,
    interval: Duration,
    looked: Option<Instant>,
    is_moved: bool,
    log: Log,
    is_merging: bool,
    merge_due: Instant,
}

#[derive(Debug)]
struct Log {
    begun: Instant,
    /// The log at the last check, and since when it is unchanged.
    last: Option<(LogFile, Instant)>,
    copied: Option<Instant>,
    /// The size that was last reported.
    told: Option<u64>,
}

/// What is to be done for the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTasks {
    pub copy_log: bool,
    pub news: Option<LogNews>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogNews {
    /// The log has this size, in bytes.
    Long(u64),
    ShortAgain,
}

impl ReplicaFile {
    /// The file is checked once per poll, as far as the engine wakes, or more often if polls are
    /// rare.
    pub fn new(file: OpenedFile, poll_interval: Duration, now: Instant) -> ReplicaFile {
        ReplicaFile {
            file,
            interval: poll_interval.min(LOOK),
            looked: None,
            is_moved: false,
            log: Log {
                begun: now,
                last: None,
                copied: None,
                told: None,
            },
            is_merging: false,
            merge_due: now + MERGE_FIRST,
        }
    }

    /// Whether the file was not in place at the last check.
    pub fn is_moved(&self) -> bool {
        self.is_moved
    }

    /// Checks the file if that is due. `is_read`: all of history was read.
    ///
    /// # Errors
    /// The file in its place is not the one that is open.
    pub fn look(&mut self, is_read: bool, now: Instant) -> Result<Option<FileTasks>, StoreError> {
        if self
            .looked
            .is_some_and(|looked| looked + self.interval > now)
        {
            return Ok(None);
        }
        self.looked = Some(now);
        let checked = self.file.check();
        self.is_moved = checked.is_err();
        checked?;
        Ok(Some(self.log.look(self.file.log(), is_read, now)))
    }

    /// Whether the search indexes are to be merged one step further.
    pub fn merges(&mut self, has_traces: bool, now: Instant) -> bool {
        self.is_merging |= has_traces && now >= self.merge_due;
        self.is_merging
    }

    /// Notes that the last step was done.
    pub fn merged(&mut self, now: Instant) {
        self.is_merging = false;
        self.merge_due = now + MERGE_INTERVAL;
    }
}

impl Log {
    fn look(&mut self, log: LogFile, is_read: bool, now: Instant) -> FileTasks {
        let since = match self.last {
            Some((last, since)) if last == log => since,
            _ => now,
        };
        self.last = Some((log, since));
        let is_over = |since: Instant, after| now.duration_since(since) >= after;
        let is_due = match self.copied {
            None => is_over(self.begun, FIRST),
            Some(copied) => is_read && is_over(copied, INTERVAL),
        };
        let copy_log = log.size > 0 && (is_due || is_over(since, REST));
        if copy_log {
            self.copied = Some(now);
        }
        FileTasks {
            copy_log,
            news: self.news(log.size),
        }
    }

    fn news(&mut self, size: u64) -> Option<LogNews> {
        let worth_telling = self.told.map_or(TIMES * USUAL, |told| 2 * told);
        if size >= worth_telling {
            self.told = Some(size);
            return Some(LogNews::Long(size));
        }
        (size <= USUAL).then(|| self.told.take()).flatten()?;
        Some(LogNews::ShortAgain)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn log(now: Instant) -> Log {
        Log {
            begun: now,
            last: None,
            copied: None,
            told: None,
        }
    }

    fn file(size: u64, change: u64) -> LogFile {
        LogFile {
            size,
            changed: Some(SystemTime::UNIX_EPOCH + change as u32 * SECOND),
        }
    }

    #[test]
    fn it_is_copied_soon_after_the_start_then_at_times_and_whenever_it_rests() {
        let begun = Instant::now();
        let mut log = log(begun);
        let mut copied = Vec::new();
        for second in 0..2000_u64 {
            // The log is written every second for a while, and then no more.
            let change = second.min(1500);
            let now = begun + second as u32 * SECOND;
            if log.look(file(1000, change), true, now).copy_log {
                copied.push(second);
            }
        }
        assert_eq!(copied[..3], [30, 630, 1230]);
        assert_eq!(copied[3], 1560, "it rests");
    }

    #[test]
    fn a_fill_is_not_held_up_after_the_first_time() {
        let begun = Instant::now();
        let mut log = log(begun);
        let copied = (0..5000_u64).filter(|second| {
            let now = begun + *second as u32 * SECOND;
            log.look(file(1000, *second), false, now).copy_log
        });
        assert_eq!(copied.collect::<Vec<_>>(), [30]);
    }

    #[test]
    fn an_empty_one_is_left_alone() {
        let begun = Instant::now();
        let mut log = log(begun);
        for second in 0..2000 {
            let chores = log.look(file(0, 0), true, begun + second * SECOND);
            assert_eq!(chores, FileTasks::default());
        }
    }

    #[test]
    fn a_long_one_is_told_at_four_times_its_size_and_at_each_doubling() {
        let begun = Instant::now();
        let mut log = log(begun);
        let mut told = Vec::new();
        for mib in (0..1300_u64).chain([600, 64, 65, 255, 256]) {
            match log.news(mib << 20) {
                Some(LogNews::Long(size)) => told.push((size >> 20) as i64),
                Some(LogNews::ShortAgain) => told.push(-1),
                None => {}
            }
        }
        assert_eq!(told, [256, 512, 1024, -1, 256]);
    }
}
