//! Files of invented calls, made through the store's own writer and kept for later runs.
//!
//! What is invented: calls spread evenly over a year, of 8 assistants in 8 names; one caller in 60
//! is anonymous and one has a SIP address, all others a number; there are a quarter as many numbers,
//! and as many addresses, to draw from as there are calls. One call in eight failed, all others are
//! completed but those of the last minutes, which go on. Beside them one call of each page of 1,000
//! has a transcript. Coverage is what a fill leaves: one window a page.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use burki_edge::model::{Call, Detail, Timestamp, Verified, Window};
use burki_edge::simulator::{History, Stretch, WorldConfig};
use burki_edge::store::{DetailObservation, Writer};
use burki_edge::upstream::PAGE_LIMIT;
use sha2::{Digest, Sha256};

use super::support;

/// What the files are stamped with. Nobody listens there: port 1 has been nobody's for decades.
pub const BASE_URL: &str = "http://127.0.0.1:1";

/// To be raised with whatever is invented or written otherwise.
const GENERATOR: u32 = 1;

/// Pages that are written in one transaction. The engine writes each in its own, for it can't wait
/// for the next; here, nobody reads meanwhile.
const PAGES: usize = 4;

const SPAN: Duration = Duration::from_secs(365 * 86_400);

const DAY: i64 = 86_400_000_000;

/// A finished file, and what is known of it beside it.
pub struct Made {
    pub calls: usize,
    pub path: PathBuf,
    /// The ids of all calls, each in four bytes, the lowest first; a page's are ascending.
    pub ids: PathBuf,
    /// Of the calls' texts, in bytes.
    pub text: u64,
}

impl Made {
    /// The file of that size from `folder`, made if it is not there.
    pub fn of(calls: usize, folder: &Path) -> anyhow::Result<Made> {
        fs::create_dir_all(folder)?;
        let name = |ending: &str| folder.join(format!("{calls}-{}.{ending}", version()));
        let (path, ids, text) = (name("db"), name("ids"), name("bytes"));
        if !path.exists() {
            let part = name("part");
            for left in ["part", "part-wal", "part-shm", "part.lock"] {
                let _ = fs::remove_file(name(left));
            }
            let bytes = make(calls, &part, &ids)?;
            fs::write(&text, bytes.to_string())?;
            fs::rename(&part, &path)?;
            let _ = fs::remove_file(name("part.lock"));
        }
        let text = fs::read_to_string(&text)?.parse()?;
        Ok(Made {
            calls,
            path,
            ids,
            text,
        })
    }

    /// Of the ids, in the order in which they were written.
    pub fn all_ids(&self) -> anyhow::Result<Vec<u32>> {
        let bytes = fs::read(&self.ids)?;
        let ids = bytes.chunks_exact(4);
        Ok(ids
            .map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
            .collect())
    }

    /// Brings the file into the system's cache, as far as there is room.
    pub fn warm(&self) -> anyhow::Result<()> {
        std::io::copy(&mut File::open(&self.path)?, &mut std::io::sink())?;
        Ok(())
    }
}

/// Which of a page's calls has a transcript.
pub fn detailed(ids: &[u32]) -> impl Iterator<Item = u32> {
    ids.chunks(PAGE_LIMIT).map(|page| page[page.len() / 2])
}

/// Names the schema, its comments aside, and the generator.
fn version() -> String {
    let schema = include_str!("../../schema.sql");
    let mut hasher = Sha256::new();
    for line in schema.lines() {
        let code = line.split("--").next().unwrap_or(line);
        hasher.update(code.trim_end());
    }
    // "-- burki-edge, schema 3: ..."
    let number = schema
        .split(':')
        .next()
        .and_then(|head| head.rsplit(' ').next());
    let digest = hex::encode(&hasher.finalize()[..4]);
    format!(
        "schema{}-{digest}-generator{GENERATOR}",
        number.unwrap_or("0")
    )
}

/// Returns how many bytes the texts have. A thread invents and reads while this one writes; between
/// the two are a few pages at most.
fn make(calls: usize, path: &Path, ids: &Path) -> anyhow::Result<u64> {
    let now = Timestamp::now().as_micros() / DAY * DAY;
    let config = WorldConfig {
        calls,
        now: Timestamp::from_micros(now),
        span: SPAN,
        ..WorldConfig::default()
    };
    let (sender, pages) = mpsc::sync_channel(4);
    let inventing = std::thread::spawn(move || -> anyhow::Result<()> {
        for stretch in History::new(&config, PAGE_LIMIT) {
            let page = Page::read(&stretch, &config)?;
            if sender.send(page).is_err() {
                // The writer failed, and tells why.
                break;
            }
        }
        Ok(())
    });
    let mut file = Filling::new(calls, path, ids)?;
    for page in pages {
        file.take(page)?;
    }
    inventing
        .join()
        .map_err(|_| anyhow!("the inventing thread panicked"))??;
    file.finish()
}

/// A stretch as the upstream would have listed it.
struct Page {
    from: Timestamp,
    to: Timestamp,
    calls: Vec<Call>,
}

impl Page {
    fn read(stretch: &Stretch, config: &WorldConfig) -> anyhow::Result<Page> {
        let records = stretch.records.iter();
        let calls = records.map(|record| Ok(Call::from_json(&record.to_json(config.flavour))?));
        Ok(Page {
            from: stretch.from,
            to: stretch.to - Duration::from_micros(1),
            calls: calls.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// A file on its way.
struct Filling {
    calls: usize,
    writer: Writer,
    ids: BufWriter<File>,
    windows: Vec<Window>,
    text: u64,
    /// Invented, and not written yet.
    waiting: Vec<Call>,
    written: usize,
    begun: Instant,
    /// When the last tenth was told, and how much there was.
    told: (Instant, usize),
}

impl Filling {
    fn new(calls: usize, path: &Path, ids: &Path) -> anyhow::Result<Filling> {
        Ok(Filling {
            calls,
            writer: Writer::open(path, BASE_URL)?,
            ids: BufWriter::new(File::create(ids)?),
            windows: Vec::new(),
            text: 0,
            waiting: Vec::new(),
            written: 0,
            begun: Instant::now(),
            told: (Instant::now(), 0),
        })
    }

    fn take(&mut self, page: Page) -> anyhow::Result<()> {
        let request = Verified {
            at: Timestamp::now(),
            seq: self.windows.len() as u64 * 2 + 1,
        };
        let count = page.calls.len();
        self.windows.push(Window {
            from: page.from,
            to: page.to,
            verified: request,
            rows: count,
            open_ended: self.windows.is_empty(),
        });
        for call in &page.calls {
            let id = u32::try_from(call.id).context("an id has more than 32 bits")?;
            self.ids.write_all(&id.to_le_bytes())?;
            self.text += call.body.len() as u64;
        }
        self.waiting.extend(page.calls);
        match self.waiting.len() < PAGES * PAGE_LIMIT {
            true => Ok(()),
            false => self.write(request),
        }
    }

    fn write(&mut self, request: Verified) -> anyhow::Result<()> {
        let calls = std::mem::take(&mut self.waiting);
        let count = calls.len();
        let numbers: Vec<u32> = calls.iter().map(|call| call.id as u32).collect();
        let merged = self.writer.merge(support::answer(request, calls))?;
        ensure!(merged.new == count, "{count} calls became {merged:?}");
        for id in detailed(&numbers) {
            self.tell_more(id.into(), request.seq + 1)?;
        }
        self.written += count;
        self.progress();
        Ok(())
    }

    fn tell_more(&mut self, call_id: i64, seq: u64) -> anyhow::Result<()> {
        let body = transcript(call_id);
        let learned = DetailObservation {
            request: Verified {
                at: Timestamp::now(),
                seq,
            },
            newest_seq: seq,
            call_id,
            kind: Detail::Transcripts,
            body: Some(body.into()),
        };
        let kinds = BTreeSet::new();
        self.writer
            .keep_detail(&learned, &kinds, &(Box::new(|_| None) as _))?;
        Ok(())
    }

    /// Ten lines, which say whether it becomes slower as it grows.
    fn progress(&mut self) {
        let (at, before) = self.told;
        let since = self.written - before;
        if self.written < self.calls && since < self.calls.div_ceil(10) {
            return;
        }
        let rate = since as f64 / at.elapsed().as_secs_f64();
        println!(
            "making {}: {} written, the last {since} at {rate:.0} rows/s",
            self.calls, self.written
        );
        self.told = (Instant::now(), self.written);
    }

    fn finish(mut self) -> anyhow::Result<u64> {
        if let (false, Some(oldest)) = (self.waiting.is_empty(), self.windows.last()) {
            self.write(oldest.verified)?;
        }
        ensure!(
            self.written == self.calls,
            "only {} were written",
            self.written
        );
        self.ids.flush()?;
        if let Some(oldest) = self.windows.last_mut() {
            oldest.from = Timestamp::MIN;
        }
        self.windows.reverse();
        if let Some(head) = self.windows.last().copied() {
            // Those without a start, of which there is none, were read too.
            let none = Timestamp::from_micros(Timestamp::MIN.as_micros() - 1);
            let without_start = Window {
                from: none,
                to: none,
                rows: 0,
                open_ended: false,
                ..head
            };
            self.windows.insert(0, without_start);
        }
        let writing = Instant::now();
        self.writer.keep_windows(self.windows)?;
        println!(
            "making {}: all of it took {:.0} s, {:.0} rows/s; the log was emptied in {:.1} s of them",
            self.calls,
            self.begun.elapsed().as_secs_f64(),
            self.written as f64 / self.begun.elapsed().as_secs_f64(),
            writing.elapsed().as_secs_f64(),
        );
        Ok(self.text)
    }
}

/// Half a dozen turns of a conversation.
fn transcript(call_id: i64) -> String {
    let turns = (0..6).map(|turn| {
        let speaker = ["assistant", "user"][turn % 2];
        format!(
            r#"{{"id":{},"call_id":{call_id},"content":"What was said in turn {turn} of the call, in a sentence or two.","is_final":true,"speaker":"{speaker}","segment_start":{turn}.0,"segment_end":{turn}.9,"confidence":0.97}}"#,
            call_id * 10 + turn as i64
        )
    });
    format!("[{}]", turns.collect::<Vec<_>>().join(","))
}
