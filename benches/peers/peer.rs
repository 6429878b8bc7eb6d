//! What is compared: how each is asked, and how its answers are checked.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};

use super::Settings;
use super::client::{Answer, Client};
use super::data::{Data, Sample};
use super::load::Load;
use super::wrk::{self, Figures};

pub trait Peer {
    fn name(&self) -> &'static str;

    fn address(&self, load: Load) -> SocketAddr;

    /// What comes before a key and after it in a request's target. `None`: it has no such answer.
    fn target(&self, load: Load) -> Option<(&'static str, &'static str)>;

    /// Whether an answer is the one to this load.
    fn check(&self, load: Load, sample: &Sample, answer: &Answer) -> anyhow::Result<()> {
        as_the_api(load, sample, answer)
    }

    /// Whether it keeps answers, and so is to be asked for all of them before the rounds.
    fn keeps(&self) -> bool {
        false
    }

    /// Answers so far that did not come from what it keeps.
    fn misses(&self) -> anyhow::Result<u64> {
        Ok(0)
    }

    fn drive(&self, load: Load, keys: &Path, settings: &Settings) -> anyhow::Result<Figures> {
        let target = self.target(load).context("not asked for")?;
        wrk::drive(self.address(load), target, keys, settings)
    }

    /// Asks for each sample.
    fn verify(
        &self,
        load: Load,
        data: &Data,
        tags: &[String],
        settings: &Settings,
    ) -> anyhow::Result<()> {
        let (before, after) = self.target(load).context("not asked for")?;
        let mut client = Client::connect(self.address(load))?;
        for sample in &data.samples {
            let key = match load {
                Load::Sid => sample.sid.clone(),
                Load::List => String::new(),
                _ => sample.id.to_string(),
            };
            let tag = (load == Load::NotModified).then(|| tags[sample.place].as_str());
            let answer = client.get(&format!("{before}{key}{after}"), &settings.key, tag)?;
            self.check(load, sample, &answer).with_context(|| {
                let (name, load) = (self.name(), load.name());
                format!("{name}, {load}: call {} got {}", sample.id, answer.status)
            })?;
        }
        Ok(())
    }
}

/// An answer of the calls API: the call's own text, or a page that is long enough.
pub fn as_the_api(load: Load, sample: &Sample, answer: &Answer) -> anyhow::Result<()> {
    if load == Load::NotModified {
        ensure!(answer.status == 304, "not a 304");
        return Ok(());
    }
    ensure!(answer.status == 200, "not a 200");
    if load.is_list() {
        let text = std::str::from_utf8(&answer.body)?;
        let calls = text.matches("\"call_sid\"").count();
        ensure!(calls == 100, "a page of {calls} calls");
    } else {
        ensure!(answer.body == sample.body.as_bytes(), "another text");
    }
    Ok(())
}

/// Asks for every key once, over several connections. Returns the answers' tags, in the same order;
/// of one without a tag an empty one.
pub fn ask_for_each(
    address: SocketAddr,
    before: &str,
    keys: &[String],
    key: &str,
) -> anyhow::Result<Vec<String>> {
    let part = |keys: &[String]| -> anyhow::Result<Vec<String>> {
        let mut client = Client::connect(address)?;
        let tag = |name: &String| {
            let answer = client.get(&format!("{before}{name}"), key, None)?;
            ensure!(answer.status == 200, "{name}: {}", answer.status);
            Ok(answer.header("etag").unwrap_or_default().to_owned())
        };
        keys.iter().map(tag).collect()
    };
    std::thread::scope(|scope| {
        let parts = keys.chunks(keys.len().div_ceil(16));
        let parts: Vec<_> = parts.map(|keys| scope.spawn(|| part(keys))).collect();
        let mut tags = Vec::with_capacity(keys.len());
        for part in parts {
            let part = part.join().ok().context("a client panicked")?;
            tags.extend(part?);
        }
        Ok(tags)
    })
}
