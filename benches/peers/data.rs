//! The calls that all peers serve: a simulated Burki's, and the edge's file of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use burki_edge::model::{Call, Timestamp, Verified};
use burki_edge::simulator::{World, WorldConfig};
use burki_edge::store::Writer;
use burki_edge::upstream::PAGE_LIMIT;

use super::support;

/// One in so many calls is asked for by its SID too, since a cache keeps it a second time then.
const SID_STEP: usize = 10;

/// A call that answers are compared with.
pub struct Sample {
    pub place: usize,
    pub id: i64,
    pub sid: String,
    pub body: String,
}

pub struct Data {
    pub file: PathBuf,
    /// Ascending.
    pub ids: Vec<i64>,
    /// Of every tenth call.
    pub sids: Vec<String>,
    pub samples: Vec<Sample>,
    /// Bytes of a body, on average.
    pub mean: usize,
}

/// The same in every process.
pub fn world(calls: usize) -> World {
    World::new(WorldConfig {
        calls,
        without_start: 0,
        ..WorldConfig::default()
    })
}

/// Writes the file through the store's own writer, in pages as a fill reads them.
pub fn make(file: &Path, calls: usize, base_url: &str) -> anyhow::Result<Data> {
    let world = world(calls);
    let mut writer = Writer::open(file, base_url)?;
    let at = Timestamp::from_micros(0);
    for (page, seq) in world.newest(calls).chunks_mut(PAGE_LIMIT).zip(1..) {
        page.sort_unstable();
        let call = |id: &i64| {
            let text = world.text(*id).context("a call without a text")?;
            Ok(Call::from_json(&text)?)
        };
        let read = page.iter().map(call).collect::<anyhow::Result<Vec<_>>>()?;
        let merged = writer.merge(support::answer(Verified { at, seq }, read))?;
        ensure!(merged.new == page.len(), "a page became {merged:?}");
    }
    let mut data = Data {
        file: file.to_owned(),
        ids: Vec::with_capacity(calls),
        sids: Vec::new(),
        samples: Vec::new(),
        mean: 0,
    };
    for (place, (id, sid, body)) in world.texts().enumerate() {
        data.ids.push(id);
        data.mean += body.len();
        if place.is_multiple_of(SID_STEP) {
            data.sids.push(sid.to_owned());
            if place.is_multiple_of((calls / 5).next_multiple_of(SID_STEP)) {
                let sid = sid.to_owned();
                data.samples.push(Sample {
                    place,
                    id,
                    sid,
                    body,
                });
            }
        }
    }
    data.mean /= data.ids.len();
    Ok(data)
}
