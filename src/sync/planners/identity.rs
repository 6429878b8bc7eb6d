//! The key's organization: known before anything is stored, confirmed before anything is deleted.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::KeyHash;
use crate::sync::plan::context::Context;
use crate::sync::plan::job::Job;
use crate::sync::plan::step::Step;
use crate::sync::planners::key_witness::KeyWitness;
use crate::upstream::IdentityEndpoint;

/// The organization is confirmed at least this often, where the upstream names it.
const CONFIRMED_FOR: Duration = Duration::from_secs(3600);

/// What is known of the key. Without `Debug`, since a key's hash has none.
pub struct Identity {
    /// The organization whose calls are stored; `None` before the upstream names it, if it ever
    /// does.
    pub organization_id: Option<i64>,
    /// True if the key's organization is the file's.
    pub is_known: bool,
    pub key_hash: KeyHash,
    /// True if the file's calls were read with this key before.
    pub key_is_known: bool,
    pub witness: KeyWitness,
    /// The endpoint that names the organization.
    pub identity_endpoint: IdentityEndpoint,
    /// The latest request that confirmed the organization, and when.
    pub confirmed: Option<(u64, Instant)>,
    /// True if it is to be confirmed that the organization is still the same.
    pub is_due: bool,
}

impl Identity {
    pub fn new(key_hash: KeyHash) -> Identity {
        Identity {
            organization_id: None,
            is_known: false,
            key_hash,
            key_is_known: false,
            witness: KeyWitness::default(),
            identity_endpoint: IdentityEndpoint::default(),
            confirmed: None,
            is_due: false,
        }
    }

    /// Requests the key's organization, and lets nothing else be sent before it is known.
    pub fn next(&self, context: &Context<'_>) -> Step {
        match self.is_known {
            true => Step::Nothing,
            false => Step::send_or_stop(context.idle(Job::Identify), context.next_poll()),
        }
    }

    /// Requests it again, where that is due.
    pub fn confirm(&self, context: &Context<'_>) -> Step {
        let due = self.is_due.then_some(Job::Identify);
        Step::send(due.and_then(|job| context.idle(job)))
    }

    /// Notes that this request confirmed the organization.
    pub fn confirmed(&mut self, seq: u64) {
        self.is_known = true;
        self.is_due = false;
        self.confirmed = Some((seq, Instant::now()));
    }

    /// Notes that the key belongs to another organization.
    pub fn refused(&mut self) {
        self.is_known = false;
        self.key_is_known = false;
    }

    /// Makes a confirmation due where the last one is old, or where something waits for one that is
    /// newer than the request of this number.
    pub fn confirm_after(&mut self, waiting: impl IntoIterator<Item = u64>) {
        if self.organization_id.is_none() {
            return;
        }
        let confirmed = self.confirmed;
        let is_old = confirmed.is_none_or(|(_, at)| at.elapsed() >= CONFIRMED_FOR);
        let is_older = |after| confirmed.is_none_or(|(seq, _)| seq <= after);
        self.is_due |= is_old || waiting.into_iter().any(is_older);
    }

    /// The request that last confirmed the organization, 0 where none did; `None` where the
    /// upstream names no organization, so that nothing has to wait for it.
    pub fn confirmed_by(&self) -> Option<u64> {
        self.organization_id?;
        Some(self.confirmed.map_or(0, |(seq, _)| seq))
    }
}
