//! PP-OCRv6 as it is: a box that has no robots reads labels for a client, Japanese included, beside one that has.

use std::fs;

use tempfile::TempDir;
use tests::{BoxConfig, Controller, Genba, Reader, Watched, free_endpoint, judge, ocr};

/// A box for results: two models, a worker, two tasks with one client each; and its endpoint.
fn reader(robots: &str) -> (Reader, String) {
    let (folder, endpoint) = (TempDir::new().expect("a temporary folder can be made"), free_endpoint());
    let _ = ocr(&["models", &folder.path().display().to_string()]);
    fs::write(folder.path().join("box.toml"), text(&endpoint, robots)).expect("the folder can be written");
    (Reader::start(folder), endpoint)
}

fn text(endpoint: &str, robots: &str) -> String {
    format!(
        r#"
[box]
name = "reader"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["{endpoint}"]

[quarantine]
hang_ms = 10000

[[model]]
name = "det"
folder = "det"

[[model]]
name = "rec"
folder = "rec"

[[worker]]
name = "ocr"

[[task]]
name = "detect"
model = "det"
deadline_us = 8000000
{robots}clients = [{{ name = "reader", min_period_us = 1000, queue = 2 }}]

[[task]]
name = "recognise"
model = "rec"
deadline_us = 8000000
clients = [{{ name = "reader", min_period_us = 1000, queue = 2 }}]
"#
    )
}

#[test]
fn labels_are_read_while_robots_are_answered_in_time() {
    let (mut reader, endpoint) = reader("");
    reader.await_serving();
    let (detect, recognise) = (reader.question(0), reader.question(1));
    let genba = Genba::start(&BoxConfig::default());
    let controller = Controller::connect(&genba, "steady");
    let watched = Watched::beside(&genba.status());
    let working = controller.start();
    let said = ocr(&["read", &endpoint, &detect, &recognise, "4"]);
    working.await_more(100);
    let (account, _controller) = working.stop();
    let machine = watched.stop();
    print!("{said}");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
    let texts: Vec<&Vec<&str>> = lines.iter().filter(|line| line.len() == 3).collect();
    assert_eq!((texts.len(), lines.len()), (16, 18), "four labels of four lines, then two times: {said}");
    assert!(texts.iter().all(|line| line[2] == "same"), "{said}");
    let full_width = |letter: char| ('０'..='９').contains(&letter);
    assert!(texts.iter().any(|line| line[1].contains(full_width)), "not one full-width digit: {said}");
    let status = reader.asked(&["status"]).expect("status prints JSON");
    assert_eq!(status["requests"]["answered"].as_u64(), Some(20), "{}", reader.log());
    println!("{} observations beside it", account.sent());
    let lost = account.lost(&genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle("a box that reads labels beside");
}

#[test]
fn results_are_not_served_beside_robots() {
    let robots = "min_period_us = 1000\narrival_jitter_us = 0\nhold_ms = 1\nrobots = [{ name = \"arm\" }]\n";
    let (mut reader, _) = reader(robots);
    assert!(!reader.ended().success());
    let said = reader.log().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the model has no action, and this box answers robots"), "{said}");
    assert!(said.contains("a second `genba run`"), "{said}");
}
