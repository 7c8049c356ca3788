//! The program as its user sees it, where it cannot begin.

use std::process::{Command, Output};

#[test]
fn a_config_that_is_not_there_is_named() {
    let output = demo(&["--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("nowhere.toml"), "{}", said(&output));
}

#[test]
fn a_box_that_is_not_there_is_named() {
    let output = demo(&["--config", &config(), "--genba", "nowhere/genba"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("cannot start nowhere/genba"), "{}", said(&output));
}

#[test]
fn a_box_that_ends_at_once_is_quoted() {
    let output = demo(&["--config", &config(), "--genba", "/bin/echo"]);
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("the box ended with exit status: 0"), "{said}");
    assert!(said.contains("run --config"), "{said}");
}

#[test]
fn too_short_a_run_is_refused() {
    let output = demo(&["--seconds", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--seconds"), "{}", said(&output));
}

#[test]
fn a_soak_that_cannot_begin_says_why() {
    let output = rig("soak", &["--minutes", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--minutes"), "{}", said(&output));
    let output = rig("soak", &["--short", "--config", "nowhere.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("nowhere.toml"), "{}", said(&output));
    let soak = format!("{}/soak.toml", env!("CARGO_MANIFEST_DIR"));
    let output = rig("soak", &["--short", "--config", &soak, "--genba", "/bin/echo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("the box ended with exit status: 0"), "{}", said(&output));
}

fn demo(arguments: &[&str]) -> Output {
    rig("demo", arguments)
}

fn rig(command: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_genba-rig"));
    program.arg(command).args(arguments).output().expect("the program was built")
}

fn config() -> String {
    format!("{}/../../runtime/daemon/config/demo.toml", env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
