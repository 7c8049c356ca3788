//! The short Python controller of the README, against a real box.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;
use tests::{BoxConfig, Genba, repository};

const OBSERVATIONS: u64 = 200;

#[test]
fn a_python_controller_is_answered() {
    let python = std::env::var_os("GENBA_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| repository().join("native/venv/bin/python3"));
    assert!(python.is_file(), "there is no {}: run `make test`, which fetches it", python.display());
    let genba = Genba::start(&BoxConfig::default());

    let check = genba.ask(&["check", "--json"]);
    let check: Value = serde_json::from_slice(&check.stdout).expect("check prints JSON");
    let contract = check["tasks"][0]["contract"].as_str().expect("a task has a contract");
    let key = genba.site("steady").observation_key;
    let key = key.strip_suffix("/observation").expect("an observation's key ends so");

    let output = Command::new(python)
        .arg(repository().join("hil-tests/tests/python/controller.py"))
        .args([genba.endpoint(), key, contract, &OBSERVATIONS.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("the interpreter runs");
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaints}");
    println!("{}", said.lines().take(3).collect::<Vec<_>>().join("\n"));

    // Each line is an observation's answer, in order: `SEQUENCE action AGE us`, and six torques.
    let counts = genba.settled().of("steady");
    // What a busy machine makes the box miss is judged elsewhere; here it must understand each frame.
    assert_eq!(counts.refused, 0, "{counts:?}");
    let answers: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(!answers.is_empty(), "{complaints}");
    let sequences: Vec<u64> = answers.iter().map(|words| words[0].parse().expect("a sequence")).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{said}");
    let actions = answers.iter().filter(|words| words[1] == "action" && words.len() == 10).count() as u64;
    assert!(actions > 0 && actions <= counts.model, "{actions} actions heard, {counts:?}");
    let values = answers.iter().flat_map(|words| words.iter().skip(words.len() - 6));
    assert!(values.clone().all(|value| value.parse::<f32>().is_ok_and(|torque| torque.abs() <= 1.0)), "{said}");
}
