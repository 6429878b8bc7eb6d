//! What is allowed and may be a mistake: told at each start, with the remedy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Config, Loaded, Origin, Setting};
use crate::model::{Timestamp, is_this_machine};

impl Loaded {
    /// In words. Files are looked at; `now` tells which tokens have expired.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = self.config.warnings(now);
        warnings.extend(self.key_goes_elsewhere());
        warnings
    }

    /// A key of the environment goes where a file says that nobody named, `./config.toml`: to whom
    /// it is sent is told, unless it is who it is sent to without that file.
    fn key_goes_elsewhere(&self) -> Option<String> {
        let setting = |key| self.settings.iter().find(|setting| setting.key == key);
        let of_environment = |setting: &&Setting| matches!(setting.origin, Origin::Environment(_));
        let keys = ["upstream.api_key", "upstream.api_key_file"];
        let key = keys.into_iter().filter_map(setting).find(of_environment)?;
        let base_url = setting("upstream.base_url")?;
        let default = super::keys::find("upstream.base_url")?.default.value()?;
        let is_usual = |setting: &Setting| setting.value.as_str() == default.as_str();
        match (&key.origin, &base_url.origin) {
            (Origin::Environment(variable), Origin::File(file))
                if !self.is_named && !is_usual(base_url) =>
            {
                let to = self.config.upstream.base();
                Some(format!(
                    "the key of {variable} is sent to {to}, which {} names; `--config {0}` says \
                     that you mean it",
                    file.display()
                ))
            }
            _ => None,
        }
    }
}

impl Config {
    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings: Vec<String> = self.crowded_budget().into_iter().collect();
        let files = [
            (
                "upstream.api_key_file",
                self.upstream.api_key_file.as_deref(),
            ),
            (
                "server.tls_key",
                self.server.tls.as_ref().map(|tls| &*tls.key),
            ),
        ];
        for (key, file) in files {
            if let Some(file) = file.filter(|file| is_open(file)) {
                warnings.push(format!(
                    "{key} = {:?}: other users of this machine can read it; `chmod 600` makes it \
                     its owner's alone",
                    file.display()
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
        let is_wide = |address: &&std::net::SocketAddr| !address.ip().to_canonical().is_loopback();
        if self.server.tls.is_none()
            && let Some(address) = self.server.listen.iter().find(is_wide)
        {
            warnings.push(format!(
                "server.listen = {address} without server.tls_cert and server.tls_key: tokens and \
                 calls cross the network in clear, unless a proxy before the edge encrypts"
            ));
        }
        for token in &self.auth.tokens {
            if token.expires.is_some_and(|expires| expires <= now) {
                warnings.push(format!(
                    "auth.tokens: {:?} has expired and opens nothing; remove it, or make another \
                     by `burki-edge token NAME`",
                    token.name
                ));
            }
        }
        warnings
    }

    /// The sections in which `now` has what a running edge does not take over: everything but who
    /// may come in, the certificate, the upstream's key and what is logged.
    pub fn differs_beyond_access(&self, now: &Config) -> Vec<&'static str> {
        let mut same = now.clone();
        same.server
            .cors_origins
            .clone_from(&self.server.cors_origins);
        if self.server.tls.is_some() && same.server.tls.is_some() {
            same.server.tls.clone_from(&self.server.tls);
        }
        same.upstream.api_key.clone_from(&self.upstream.api_key);
        same.upstream
            .api_key_file
            .clone_from(&self.upstream.api_key_file);
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

/// Whether others than its owner may read or write it. One that is not there is told elsewhere.
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
    fn what_crosses_the_network_in_clear_is_told() {
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
    fn a_key_that_others_can_read_is_told() {
        let key = tempfile::NamedTempFile::new().unwrap();
        fs::write(key.path(), "burki_key").unwrap();
        let toml = format!("[upstream]\napi_key_file = {:?}", key.path());
        for (mode, told) in [(0o600, 0), (0o640, 1), (0o604, 1)] {
            fs::set_permissions(key.path(), Permissions::from_mode(mode)).unwrap();
            let warnings = warnings(&toml);
            assert_eq!(warnings.len(), told, "{mode:o}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.contains("chmod 600")));
        }
    }

    #[test]
    fn a_token_that_has_expired_is_told() {
        let digest = "ab".repeat(32);
        let expired = |expires| {
            let token = format!("name = \"ci\"\nsha256 = \"{digest}\"\nexpires = \"{expires}\"");
            warnings(&format!("[[auth.tokens]]\n{token}")).len()
        };
        assert_eq!((expired("2027-01-15"), expired("2027-01-16")), (1, 0));
    }

    #[test]
    fn where_a_key_of_the_environment_goes_is_told_unless_it_was_named() {
        let key = [("BURKI_API_KEY", "burki_key")];
        let other = "[upstream]\nbase_url = \"https://elsewhere.example\"";
        let told = loaded(other, &key, false).warnings(NOW);
        assert!(
            told[0].starts_with("the key of BURKI_API_KEY is sent to https://elsewhere.example")
        );
        let holds_key = tempfile::NamedTempFile::new().unwrap();
        fs::write(&holds_key, "burki_key").unwrap();
        let path = holds_key.path().to_str().unwrap();
        let file = [("BURKI_EDGE_UPSTREAM__API_KEY_FILE", path)];
        let told = loaded(other, &file, false).warnings(NOW);
        assert!(told[0].starts_with("the key of BURKI_EDGE_UPSTREAM__API_KEY_FILE is sent"));
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
