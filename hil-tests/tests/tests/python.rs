//! The short Python controller of the README, and the client of one-off requests, against a real box.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tests::{BoxConfig, Client, Genba, eventually, repository};

const OBSERVATIONS: u64 = 200;

#[test]
fn a_python_controller_is_answered() {
    let genba = Genba::start(&BoxConfig::default());

    let contract = contract(&genba, 0);
    let key = genba.site("steady").observation_key;
    let key = key.strip_suffix("/observation").expect("an observation's key ends so");

    let said = run("controller.py", [genba.endpoint(), key, &contract, &OBSERVATIONS.to_string()]);

    // Each line is an observation's answer, in order: `SEQUENCE action AGE us`, and six torques.
    let counts = genba.settled().of("steady");
    // What a busy machine makes the box miss is judged elsewhere; here it must understand each frame.
    assert_eq!(counts.refused, 0, "{counts:?}");
    let answers: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(!answers.is_empty(), "it heard nothing");
    let sequences: Vec<u64> = answers.iter().map(|words| words[0].parse().expect("a sequence")).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{said}");
    let actions = answers.iter().filter(|words| words[1] == "action" && words.len() == 10).count() as u64;
    assert!(actions > 0 && actions <= counts.model, "{actions} actions heard, {counts:?}");
    // A miss has no values.
    let answered = answers.iter().filter(|words| words.len() > 6);
    let values = answered.flat_map(|words| words.iter().skip(words.len() - 6));
    assert!(values.clone().all(|value| value.parse::<f32>().is_ok_and(|torque| torque.abs() <= 1.0)), "{said}");
}

#[test]
fn a_python_client_of_one_off_requests_is_answered() {
    const REQUESTS: u64 = 20;
    let client = Client { name: "inspection", min_period_us: 1_000, arrival_jitter_us: 1_000, queue: 4 };
    let genba = Genba::start(&BoxConfig { clients: vec![client], ..BoxConfig::default() });
    let (contract, key) = (contract(&genba, 1), "test/cell/inspection/inspect");
    let said = run("client.py", [genba.endpoint(), key, &contract, &REQUESTS.to_string()]);
    // Each line is a request's reply: `NUMBER result AGE us`, and six values.
    let replies: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(replies.len() as u64, REQUESTS, "{said}");
    for (number, words) in (1..).zip(&replies) {
        assert_eq!((words[0].parse(), words[1], words.len()), (Ok(number), "result", 10), "{said}");
    }
    assert_eq!(genba.settled().client("inspection").answered, REQUESTS);
    // Another contract than the task's, and who is no client.
    let refused = run("client.py", [genba.endpoint(), key, &"00".repeat(16), "1"]);
    assert_eq!(refused.trim(), "1 refusal E-203", "{refused}");
    let nobody = run("client.py", [genba.endpoint(), "test/cell/nobody/inspect", &contract, "1"]);
    assert_eq!(nobody.trim(), "1 dropped", "nobody serves that key");
}

#[test]
fn samples_of_a_python_sensor_are_taken() {
    const SAMPLES: u64 = 30;
    let inputs = "\n[[task.input]]\nname = \"camera\"\nmax_age_ms = 60000\nclock = \"synchronised\"\n";
    let model = "../hil-tests/tests/models/joined";
    let genba = Genba::start(&BoxConfig { model, inputs, ..BoxConfig::default() });
    let (contract, key) = (contract(&genba, 0), "test/cell/steady/track/input/camera");
    run("sensor.py", [genba.endpoint(), key, &contract, &SAMPLES.to_string()]);
    let input = eventually("the box has them", || {
        Some(genba.status().input("steady", "camera")).filter(|input| input.received == SAMPLES)
    });
    assert_eq!((input.refused, input.taken + input.passed_over), (0, SAMPLES), "{input:?}");
    // Another contract than the task's.
    run("sensor.py", [genba.endpoint(), key, &"00".repeat(16), "1"]);
    let input = eventually("it is refused", || {
        Some(genba.status().input("steady", "camera")).filter(|input| input.received > SAMPLES)
    });
    assert_eq!(input.reasons.get(&203), Some(&1), "{input:?}");
}

/// The digest that `genba check` prints for the task in this place.
fn contract(genba: &Genba, task: usize) -> String {
    let check = genba.ask(&["check", "--json"]);
    let check: Value = serde_json::from_slice(&check.stdout).expect("check prints JSON");
    check["tasks"][task]["contract"].as_str().expect("a task has a contract").to_owned()
}

/// What one of the programs beside this test prints.
fn run(program: &str, arguments: [&str; 4]) -> String {
    let python = std::env::var_os("GENBA_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| repository().join("native/venv/bin/python3"));
    assert!(python.is_file(), "there is no {}: run `make test`, which fetches it", python.display());
    let output = Command::new(python)
        .arg(repository().join("hil-tests/tests/python").join(program))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.lines().take(3).collect::<Vec<_>>().join("\n"));
    said
}
