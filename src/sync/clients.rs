//! The clients that wait for a call: those who want the same one share one request.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

use super::handle::Fetched;
use crate::model::CallKey;

#[derive(Default)]
pub struct Clients {
    /// Not sent yet, longest waiting first.
    asked: VecDeque<CallKey>,
    waiting: HashMap<CallKey, Vec<oneshot::Sender<Fetched>>>,
}

impl Clients {
    /// What is still to be asked for, longest waiting first.
    pub fn asked(&self) -> &VecDeque<CallKey> {
        &self.asked
    }

    /// Another client waits, for a request of its own or one that is under way.
    pub fn wait(&mut self, key: CallKey, reply: oneshot::Sender<Fetched>) {
        let waiting = self.waiting.entry(key.clone()).or_default();
        if waiting.is_empty() {
            self.asked.push_back(key);
        }
        waiting.push(reply);
    }

    /// The request for this call is under way.
    pub fn sent(&mut self, key: &CallKey) {
        self.asked.retain(|asked| asked != key);
    }

    /// Tells everybody who waits for this call.
    pub fn tell(&mut self, key: &CallKey, fetched: Fetched) {
        for reply in self.waiting.remove(key).into_iter().flatten() {
            // Whoever asked may have gone; then there is nobody to tell.
            let _ = reply.send(fetched);
        }
    }

    /// Tells everybody whose request was not sent.
    pub fn dismiss(&mut self, fetched: Fetched) {
        for key in std::mem::take(&mut self.asked) {
            self.tell(&key, fetched);
        }
    }
}
