//! What `open` refuses, and in which words.

use zenoh_link::{ClientKeys, Link, LinkError, MAX_CLIENT_QUEUE, Mode, RouteKeys, Settings, Topics};

use crate::station::{Station, client, clock, eventually, free_endpoint, listening, publish, robot, route};

fn refused(settings: &Settings, routes: Vec<RouteKeys>, strays: &[&str], alive: &str) -> LinkError {
    refused_with(settings, routes, vec![], strays, alive)
}

fn refused_with(
    settings: &Settings,
    routes: Vec<RouteKeys>,
    clients: Vec<ClientKeys>,
    strays: &[&str],
    alive: &str,
) -> LinkError {
    let strays = strays.iter().map(ToString::to_string).collect();
    let topics = Topics { routes, clients, strays, ..Topics::default() };
    match zenoh_link::open(settings, topics, alive, clock, |_| ()) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[test]
fn endpoint_in_use_is_named() {
    let endpoint = free_endpoint();
    let _first = Station::open(&listening(&endpoint), vec![], &[]);
    let error = refused(&listening(&endpoint), vec![], &[], "alive");
    assert!(matches!(&error, LinkError::Listen { endpoint: named, .. } if *named == endpoint), "{error}");
}

#[test]
fn endpoint_of_an_unknown_protocol_is_named() {
    let error = refused(&listening("carrier-pigeon/coop:1"), vec![], &[], "alive");
    assert!(error.to_string().contains("carrier-pigeon"), "{error}");
}

#[test]
fn client_without_its_router_is_refused() {
    let settings = Settings { mode: Mode::Client, listen: vec![], connect: vec![free_endpoint()], one_worker: false };
    let error = refused(&settings, vec![], &[], "alive");
    assert!(matches!(error, LinkError::Open(_)), "{error}");
}

#[test]
fn invalid_keys_are_named() {
    let settings = listening(&free_endpoint());
    for key in ["", "/a", "a//b", "a/", "a/**/**", "a#b"] {
        for error in [
            refused(&settings, vec![RouteKeys { response: key.to_owned(), ..route("t") }], &[], "alive"),
            refused(&settings, vec![], &[key], "alive"),
            refused(&settings, vec![], &[], key),
        ] {
            assert!(matches!(&error, LinkError::Key { key: named, .. } if named == key), "{error}");
        }
    }
}

#[test]
fn wildcard_in_an_exact_key_is_named() {
    let settings = listening(&free_endpoint());
    for error in [refused(&settings, vec![route("t/*")], &[], "alive"), refused(&settings, vec![], &[], "alive/**")] {
        assert!(matches!(&error, LinkError::Wildcard { key } if key.contains('*')), "{error}");
    }
}

#[test]
fn unfit_client_is_named() {
    let settings = listening(&free_endpoint());
    let refused = |clients| refused_with(&settings, vec![route("t/a")], clients, &[], "alive");
    for queue in [0, MAX_CLIENT_QUEUE + 1] {
        let error = refused(vec![client("t/c", queue)]);
        assert!(matches!(&error, LinkError::ClientQueue { key, .. } if key == "t/c/infer"), "{error}");
        assert!(error.to_string().contains(&format!("a queue of {queue}: choose between 1 and 16")), "{error}");
    }
    let error = refused(vec![client("t/*", 1)]);
    assert!(matches!(&error, LinkError::Wildcard { key } if key == "t/*/infer"), "{error}");
    let on_a_topic = ClientKeys { infer: "t/a/observation".to_owned(), ..client("t/c", 1) };
    for clients in [vec![client("t/c", 1), client("t/c", 2)], vec![on_a_topic]] {
        let error = refused(clients);
        assert!(matches!(&error, LinkError::Duplicate { .. }), "{error}");
    }
}

#[test]
fn key_used_twice_is_named() {
    let settings = listening(&free_endpoint());
    let same_notice = RouteKeys { notice: "t/a/response".to_owned(), ..route("t/b") };
    for (routes, key) in
        [(vec![route("t/a"), route("t/a")], "t/a/observation"), (vec![route("t/a"), same_notice], "t/a/response")]
    {
        let error = refused(&settings, routes, &[], "alive");
        assert!(matches!(&error, LinkError::Duplicate { key: named } if named == key), "{error}");
    }
}

#[test]
fn closed_link_frees_its_endpoint() {
    let endpoint = free_endpoint();
    let first = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    first.link.close().unwrap();
    let mut second = Station::open(&listening(&endpoint), vec![route("t/arm")], &[]);
    publish(&robot(&endpoint), "t/arm/observation", b"again");
    second.await_wakes(1);
    assert_eq!(second.drain_words(), ["frame 0 again"]);
}

#[test]
fn router_takes_frames_too() {
    let endpoint = free_endpoint();
    let settings = Settings { mode: Mode::Router, ..listening(&endpoint) };
    let mut station = Station::open(&settings, vec![route("t/arm")], &[]);
    publish(&robot(&endpoint), "t/arm/observation", b"routed");
    station.await_wakes(1);
    assert_eq!(station.drain_words(), ["frame 0 routed"]);
}

#[test]
fn threads_of_zenoh_are_listed() {
    let _open = Station::open(&listening(&free_endpoint()), vec![], &[]);
    // Which of its runtimes have threads depends on who is connected.
    eventually(|| Link::threads().into_iter().find(|(id, _)| *id > 0));
}
