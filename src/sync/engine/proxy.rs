//! Permits for client requests that the proxy sends itself.

use tokio::time::Instant;

use crate::sync::engine::Engine;
use crate::sync::handle::messages::RETRY_SOON;
use crate::sync::health::status::UpstreamState;
use crate::sync::proxy_permits::PermitReply;
use crate::upstream::CallSource;

impl<S: CallSource> Engine<S> {
    /// Queues a client for a permit, unless the upstream asked for a pause or the queue is full.
    pub(in crate::sync) fn ask_leave(&mut self, reply: PermitReply) {
        let now = Instant::now();
        let paused = self.health.paused_until().filter(|until| *until > now);
        let (reply, retry_after) = match (self.health.state(), paused) {
            (UpstreamState::Throttled, Some(until)) => {
                (reply, until.duration_since(now).as_secs() + 1)
            }
            _ => match self.planners.proxied.wait(reply) {
                Ok(()) => return,
                Err(reply) => (reply, RETRY_SOON),
            },
        };
        // A send fails only where the client has gone.
        let _ = reply.send(Err(retry_after));
    }

    /// Permits the client request that has waited longest, or returns when the budget allows it.
    pub(in crate::sync) fn grant(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(reply) = self.planners.proxied.take() else {
            return Ok(());
        };
        let permit = match self.in_flight.permit(self.start_time(now)) {
            Ok(permit) => {
                self.planners.shares.client_was_sent();
                Ok(permit)
            }
            Err(None) => Err(RETRY_SOON),
            Err(Some(until)) => {
                self.planners.proxied.put_back(reply);
                return Err(until);
            }
        };
        // If the client has gone, the permit is dropped, and only its token is lost.
        let _ = reply.send(permit);
        Ok(())
    }
}
