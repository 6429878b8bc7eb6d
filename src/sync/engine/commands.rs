//! Carries out what clients and operators ask of the engine.

use tokio::time::Instant;
use tracing::warn;

use crate::model::CallKey;
use crate::sync::engine::Engine;
use crate::sync::handle::{Command, FetchOutcome, Hint};
use crate::sync::plan::Job;
use crate::sync::planners::misses::Miss;
use crate::upstream::CallSource;

/// Hints that may wait.
const MOST_HINTS: usize = 256;

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn obey(&mut self, command: Command) {
        match command {
            Command::SyncNow => {
                self.health.hurry();
                self.replay.hurry(Instant::now());
                self.head_at = None;
            }
            Command::ReleaseHolds => {
                if self.holds.release() {
                    warn!("the operator lets the held deletions through");
                    if self.newest.is_ranged() {
                        self.holds.vouch_below_list(self.requests.newest_seq());
                        self.without_start_due = None;
                    }
                    let now = self.now();
                    self.proof.give_up(now.instant);
                    self.proof.end_rest();
                    self.health.hurry();
                    self.head_at = None;
                }
            }
            Command::Hint(Hint::Call(key)) => self.hint(key),
            Command::Hint(Hint::Some) => self.hinted_head = true,
            Command::Fetch(key, reply) => {
                if let Some(until) = self.rests(&key) {
                    let wait = until.duration_since(Instant::now()).as_secs() + 1;
                    let _ = reply.send(FetchOutcome::Unavailable { retry_after: wait });
                    return;
                }
                self.clients.wait(key, reply, self.unavailable());
                if self.is_paused() {
                    let unavailable = self.unavailable();
                    self.clients.dismiss(&unavailable);
                }
            }
            Command::Permit(reply) => self.ask_leave(reply),
            Command::QueueWrite(new, reply) => {
                let queued = self.queue_write(new).await;
                let _ = reply.send(queued);
            }
            Command::DropWrite(write_id, reply) => {
                let dropped = self.drop_write(write_id).await;
                let _ = reply.send(dropped);
            }
            Command::Learn(permit, calls, reply) => {
                let stored = self.learn_passed(&permit, calls).await;
                let _ = reply.send(stored);
            }
            Command::Changed(permit, call, reply) => {
                let stored = self.learn_changed(&permit, *call).await;
                let _ = reply.send(stored);
            }
        }
    }

    /// Until when the upstream asked not to be asked this.
    fn rests(&self, wanted: &Miss) -> Option<Instant> {
        let job = match wanted {
            Miss::Call(key) => Job::Call(key.clone()),
            Miss::Detail(id, kind) => Job::Detail(*id, *kind),
        };
        self.denials.rest_until(&job, Instant::now())
    }

    pub(in crate::sync) fn hint(&mut self, key: CallKey) {
        if self.hinted.len() < MOST_HINTS && !self.hinted.contains(&key) {
            self.hinted.push_back(key);
        }
    }
}
