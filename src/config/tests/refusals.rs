//! Every refusal names the field, the value (or hides it) and the remedy.

use rstest::rstest;

use super::*;

#[rstest]
#[case::in_a_section(
    "[sync]\npol_interval = \"1s\"",
    "config.toml: unknown key \"sync.pol_interval\"; did you mean \"sync.poll_interval\"?"
)]
#[case::outside_its_section(
    "listen = \"127.0.0.1:1\"",
    "config.toml: unknown key \"listen\"; did you mean \"server.listen\"?"
)]
#[case::in_a_misspelt_section(
    "[sinc]\npoll_interval = \"1s\"",
    "config.toml: unknown key \"sinc.poll_interval\"; did you mean \"sync.poll_interval\"?"
)]
#[case::in_a_section_below(
    "[sync.poll]\ninterval = \"1s\"",
    "config.toml: unknown key \"sync.poll\"; the config.toml that ships with burki-edge lists \
     every key"
)]
#[case::of_an_empty_section("[colours]", "config.toml: unknown key \"colours\";")]
#[case::its_value_may_be_secret(
    "[upstream]\napi_keys = \"bk_live_not_for_your_eyes\"",
    "unknown key \"upstream.api_keys\"; did you mean \"upstream.api_key\"?"
)]
#[case::a_section_with_a_value(
    "upstream = \"bk_live_not_for_your_eyes\"",
    "config.toml: \"upstream\" is a section; write [upstream]"
)]
#[case::a_list_of_sections("[[server]]", "config.toml: \"server\" is a section")]
fn an_unknown_key_is_refused(#[case] toml: &str, #[case] expected: &str) {
    let message = refusal(toml, &[]);
    assert!(message.contains(expected), "{message}");
}

#[rstest]
#[case(
    "BURKI_EDGE_SYNC__POL_INTERVAL",
    Some("BURKI_EDGE_SYNC__POLL_INTERVAL")
)]
#[case("BURKI_EDGE_SERVER_LISTEN", Some("BURKI_EDGE_SERVER__LISTEN"))]
#[case("BURKI_EDGE_API_KEY", Some("BURKI_EDGE_UPSTREAM__API_KEY"))]
#[case("BURKI_EDGE_COLOURS", None)]
fn an_unknown_variable_is_refused(#[case] name: &str, #[case] nearest: Option<&str>) {
    let message = refusal("", &[(name, SECRET)]);
    let unknown = format!("environment: unknown variable \"{name}\"");
    assert!(message.starts_with(&unknown), "{message}");
    let meant = nearest.map(|nearest| format!("did you mean \"{nearest}\"?"));
    assert!(
        message.ends_with(&meant.unwrap_or("lists every key".to_owned())),
        "{message}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_line_without_quoting_it() {
    let message = refusal(&format!("[upstream]\n\napi_key = \"{SECRET}\n"), &[]);
    assert!(message.starts_with("config.toml: line 3: "), "{message}");
    let twice = format!("[upstream]\napi_key = \"{SECRET}\"\napi_key = \"{SECRET}\"");
    let message = refusal(&twice, &[]);
    assert!(message.contains("duplicate key"), "{message}");
}

/// One value, as TOML; the message names the key and the value, and holds the remedy.
#[rstest]
#[case("server.listen", r#""8080""#, "such as \"127.0.0.1:8080\"")]
#[case(
    "server.listen",
    r#"":8080""#,
    "\"0.0.0.0:8080\" is every IPv4 address"
)]
#[case(
    "server.listen",
    r#""edge.lan:8080""#,
    "expected an IP address and a port"
)]
#[case(
    "server.listen",
    r#""127.0.0.1:99999""#,
    "expected an IP address and a port"
)]
#[case("server.listen", "8080", "expected a list of texts")]
#[case("server.listen", "[]", "at least one address")]
#[case("server.workers", "1025", "a whole number from 0 to 1024")]
#[case("server.workers", "-1", "a whole number from 0 to 1024")]
#[case("server.workers", "2.5", "a whole number from 0 to 1024")]
#[case("server.workers", r#""4""#, "without quotes")]
#[case("upstream.api_key_file", r#""""#, "remove the line")]
#[case("upstream.base_url", r#""api.burki.dev""#, "\"https://api.burki.dev\"")]
#[case("upstream.base_url", r#""ftp://api.burki.dev""#, "http or https")]
#[case("upstream.base_url", "1", "double quotes")]
#[case(
    "upstream.api_key_file",
    r#""/no/such/file""#,
    "can't be read: No such file"
)]
#[case("upstream.timeout", r#""999ms""#, "from 1s to 10m, such as \"30s\"")]
#[case("upstream.timeout", r#""11m""#, "from 1s to 10m")]
#[case("upstream.timeout", "30", "a duration with its unit")]
#[case("upstream.max_requests_per_minute", "0", "from 1 to 100000")]
#[case("upstream.max_requests_per_minute", "100001", "from 1 to 100000")]
#[case("upstream.max_concurrency", "0", "from 1 to 64")]
#[case("upstream.max_concurrency", "65", "from 1 to 64")]
#[case("store.path", r#""""#, "give it a value")]
#[case(
    "store.audio_cache",
    r#""1GB""#,
    "expected a whole number with its unit, KiB, MiB or GiB, such as \"1GiB\"; or \"0\" for none"
)]
#[case("store.audio_cache", r#""1.5GiB""#, "expected a whole number")]
#[case("store.audio_cache", r#""-1MiB""#, "expected a whole number")]
#[case("store.audio_cache", r#""99999999999999GiB""#, "with its unit")]
#[case("store.audio_cache", "0", "or \"0\" for none")]
#[case("server.cors_origins", "1", "expected a list of texts")]
#[case(
    "server.cors_origins",
    r#""https://app.example/""#,
    "expected an origin as browsers send it, such as \"https://app.example\""
)]
#[case("server.cors_origins", r#""https://app.example:443""#, "the usual one")]
#[case("server.cors_origins", r#""https://App.example""#, "lower case")]
#[case("server.cors_origins", r#""app.example""#, "as browsers send it")]
#[case("server.cors_origins", r#""null""#, "as browsers send it")]
#[case(
    "server.cors_origins",
    r#"["*","https://a.example"]"#,
    "remove it, or the others"
)]
#[case("sync.poll_interval", r#""0s""#, "from 1s to 1h, such as \"10s\"")]
#[case("sync.poll_interval", r#""61m""#, "from 1s to 1h")]
#[case("sync.poll_interval", r#""soon""#, "from 1s to 1h")]
#[case(
    "sync.reconcile_interval",
    r#""59s""#,
    "from 1m to 30days, such as \"24h\""
)]
#[case("sync.reconcile_interval", r#""31d""#, "from 1m to 30days")]
#[case("sync.history", r#""23h""#, "expected \"all\", or how far back")]
#[case("sync.history", r#""everything""#, "such as \"400d\"")]
#[case("sync.history", "400", "such as \"400d\"")]
#[case("auth.introspect", r#""yes""#, "true or false")]
#[case("auth.accept_upstream_key", "1", "true or false")]
fn a_bad_value_is_refused_with_its_key_and_remedy(
    #[case] key: &str,
    #[case] value: &str,
    #[case] remedy: &str,
) {
    let (section, name) = key.split_once('.').unwrap();
    let message = refusal(&format!("[{section}]\n{name} = {value}"), &[]);
    let start = format!("config.toml: {key} = {value}: ");
    assert!(message.starts_with(&start), "{message}");
    assert!(message.contains(remedy), "{message}");
}

#[rstest]
#[case::a_listed_address_twice(
    "[server]\nlisten = [\"127.0.0.1:80\", \"localhost:80\"]",
    &["server.listen = \"localhost:80\"", "remove one"]
)]
#[case::an_unknown_detail(
    "[sync]\ndetails = [\"transcripts\", \"videos\"]",
    &["sync.details = \"videos\"", "transcripts, recordings, messages, metrics, webhook-logs"]
)]
#[case::reconciling_more_often_than_polling(
    "[sync]\npoll_interval = \"30m\"\nreconcile_interval = \"10m\"",
    &["sync.reconcile_interval = \"10m\"", "from 30m to 30days"]
)]
#[case::a_certificate_without_its_key(
    "[server]\ntls_cert = \"cert.pem\"",
    &["server.tls_cert is set and server.tls_key is not", "set both"]
)]
#[case::a_private_key_without_its_certificate(
    "[server]\ntls_key = \"key.pem\"",
    &["server.tls_key is set and server.tls_cert is not", "set both"]
)]
#[case::credentials_in_the_url(
    "[upstream]\nbase_url = \"https://me:bk_live_not_for_your_eyes@burki.lan\"",
    &["upstream.base_url = (not shown", "without user, query or fragment", "upstream.api_key"]
)]
#[case::a_key_in_the_query(
    "[upstream]\nbase_url = \"https://burki.lan/?key=bk_live_not_for_your_eyes\"",
    &["upstream.base_url = (not shown", "without user, query or fragment"]
)]
#[case::a_key_with_its_scheme(
    "[upstream]\napi_key = \"Bearer bk_live_not_for_your_eyes\"",
    &["upstream.api_key = (not shown)", "without \"Bearer\""]
)]
#[case::a_key_that_is_not_ascii(
    "[upstream]\napi_key = \"bk_live_not_for_your_eyes_é\"",
    &["upstream.api_key = (not shown)", "visible ASCII"]
)]
#[case::a_key_that_is_no_text(
    "[upstream]\napi_key = [\"bk_live_not_for_your_eyes\"]",
    &["upstream.api_key = (not shown)", "not a text"]
)]
#[case::a_short_webhook_secret(
    "[webhooks]\nsecret = \"short\"",
    &["webhooks.secret = (not shown)", "at least 16 characters", "openssl rand"]
)]
#[case::a_webhook_secret_a_url_would_escape(
    "[webhooks]\nsecret = \"bk_live_not_for_your_eyes/\"",
    &["webhooks.secret = (not shown)", "as they stand in a URL"]
)]
#[case::nobody_could_read(
    "[auth]\naccept_upstream_key = false",
    &["nobody could read", "auth.tokens is empty", "burki-edge token NAME"]
)]
#[case::open_to_every_page(
    "[server]\ncors_origins = [\"*\"]\n[auth]\nanonymous_on_loopback = true",
    &["auth.anonymous_on_loopback = true", "server.cors_origins = [\"*\"]", "or turn it off"]
)]
#[case::open_to_the_network(
    "[server]\nlisten = [\"127.0.0.1:1\", \"0.0.0.0:8080\"]\n\
     [auth]\nanonymous_on_loopback = true",
    &["auth.anonymous_on_loopback = true", "server.listen = 0.0.0.0:8080", "turn it off"]
)]
fn a_contradiction_is_refused_with_its_remedy(#[case] toml: &str, #[case] parts: &[&str]) {
    let message = refusal(toml, &[]);
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[rstest]
#[case::no_name(
    "{sha256 = \"D\"}",
    "auth.tokens[0].name = (not set): expected a name of 1 to 64"
)]
#[case::an_empty_name("{name = \"\", sha256 = \"D\"}", "auth.tokens[0].name = \"\"")]
#[case::one_name_twice(
    "{name = \"ci\", sha256 = \"D\"}, {name = \"ci\", sha256 = \"E\"}",
    "auth.tokens[1].name = \"ci\": another token has this name; give each its own"
)]
#[case::one_token_twice(
    "{name = \"ci\", sha256 = \"D\"}, {name = \"cd\", sha256 = \"D\"}",
    "auth.tokens[1].sha256 = (not shown): the same token as \"ci\""
)]
#[case::no_digest(
    "{name = \"ci\"}",
    "auth.tokens[0].sha256 = (not set): expected 64 hex"
)]
#[case::the_token_itself(
    "{name = \"ci\", sha256 = \"bk_live_not_for_your_eyes\"}",
    "auth.tokens[0].sha256 = (not shown, 25 characters): expected 64 hexadecimal digits: store \
     the token's SHA-256, not the token; `burki-edge token NAME` makes one"
)]
#[case::the_digest_of_nothing(
    "{name = \"ci\", sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}",
    "the SHA-256 of nothing at all"
)]
#[case::another_field(
    "{name = \"ci\", sha256 = \"D\", token = \"bk_live_not_for_your_eyes\"}",
    "auth.tokens[0].token = (not shown): unknown field; a token has name and sha256, and may have"
)]
#[case::no_table(
    "\"bk_live_not_for_your_eyes\"",
    "auth.tokens[0] = (not shown): expected a table"
)]
fn a_bad_token_is_refused_unseen(#[case] tokens: &str, #[case] expected: &str) {
    let tokens = tokens
        .replace("\"D\"", &format!("\"{DIGEST}\""))
        .replace("\"E\"", &format!("\"{}\"", DIGEST.replace('9', "8")));
    let message = refusal(&format!("[auth]\ntokens = [{tokens}]"), &[]);
    assert!(
        message.starts_with("config.toml: auth.tokens["),
        "{message}"
    );
    assert!(message.contains(expected), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[rstest]
#[case::scopes_of_another_name(
    "scopes = [\"read\", \"fly\"]",
    "scopes = [\"read\", \"fly\"]: expected a list of some of read, write, operate;"
)]
#[case::no_scopes("scopes = []", "scopes = []: expected a list of some of")]
#[case::scopes_that_are_no_texts(
    "scopes = [{ token = \"bk_live_not_for_your_eyes\" }]",
    "scopes = (not a list of texts): expected a list of some of"
)]
#[case::an_end_in_words("expires = \"soon\"", "expires = \"soon\": expected a date")]
#[case::an_end_without_quotes("expires = 2027-01-31", "expires = (not a text): expected a date")]
fn what_a_token_may_have_is_checked(#[case] field: &str, #[case] expected: &str) {
    let token = format!("[[auth.tokens]]\nname = \"ci\"\nsha256 = \"{DIGEST}\"\n{field}");
    let start = format!("config.toml: auth.tokens[0].{expected}");
    let message = refusal(&token, &[]);
    assert!(message.starts_with(&start), "{message}");
}

#[test]
fn every_problem_of_a_token_is_reported_at_once() {
    let tokens = "name = \" \"\nsha256 = \"short\"\nscopes = 1\nexpires = 1\nother = 1";
    let message = refusal(&format!("[[auth.tokens]]\n{tokens}"), &[]);
    assert!(message.starts_with("5 problems"), "{message}");
}

#[test]
fn every_item_of_a_list_is_reported_by_itself() {
    let message = refusal("[sync]\ndetails = [\"a\", \"messages\", \"b\"]", &[]);
    assert!(message.starts_with("2 problems"), "{message}");
    assert!(message.contains("sync.details = \"a\": expected some of"));
    assert!(message.contains("sync.details = \"b\": expected some of"));
}

/// A refused value gives way to a default that the key allows.
#[test]
fn every_key_can_be_refused_without_ending_the_reading() {
    for (key, _) in KEYS {
        let (section, name) = key.split_once('.').unwrap();
        for value in ["[[1]]", "{ a = 1 }", "nan", "-1", "2027-01-31"] {
            let toml = format!("x = 1\n[{section}]\n{name} = {value}");
            let message = refusal(&toml, &[("BURKI_EDGE_X", "1")]);
            for part in ["unknown key \"x\"", "unknown variable", key] {
                assert!(message.contains(part), "{part} is not in {message}");
            }
        }
    }
}

#[test]
fn two_keys_are_refused_with_where_each_is_from() {
    let message = refusal(
        "[upstream]\napi_key_file = \"/run/secrets/key\"",
        &[("BURKI_API_KEY", SECRET)],
    );
    assert_eq!(
        message,
        "upstream.api_key (from BURKI_API_KEY) and upstream.api_key_file (from config.toml) are \
         both set; keep one of them"
    );
}

#[test]
fn a_bad_variable_is_named() {
    let message = refusal("", &[("BURKI_EDGE_SERVER__WORKERS", "many")]);
    assert!(
        message.starts_with("BURKI_EDGE_SERVER__WORKERS: server.workers = \"many\": "),
        "{message}"
    );
    let message = refusal("", &[("BURKI_EDGE_AUTH__TOKENS", SECRET)]);
    assert!(message.contains("expected a list of tables"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused_unseen() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let value = OsString::from_vec(b"key-\xff".to_vec());
    let message = load(None, false, [(OsString::from("BURKI_API_KEY"), value)])
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("BURKI_API_KEY: upstream.api_key = (not shown): not UTF-8"));
}

#[test]
fn several_problems_are_reported_at_once() {
    let message = refusal(
        "listen = 1\n[server]\nworkers = 9999\n[sync]\nhistory = \"1h\"",
        &[("BURKI_EDGE_COLOURS", "1")],
    );
    assert!(
        message.starts_with("4 problems in the configuration\n"),
        "{message}"
    );
    for part in [
        "\"listen\"",
        "server.workers",
        "sync.history",
        "BURKI_EDGE_COLOURS",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
}

#[test]
fn a_long_value_is_cut_in_a_message() {
    let message = refusal(&format!("[sync]\nhistory = \"{}\"", "é".repeat(5000)), &[]);
    assert!(message.len() < 400 && message.contains('…'), "{message}");
}
