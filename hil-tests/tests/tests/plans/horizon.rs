//! `genba check` beside a box that has measured its cluster: a plan that the next one cannot overtake is told.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixListener,
    process::Output,
    thread,
};

use serde_json::json;
use tempfile::TempDir;
use tests::{BoxConfig, command, free_endpoint, home_policy, insecure_section};

use crate::planner;

const CLUSTER: &str = "127.0.0.1:9";

/// What a box says of its cluster.
struct Measured {
    round_trips: u64,
    p999_us: Option<u64>,
}

/// A planner of 1.2 s on a cluster, and a box that answers for its status.
fn checked(measured: Option<&Measured>) -> (Option<i32>, String) {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let options =
        "plan = { interpolation = \"cubic\", blend_ms = 40 }\ndata = { observation = \"joint-state/internal\" }";
    let config = BoxConfig { task_options: options, ..planner() }.text(&free_endpoint());
    let cluster = insecure_section(&[CLUSTER.to_owned()], &["policy"], (500, 450));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("the folder can be written");
    write("box.toml", &(config + &cluster));
    write("policy.toml", &home_policy(&[("synthetic", "public"), ("joint-state", "internal")]));
    let running = measured.map(|Measured { round_trips, p999_us }| {
        let endpoint = json!({ "endpoint": CLUSTER, "round_trips": round_trips, "p999_us": p999_us });
        let status = json!({ "hand_offs": { "clusters": [{ "name": "tokyo", "endpoints": [endpoint] }] } });
        let listener = UnixListener::bind(folder.path().join("status.sock")).expect("the folder can be written");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("it is asked");
            stream.read_to_string(&mut String::new()).expect("a question");
            stream.write_all(status.to_string().as_bytes()).expect("it waits for the answer");
        })
    });
    let output = command().current_dir(folder.path()).args(["check", "--config", "box.toml"]).output();
    let Output { status, stdout, stderr, .. } = output.expect("genba can be run");
    if let Some(running) = running {
        running.join().expect("the box was asked, and answered");
    }
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

#[test]
fn a_horizon_that_is_shorter_than_the_measured_round_trip_a_period_and_the_blend_is_refused() {
    let measured = Measured { round_trips: 12_000, p999_us: Some(1_170_000) };
    let (code, said) = checked(Some(&measured));
    assert_eq!(code, Some(1), "{said}");
    let wanted = "plans     task track: 0.999 of the 12000 round trips to 127.0.0.1:9 of tokyo takes up to 1170";
    assert!(said.contains(wanted), "{said}");
    assert!(said.contains("bad       plans run out before the next ones come"), "{said}");
}

#[test]
fn one_that_is_longer_or_of_which_too_little_was_measured_is_not() {
    let enough = Measured { round_trips: 12_000, p999_us: Some(1_130_000) };
    let few = Measured { round_trips: 200, p999_us: None };
    for measured in [Some(&enough), Some(&few), None] {
        let (code, said) = checked(measured);
        assert_eq!(code, Some(0), "{said}");
        assert!(!said.contains("round trips to"), "{said}");
    }
}
