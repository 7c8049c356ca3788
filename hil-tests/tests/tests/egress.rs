//! What leaves a box is what its journal says, by a capture of every frame in a network namespace; the short form of
//! `make prove-egress`, with all that it plants to show that it can fail.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use tests::{command, repository, skip};

/// The exit code where nothing can be proven.
const SKIPPED: i32 = 3;

#[test]
fn the_wire_agrees_with_the_ledger() {
    let folder = repository().join("hil-tests/tests/python/egress");
    let json = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let output = Command::new("python3")
        .arg(folder.join("prove.py"))
        .args(["--short", "--genba"])
        .arg(command().get_program())
        .arg("--json")
        .arg(json.path())
        .stdin(Stdio::null())
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    if output.status.code() == Some(SKIPPED) {
        skip(&format!("egress: {}", said.lines().last().unwrap_or_default()));
        return;
    }
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(holds(json.path()), "its figures say otherwise than its exit code");
}

fn holds(json: &Path) -> bool {
    let text = std::fs::read_to_string(json).expect("it writes its figures");
    let found: serde_json::Value = serde_json::from_str(&text).expect("they are JSON");
    let controls = found["controls"].as_array().expect("it plants something");
    found["holds"] == true && !controls.is_empty() && controls.iter().all(|control| control["found"] == true)
}
