//! What may change while an edge runs: who is admitted, the certificate that the server shows, and
//! the key with which the upstream is asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::app::tls::server_tls;
use crate::config::{self, Config, Secret};
use crate::http::{Auth, Certificate, Grant, Shared};
use crate::sync::{Handle, UpstreamState};
use crate::upstream::HttpProxy;

/// Minimum time between two reads of the file that holds the key.
const LOOK: Duration = Duration::from_secs(5);

/// The parts of a running edge that a new configuration may change. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    pub(super) shared: Arc<Shared>,
    pub(super) certificate: Option<Certificate>,
    pub(super) line: Arc<HttpProxy>,
    pub(super) keys: Keys,
    /// The configuration in effect.
    pub(super) config: Arc<Mutex<Config>>,
}

/// The upstream's key, which every new engine takes from here.
#[derive(Clone)]
pub struct Keys {
    key: Arc<ArcSwap<Secret>>,
    handle: Handle,
}

impl Keys {
    pub(super) fn new(key: Secret, handle: Handle) -> Keys {
        Keys {
            key: Arc::new(ArcSwap::from_pointee(key)),
            handle,
        }
    }

    pub(super) fn key(&self) -> Arc<Secret> {
        self.key.load_full()
    }

    /// Replaces the key with which the upstream is asked.
    fn change(&self, key: Secret) {
        self.key.store(Arc::new(key));
        self.handle.renew();
    }
}

/// The access rules of `config`; `key` is the upstream's.
pub(super) fn auth(config: &Config, key: &Secret) -> Auth {
    let grants = config.auth.tokens.iter().map(|token| Grant {
        sha256: token.sha256,
        scopes: token.scopes,
        expires: token.expires,
    });
    let key = config.auth.accept_upstream_key.then(|| key.expose());
    Auth::new(key, grants, config.auth.anonymous_on_loopback)
}

impl Access {
    /// Applies the tokens, origins, certificate and key of `now`. Any other difference takes effect
    /// at the next start.
    ///
    /// # Errors
    /// The certificate or its key can't be read, or the upstream's key is missing or can't be sent;
    /// nothing has changed then.
    pub fn change(&self, now: &Config) -> anyhow::Result<()> {
        let mut config = self.config();
        self.take_over(now)?;
        *config = now.clone();
        Ok(())
    }

    fn config(&self) -> MutexGuard<'_, Config> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_over(&self, now: &Config) -> anyhow::Result<()> {
        let tls = match (&self.certificate, &now.server.tls) {
            (Some(certificate), Some(tls)) => Some((certificate, server_tls(tls)?)),
            _ => None,
        };
        let key = now.api_key()?;
        self.line
            .set_key(key.expose())
            .context("upstream.api_key can't be sent")?;
        if let Some((certificate, config)) = tls {
            certificate.change(config);
        }
        let origins = now.server.cors_origins.clone();
        self.shared.gate.change(auth(now, key), origins);
        if *self.keys.key() != *key {
            self.keys.change(key.clone());
        }
        Ok(())
    }

    /// Rereads the key file if the upstream refuses the current key or a client sends an unknown
    /// one, because keys are exchanged while an edge runs. Runs until `ends`.
    pub(super) async fn watch_key(self, ends: CancellationToken) {
        let mut status = self.shared.handle.status();
        loop {
            let looked = Instant::now();
            tokio::select! {
                () = ends.cancelled() => return,
                () = self.shared.gate.refused() => {}
                refused = status.wait_for(|status| status.state == UpstreamState::Unauthorized) => {
                    if refused.is_err() {
                        return;
                    }
                }
            }
            let access = self.clone();
            // Reading a file blocks.
            let _ = tokio::task::spawn_blocking(move || access.read_key()).await;
            tokio::select! {
                () = ends.cancelled() => return,
                () = sleep_until(looked + LOOK) => {}
            }
        }
    }

    fn read_key(&self) {
        let mut config = self.config();
        let Some(file) = &config.upstream.api_key_file else {
            return;
        };
        // A file that can't be read is being replaced; the current key stays.
        let Ok(key) = config::read_key_file(file) else {
            return;
        };
        if *self.keys.key() == key {
            return;
        }
        let mut now = config.clone();
        now.upstream.api_key = Some(key);
        match self.take_over(&now) {
            Ok(()) => {
                info!("the file of the upstream's key holds another one, which is taken");
                *config = now;
            }
            Err(error) => error!(error = format!("{error:#}"), "the new key can't be taken"),
        }
    }
}
