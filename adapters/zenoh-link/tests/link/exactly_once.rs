//! A frame counts once, however many subscriptions its key matches.

use crate::station::{Station, free_endpoint, listening, publish, robot, route};

#[test]
fn key_covered_twice_arrives_once() {
    let endpoint = free_endpoint();
    let routes = vec![route("t/a/b"), route("apart")];
    let strays = ["t/*/b/**", "t/a/**", "t/a/*/observation"];
    let mut station = Station::open(&listening(&endpoint), routes, &strays);
    let robot = robot(&endpoint);
    let keys = ["t/a/b/observation", "t/a/b/c/observation", "t/x/b/observation", "t/a/x", "apart/observation"];
    for key in keys {
        publish(&robot, key, b"1");
    }
    // What one robot sends arrives in order: with the last one, all have arrived.
    publish(&robot, "t/a/last", b"1");
    station.await_wakes(6);
    let mut words = station.drain_words();
    words.sort();
    assert_eq!(
        words,
        [
            "frame 0 1",
            "frame 1 1",
            "stray t/a/b/c/observation 1",
            "stray t/a/last 1",
            "stray t/a/x 1",
            "stray t/x/b/observation 1",
        ]
    );
}

#[test]
fn publication_to_many_keys_is_one_stray() {
    let endpoint = free_endpoint();
    let routes = vec![route("t/a"), route("t/b"), route("u/c")];
    let mut station = Station::open(&listening(&endpoint), routes, &["u/*/observation"]);
    let robot = robot(&endpoint);
    publish(&robot, "*/*/observation", b"all");
    publish(&robot, "t/b/observation", b"last");
    station.await_wakes(2);
    assert_eq!(station.drain_words(), ["frame 1 last", "stray */*/observation all"]);
}

#[test]
fn own_responses_do_not_come_back() {
    let endpoint = free_endpoint();
    let mut station = Station::open(&listening(&endpoint), vec![route("t/arm")], &["t/**"]);
    let robot = robot(&endpoint);
    station.link.respond(zenoh_link::RouteId::new(0), b"act").unwrap();
    station.link.respond_stray("t/b/observation", b"no").unwrap();
    publish(&robot, "t/arm/observation", b"last");
    station.await_wakes(1);
    assert_eq!(station.drain_words(), ["frame 0 last"]);
}
