//! What is allowed and may be a mistake: logged at each start, with the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use humantime::format_duration;

use crate::config::loaded::Loaded;
use crate::config::origin::Origin;
use crate::config::sections::Config;
use crate::config::sources;
use crate::model::{Timestamp, is_this_machine};

impl Loaded {
    /// What may be a mistake, in words. Looks at files; `now` decides which tokens have expired.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = self.config.warnings(now);
        warnings.extend(self.key_goes_elsewhere());
        warnings
    }

    /// A key of the environment is sent where a file says that was found, not named, and that is
    /// not where it is sent without that file.
    fn key_goes_elsewhere(&self) -> Option<String> {
        let setting = |key| self.settings.iter().find(|setting| setting.key == key);
        let keys = ["upstream.api_key", "upstream.api_key_file"].into_iter();
        let variable = keys.filter_map(setting).find_map(|key| match &key.origin {
            Origin::Environment(variable) => Some(variable),
            _ => None,
        })?;
        let base_url = setting("upstream.base_url")?;
        let is_usual = sources::default(base_url.key) == Some(&base_url.value);
        match &base_url.origin {
            Origin::File(file) if !self.is_named && !is_usual => Some(format!(
                "the key of {variable} is sent to {}, which {1} names; `--config {1}` says that \
                 you mean it",
                self.config.upstream.base(),
                file.display()
            )),
            _ => None,
        }
    }
}

impl Config {
    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = Vec::from_iter(self.crowded_budget());
        let tls_key = self.server.tls.as_ref().map(|tls| &tls.key);
        for (key, file) in [
            ("upstream.api_key_file", self.upstream.api_key_file.as_ref()),
            ("server.tls_key", tls_key),
        ] {
            if let Some(file) = file.filter(|file| is_open(file)) {
                warnings.push(format!(
                    "{key} = {file:?}: other users of this machine can read it; `chmod 600` makes \
                     it its owner's alone"
                ));
            }
        }
        let upstream = &self.upstream.base_url;
        if upstream.scheme() == "http" && !is_this_machine(upstream) {
            warnings.push(format!(
                "upstream.base_url = \"{}\": the API key and all calls cross the network in clear; \
                 use https, or a tunnel",
                self.upstream.base()
            ));
        }
        if self.server.tls.is_none()
            && let Some(address) = self.server.beyond_this_machine()
        {
            warnings.push(format!(
                "server.listen = {address} without server.tls_cert and server.tls_key: tokens and \
                 calls cross the network in clear, unless a proxy before the edge encrypts"
            ));
        }
        let expired = |expires: Timestamp| expires <= now;
        for token in self
            .auth
            .tokens
            .iter()
            .filter(|token| token.expires.is_some_and(expired))
        {
            warnings.push(format!(
                "auth.tokens: {:?} has expired and opens nothing; remove it, or make another by \
                 `burki-edge token NAME`",
                token.name
            ));
        }
        warnings
    }

    /// The polls alone take over half of the request budget.
    fn crowded_budget(&self) -> Option<String> {
        let budget = u64::from(self.upstream.max_requests_per_minute.get());
        let poll = self.sync.poll_interval;
        let polls = 60_000_u128.div_ceil(poll.as_millis().max(1));
        (2 * polls > budget.into()).then(|| {
            format!(
                "upstream.max_requests_per_minute = {budget}: sync.poll_interval = {} alone takes \
                 {polls} requests a minute, so the newest is polled more rarely, and history is \
                 read slowly; allow {} requests a minute, or poll every {}",
                format_duration(poll),
                2 * polls,
                format_duration(Duration::from_secs(120_u64.div_ceil(budget))),
            )
        })
    }

    /// The sections in which `now` differs and a running edge does not follow: everything but who
    /// may come in, the certificate, the upstream's key and what is logged.
    pub fn differs_beyond_access(&self, now: &Config) -> Vec<&'static str> {
        let (mut same, before) = (now.clone(), self.clone());
        same.server.cors_origins = before.server.cors_origins;
        if self.server.tls.is_some() && same.server.tls.is_some() {
            same.server.tls = before.server.tls;
        }
        same.upstream.api_key = before.upstream.api_key;
        same.upstream.api_key_file = before.upstream.api_key_file;
        let differs = [
            ("server", same.server != self.server),
            ("upstream", same.upstream != self.upstream),
            ("store", same.store != self.store),
            ("sync", same.sync != self.sync),
            (
                "auth.introspect",
                same.auth.introspect != self.auth.introspect,
            ),
            ("webhooks", same.webhooks != self.webhooks),
            ("writes", same.writes != self.writes),
        ];
        let differing = differs.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(section, _)| section).collect()
    }
}

/// Whether others than its owner may read or write a file; false where there is none.
fn is_open(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn loaded(toml: &str, environment: &[(&str, &str)], is_named: bool) -> Loaded {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, toml).unwrap();
        let environment = environment.iter().copied();
        let mut loaded = Config::load(Some(&file), environment).unwrap();
        loaded.is_named = is_named;
        loaded
    }

    fn warnings(toml: &str) -> Vec<String> {
        loaded(toml, &[], true).warnings(NOW)
    }

    #[test]
    fn the_defaults_are_no_mistake() {
        assert_eq!(warnings(""), [""; 0]);
        let here = "[server]\nlisten = [\"127.0.0.1:1\", \"[::1]:1\"]\n\
                    [upstream]\nbase_url = \"http://127.0.0.1:2\"";
        assert_eq!(warnings(here), [""; 0]);
    }

    #[test]
    fn what_crosses_the_network_in_clear_is_warned_of() {
        let wide = warnings("[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:2\"]");
        assert!(
            wide[0].starts_with("server.listen = 0.0.0.0:2 without"),
            "{wide:?}"
        );
        let clear = warnings("[upstream]\nbase_url = \"http://burki.example/api\"");
        assert!(
            clear[0].contains("\"http://burki.example/api\""),
            "{clear:?}"
        );
        assert!(clear[0].contains("use https"), "{clear:?}");
    }

    #[test]
    fn a_key_that_others_can_read_is_warned_of() {
        let key = tempfile::NamedTempFile::new().unwrap();
        fs::write(key.path(), "burki_key").unwrap();
        let toml = format!("[upstream]\napi_key_file = {:?}", key.path());
        for (mode, count) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
            fs::set_permissions(key.path(), Permissions::from_mode(mode)).unwrap();
            let warnings = warnings(&toml);
            assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.contains("chmod 600")));
        }
    }

    #[test]
    fn an_expired_token_is_warned_of() {
        let digest = "ab".repeat(32);
        let expired = |expires| {
            let token = format!("name = \"ci\"\nsha256 = \"{digest}\"\nexpires = \"{expires}\"");
            warnings(&format!("[[auth.tokens]]\n{token}")).len()
        };
        assert_eq!((expired("2027-01-15"), expired("2027-01-16")), (1, 0));
    }

    #[test]
    fn a_key_sent_where_an_unnamed_file_says_is_warned_of() {
        let key = [("BURKI_API_KEY", "burki_key")];
        let other = "[upstream]\nbase_url = \"https://elsewhere.example\"";
        let warned = loaded(other, &key, false).warnings(NOW);
        assert!(
            warned[0].starts_with("the key of BURKI_API_KEY is sent to https://elsewhere.example")
        );
        let holds_key = tempfile::NamedTempFile::new().unwrap();
        fs::write(&holds_key, "burki_key").unwrap();
        let path = holds_key.path().to_str().unwrap();
        let file = [("BURKI_EDGE_UPSTREAM__API_KEY_FILE", path)];
        let warned = loaded(other, &file, false).warnings(NOW);
        assert!(warned[0].starts_with("the key of BURKI_EDGE_UPSTREAM__API_KEY_FILE is sent"));
        assert_eq!(loaded(other, &key, true).warnings(NOW), [""; 0]);
        let in_file = format!("{other}\napi_key = \"burki_key\"");
        assert_eq!(loaded(&in_file, &[], false).warnings(NOW), [""; 0]);
        let usual = "[upstream]\nbase_url = \"https://api.burki.dev\"";
        assert_eq!(loaded(usual, &key, false).warnings(NOW), [""; 0]);
    }

    #[test]
    fn what_waits_for_the_next_start_is_named_by_its_section() {
        let config = |toml| loaded(toml, &[], true).config;
        let before = config("");
        let digest = "ab".repeat(32);
        let access = format!(
            "[server]\ncors_origins = [\"https://a.example\"]\n[upstream]\napi_key = \"k\"\n\
             [log]\nlevel = \"debug\"\n[[auth.tokens]]\nname = \"ci\"\nsha256 = \"{digest}\""
        );
        assert_eq!(before.differs_beyond_access(&config(&access)), [""; 0]);
        let more = config("[server]\nworkers = 3\n[store]\npath = \"other.db\"");
        assert_eq!(before.differs_beyond_access(&more), ["server", "store"]);
    }
}
