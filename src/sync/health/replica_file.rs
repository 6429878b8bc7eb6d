//! The replica's file between requests: whether it is still there, when its write-ahead log is
//! copied into it or told to be long, and when traces of what is gone are removed from its indexes.
//! Pure, but for the looks at the file.

use std::time::Duration;

use tokio::time::Instant;

use crate::store::{LogFile, OpenedFile, StoreError};

/// After the first changes, the file by itself is one that can be copied.
const FIRST: Duration = Duration::from_secs(30);

/// How long what was written may be in the log alone, once the history was read.
const INTERVAL: Duration = Duration::from_secs(600);

/// A log that did not change for so long is copied: then the file is all there is.
const REST: Duration = Duration::from_secs(60);

/// Between two merges of the search indexes, where there are traces of what is gone: within a day
/// none is older.
const MERGE_INTERVAL: Duration = Duration::from_secs(12 * 3600);

/// After a start that comes first.
const MERGE_FIRST: Duration = Duration::from_secs(3600);

/// The file is looked at so often at least.
const LOOK: Duration = Duration::from_secs(10);

/// The log's usual size at most, in bytes; a reader that never ends keeps it from being used again.
const USUAL: u64 = 64 << 20;

/// It is told first at this many times its size.
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
    /// As it was at the last look, and since when it is so.
    last: Option<(LogFile, Instant)>,
    copied: Option<Instant>,
    /// The size that was told last.
    told: Option<u64>,
}

/// What is to be done.
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
    /// The file is looked at once a poll, as far as the engine wakes, and more often where those are
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

    /// Whether it was not at its place at the last look.
    pub fn is_moved(&self) -> bool {
        self.is_moved
    }

    /// Looks at the file if it is time. `is_read`: all of the history was.
    ///
    /// # Errors
    /// The file is not the one that is open any more.
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

    /// Whether the search indexes are to be merged a step further.
    pub fn merges(&mut self, has_traces: bool, now: Instant) -> bool {
        self.is_merging |= has_traces && now >= self.merge_due;
        self.is_merging
    }

    /// The last step was done.
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
            // It is written every second for a while, and not any more.
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
