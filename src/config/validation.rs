//! Checks every value by the form of its key, and which settings exclude each other.
//!
//! A refused value is noted and gives way to its default, so that one run finds every problem.

use std::borrow::Cow;
use std::time::Duration;

use humantime::{format_duration, parse_duration};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::error::Problem;
use crate::config::keys::{Form, KEYS};
use crate::config::origin::Origin;
use crate::config::secret::read_key_file;
use crate::config::sections::Config;
use crate::config::sources::{Settings, default};
use crate::config::values::{Check, Checked, allow};

/// Longer values are cut in a message.
const SHOWN_CHARACTERS: usize = 80;

impl Config {
    /// Reads every key. Where `settings` then hold a problem, the result is not to be used.
    #[expect(clippy::expect_used, reason = "proved where it stands")]
    pub(super) fn read(settings: &mut Settings) -> Config {
        let mut checked = json!({});
        for (key, form) in KEYS {
            let (section, name) = key.split_once('.').unwrap_or_default();
            let form = match form {
                // Nothing is reconciled more often than it is polled.
                Form::Duration(least, most) if key == "sync.reconcile_interval" => {
                    let poll = checked["sync"]["poll_interval"]["secs"].as_u64();
                    Form::Duration(least.max(poll.unwrap_or(least)), most)
                }
                form => form,
            };
            checked[section][name] = settings.check(key, form);
        }
        // Each check returns what its field reads, and allows its default: tests read and refuse
        // every key.
        let mut config: Config = serde_json::from_value(checked).expect("checked values fit");
        config.auth.tokens = settings.tokens();
        let upstream = &mut config.upstream;
        if let (None, Some(file)) = (&upstream.api_key, &upstream.api_key_file) {
            let refuse = |why| settings.refuse("upstream.api_key_file", why);
            upstream.api_key = read_key_file(file).map_err(refuse).ok();
        }
        settings.refuse_contradictions(&config);
        config
    }
}

impl Form {
    /// Checks a value, but for the items of a list.
    fn check(self, key: &str, value: &Value) -> Checked {
        let text = value.as_str();
        match self {
            Form::Flag => allow(value.as_bool(), "expected true or false, without quotes"),
            Form::Number(least, most) => allow(
                value
                    .as_u64()
                    .filter(|number| (least..=most).contains(number)),
                format!("expected a whole number from {least} to {most}, without quotes"),
            ),
            Form::Duration(least, most) => {
                let range = Duration::from_secs(least)..=Duration::from_secs(most);
                let duration = text.and_then(|text| parse_duration(text.trim()).ok());
                let expected = format!(
                    "expected a duration with its unit, from {} to {}, such as {}",
                    format_duration(*range.start()),
                    format_duration(*range.end()),
                    default(key).unwrap_or(&Value::Null)
                );
                allow(
                    duration.filter(|duration| range.contains(duration)),
                    expected,
                )
            }
            Form::Word(check) => check(text.unwrap_or_default()),
            Form::Text(check) | Form::Secret(check) => match text {
                None => Err("not a text; put the value in double quotes".into()),
                Some(text) if !text.trim().is_empty() => check(text),
                Some(_) => Err("empty; give it a value or remove the line".into()),
            },
            Form::List(_) | Form::Set(_) => {
                let one = text.map(|text| vec![text.to_owned()]);
                let texts = one.or_else(|| Vec::deserialize(value).ok());
                allow(
                    texts,
                    "expected a list of texts, such as [\"one\", \"two\"]",
                )
            }
            Form::Tokens => Ok(Value::Null),
        }
    }
}

impl Settings {
    /// Checks a key, and each item of a list; null where the key is not set.
    fn check(&mut self, key: &str, form: Form) -> Value {
        let Some(written) = self.written(key).cloned() else {
            return Value::Null;
        };
        let value = form.check(key, &written).or_else(|expected| {
            self.refuse(key, expected);
            form.check(key, default(key).unwrap_or(&Value::Null))
        });
        match (form, value.unwrap_or_default()) {
            (Form::List(check), Value::Array(texts)) => self.check_items(key, texts, check, false),
            (Form::Set(check), Value::Array(texts)) => self.check_items(key, texts, check, true),
            (_, value) => value,
        }
    }

    fn check_items(&mut self, key: &str, texts: Vec<Value>, check: Check, once: bool) -> Value {
        let mut items = Vec::new();
        for text in texts.iter().filter_map(Value::as_str) {
            let checked = check(text).and_then(|item| match items.contains(&item) {
                // Port 0 is another port each time.
                true if once && !text.ends_with(":0") => Err("listed twice; remove one".into()),
                _ => Ok(item),
            });
            match checked {
                Ok(item) => items.push(item),
                Err(expected) => self.refuse_part(key, format!("{text:?}"), expected),
            }
        }
        Value::Array(items)
    }

    /// The value of `key`, be it allowed or not.
    pub(super) fn written(&self, key: &str) -> Option<&Value> {
        self.values.get(key).map(|(value, _)| value)
    }

    fn origin(&self, key: &str) -> Origin {
        let set = self.values.get(key);
        set.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// Notes that the value of `key` is not allowed.
    fn refuse(&mut self, key: &str, expected: impl Into<Cow<'static, str>>) {
        let shown = self.written(key).map(|value| shown(key, value));
        self.refuse_part(key, shown.unwrap_or_default(), expected);
    }

    /// Notes that a part of `key`, shown as `value`, is not allowed.
    pub(super) fn refuse_part(
        &mut self,
        key: &str,
        value: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) {
        self.problems.push(Problem::Invalid {
            origin: self.origin(key.split('[').next().unwrap_or(key)),
            key: key.to_owned(),
            value: value.into(),
            expected: expected.into(),
        });
    }

    fn refuse_contradictions(&mut self, Config { server, auth, .. }: &Config) {
        let is_set = |key: &str| self.written(key).is_some();
        let is = |key: &str, value: Value| self.written(key) == Some(&value);
        let every_origin = server.cors_origins.iter().any(|origin| origin == "*");
        let anonymous = auth.anonymous_on_loopback;
        let mut found = Vec::new();
        let halves = ["server.tls_cert", "server.tls_key"];
        for (given, missing) in [(halves[0], halves[1]), (halves[1], halves[0])] {
            if is_set(given) && !is_set(missing) {
                found.push(format!(
                    "{}: {given} is set and {missing} is not; set both to serve TLS, or neither",
                    self.origin(given)
                ));
            }
        }
        if is_set("upstream.api_key") && is_set("upstream.api_key_file") {
            found.push(format!(
                "upstream.api_key (from {}) and upstream.api_key_file (from {}) are both set; \
                 keep one of them",
                self.origin("upstream.api_key"),
                self.origin("upstream.api_key_file")
            ));
        }
        if let (true, Some(address)) = (anonymous, server.beyond_this_machine()) {
            found.push(format!(
                "{}: auth.anonymous_on_loopback = true: server.listen = {address} can be reached \
                 from other machines; listen on loopback addresses only, such as 127.0.0.1:8080, \
                 or turn it off",
                self.origin("auth.anonymous_on_loopback")
            ));
        }
        // Any page that a browser on this machine shows could read the calls.
        if anonymous && every_origin {
            found.push(format!(
                "{}: auth.anonymous_on_loopback = true, but server.cors_origins = [\"*\"] ({}) \
                 lets every page read that a browser on this machine shows; name the origins of \
                 your own pages, or turn it off",
                self.origin("auth.anonymous_on_loopback"),
                self.origin("server.cors_origins")
            ));
        }
        // As written: a flag or token that was refused may have been meant as a way in.
        let ways = ["accept_upstream_key", "introspect", "anonymous_on_loopback"];
        let mut ways = ways.iter().map(|way| format!("auth.{way}"));
        if ways.all(|way| is(&way, json!(false))) && is("auth.tokens", json!([])) {
            found.push(
                "nobody could read: auth.accept_upstream_key, auth.introspect and \
                 auth.anonymous_on_loopback are false and auth.tokens is empty; turn one on, or \
                 add a token (`burki-edge token NAME` makes one)"
                    .to_owned(),
            );
        }
        if is("server.listen", json!([])) {
            let expected = "expected at least one address, such as \"127.0.0.1:8080\"";
            self.refuse("server.listen", expected);
        }
        if every_origin && server.cors_origins.len() > 1 {
            let expected = "\"*\" is every origin; remove it, or the others";
            self.refuse("server.cors_origins", expected);
        }
        self.problems
            .extend(found.into_iter().map(Problem::Contradiction));
    }
}

/// The value of `key` in a message.
fn shown(key: &str, value: &Value) -> String {
    let text = value.to_string();
    let hidden = |(known, form)| known == key && matches!(form, Form::Secret(_) | Form::Tokens);
    if KEYS.into_iter().any(hidden) {
        "(not shown)".to_owned()
    } else if key == "upstream.base_url" && text.contains(['@', '?', '#']) {
        "(not shown: it may hold credentials)".to_owned()
    } else if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARACTERS) {
        format!("{}…", &text[..end])
    } else {
        text
    }
}
