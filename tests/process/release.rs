//! `burki-edge release`: what the running edge says to it. That it lets deletions through is
//! tested where they are held.

use burki_edge::simulator::Flavour;

use super::edge_process::{Site, serve, world};

#[test]
fn it_tells_what_the_edge_said_and_needs_one_that_lets_it_in() {
    let simulator = serve(world(Flavour::Hosted, 10));
    let mut site = Site::of(&simulator);
    let edge = site.serve_all();
    site.set("BURKI_EDGE_SERVER__LISTEN", &edge.address.to_string());
    let said = site.run(&["release"]);
    assert_eq!(
        (said.code, &*said.stdout, &*said.stderr),
        (Some(0), "nothing is held\n", "")
    );

    site.write("token", "burki_edge_of_somebody_else\n");
    let refused = site.run(&["release", "--url", &edge.url, "--token-file", "token"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(1), ""));
    assert!(refused.stderr.contains("refuses the token"));

    let url = edge.url.clone();
    edge.stop();
    let alone = site.run(&["release"]);
    assert_eq!((alone.code, &*alone.stdout), (Some(1), ""));
    assert!(alone.stderr.contains(&format!("no edge answers at {url}")));
}
