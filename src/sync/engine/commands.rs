//! Executes the commands of clients and operators.

use tokio::time::Instant;
use tracing::warn;

use crate::sync::engine::Engine;
use crate::sync::handle::messages::Miss;
use crate::sync::handle::messages::{Command, FetchOutcome, Hint};
use crate::sync::plan::job::Job;
use crate::upstream::CallSource;

impl<S: CallSource> Engine<S> {
    pub(in crate::sync) async fn execute(&mut self, command: Command) {
        match command {
            Command::SyncNow => {
                self.health.hurry();
                self.planners.outbox.hurry(Instant::now());
                self.planners.head.read_at = None;
            }
            Command::ReleaseHolds => {
                if self.planners.deletion_guard.release() {
                    warn!("the operator lets the held deletions through");
                    if self.planners.head.page.is_ranged() {
                        self.planners
                            .deletion_guard
                            .vouch_below_list(self.in_flight.newest_seq());
                        self.planners.same_instant.without_start_due = None;
                    }
                    let now = self.now();
                    self.planners.deletion_proof.give_up(now.instant);
                    self.planners.deletion_proof.end_rest();
                    self.health.hurry();
                    self.planners.head.read_at = None;
                }
            }
            Command::Hint(Hint::Call(key)) => self.planners.hints.push(key),
            Command::Hint(Hint::Some) => self.planners.head.is_hinted = true,
            Command::Fetch(key, reply) => {
                if let Some(until) = self.rests(&key) {
                    let wait = until.duration_since(Instant::now()).as_secs() + 1;
                    let _ = reply.send(FetchOutcome::Unavailable { retry_after: wait });
                    return;
                }
                self.planners.misses.wait(key, reply, self.unavailable());
                if self.is_paused() {
                    let unavailable = self.unavailable();
                    self.planners.misses.dismiss(&unavailable);
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
                let stored = self.apply_passed(&permit, calls).await;
                let _ = reply.send(stored);
            }
            Command::Changed(permit, call, reply) => {
                let stored = self.apply_changed(&permit, *call).await;
                let _ = reply.send(stored);
            }
        }
    }

    /// Until when the upstream asked not to be sent this request.
    fn rests(&self, wanted: &Miss) -> Option<Instant> {
        let job = Job::for_client(wanted);
        self.denials.rest_until(&job, Instant::now())
    }
}
