//! Who may read, from the command that makes a token to the answer it opens.

use burki_edge::simulator::Flavour;

use super::edge_process::{Edge, KEY, Site, calls, serve, until, world};

const NOT_LET_IN: &str =
    r#"{"detail":"Authentication required. Provide a valid API key or login session."}"#;

/// Makes a token, and puts the lines that let it in where the output says.
fn make_token(site: &Site, more: &str) -> String {
    let made = site.run(&["token", "reports"]);
    assert_eq!((made.code, &*made.stderr), (Some(0), ""));
    let token = made.stdout.lines().next().unwrap().to_owned();
    let (_, lines) = made.stdout.split_once("config.toml:\n").unwrap();
    assert!(!lines.contains(&token));
    site.write("config.toml", &format!("{more}\n{lines}"));
    token
}

async fn is_let_in(edge: &Edge, authorization: Option<&str>) -> bool {
    let call = edge.get_as("/api/v1/calls/1", authorization).await;
    let status = edge.get_as("/edge/status", authorization).await;
    match (call.status, status.status) {
        (404, 200) => true,
        (401, 401) => {
            assert_eq!((&*call.body, &*status.body), (NOT_LET_IN, NOT_LET_IN));
            assert_eq!(call.header("www-authenticate"), "Bearer");
            false
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_upstreams_key_and_a_named_token_open_and_nothing_else() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let token = make_token(&site, "");
    let edge = site.serve_all();
    for (authorization, open) in [
        (Some(format!("Bearer {KEY}")), true),
        (Some(format!("bearer {KEY}")), true),
        (Some(format!("Bearer {token}")), true),
        (Some(format!("bearer {token}")), true),
        (Some(format!("Bearer {token}0")), false),
        (Some(format!("Basic {KEY}")), false),
        (Some("Bearer burki_nobody_knows_this_key".to_owned()), false),
        (None, false),
    ] {
        let let_in = is_let_in(&edge, authorization.as_deref()).await;
        assert_eq!(let_in, open, "{authorization:?}");
    }
    let call = &calls(&simulator)[0];
    let path = format!("/api/v1/calls/{}", call.id);
    let read = edge.get_as(&path, Some(&format!("Bearer {token}"))).await;
    assert_eq!(read.body, call.text);
    edge.stop();
}

#[tokio::test]
async fn the_upstreams_key_can_be_kept_out() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let site = Site::of(&simulator);
    let token = make_token(&site, "[auth]\naccept_upstream_key = false");
    let edge = site.serve_all();
    assert!(!is_let_in(&edge, Some(&format!("Bearer {KEY}"))).await);
    assert!(is_let_in(&edge, Some(&format!("Bearer {token}"))).await);
    edge.stop();
}

#[tokio::test]
async fn the_anonymous_mode_lets_this_machine_read_without_a_key() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    site.set("BURKI_EDGE_AUTH__ANONYMOUS_ON_LOOPBACK", "true");
    let edge = site.serve_all();
    assert!(is_let_in(&edge, None).await);
    edge.stop();

    site.set("BURKI_EDGE_SERVER__LISTEN", "0.0.0.0:0");
    let refused = site.run(&["serve"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("auth.anonymous_on_loopback"));
}

#[tokio::test]
async fn a_key_that_is_new_here_opens_nothing_before_the_upstream_knows_it() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    let token = format!("Bearer {}", make_token(&site, ""));
    site.serve_all().stop();
    let new = "burki_another_key_of_that_organization";
    site.set("BURKI_API_KEY", new);
    simulator.world().set_api_key(new);
    simulator.cut();

    let edge = site.serve();
    let new = format!("Bearer {new}");
    let call = &calls(&simulator)[0];
    let paths = [
        format!("/api/v1/calls/{}", call.id),
        "/api/v1/calls?limit=1".to_owned(),
        "/api/v1/calls/export".to_owned(),
        "/edge/changes".to_owned(),
        "/api/v1/agents".to_owned(),
    ];
    for path in &paths {
        let answer = edge.get_as(path, Some(&new)).await;
        assert_eq!(answer.status, 503, "{path}");
        assert_eq!(answer.header("retry-after"), "5");
        assert!(
            answer
                .body
                .starts_with(r#"{"detail":"This edge does not know that the API key"#)
        );
    }
    let status = edge.get_as("/edge/status", Some(&new)).await;
    assert_eq!(status.status, 200, "the operator's own is told");
    let read = edge.get_as(&paths[0], Some(&token)).await;
    assert_eq!((read.status, &*read.body), (200, &*call.text));

    simulator.restore();
    until(async || edge.get_as(&paths[0], Some(&new)).await.status == 200).await;
    edge.stop();
}
