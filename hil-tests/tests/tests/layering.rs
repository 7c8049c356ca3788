//! Which crate may use which, what the sources of control must not name, and what the shipped binary must not hold.

use std::{fs, path::Path, process::Command};

use cargo_metadata::MetadataCommand;
use serde_json::{Value, json};
use tests::{Source, Table, command, differences, repository};

fn declared() -> Table {
    let page = fs::read_to_string(repository().join("runtime/ARCHITECTURE.md"));
    Table::read(&page.expect("runtime/ARCHITECTURE.md can be read"))
}

fn metadata() -> String {
    let mut command = MetadataCommand::new();
    command.manifest_path(repository().join("Cargo.toml")).no_deps().other_options(["--offline".to_owned()]);
    let output = command.cargo_command().output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn found(metadata: &str) -> Table {
    Table::of(&MetadataCommand::parse(metadata).expect("cargo's own metadata can be read"))
}

#[test]
fn each_crate_uses_what_the_architecture_page_says() {
    let differences = differences(&declared(), &found(&metadata()));
    assert!(differences.is_empty(), "runtime/ARCHITECTURE.md, Layering:\n{}", differences.join("\n"));
}

/// The negative control: each of these edges, added to what cargo says, is found.
#[test]
fn a_forbidden_edge_is_found() {
    let metadata = metadata();
    for (user, used) in
        [("engine", "zenoh"), ("zenoh-link", "onnx-model"), ("genba-message", "engine"), ("genba", "tokio")]
    {
        let mut doctored: Value = serde_json::from_str(&metadata).expect("metadata is JSON");
        let packages = doctored["packages"].as_array_mut().expect("metadata has packages");
        let package = packages.iter_mut().find(|package| package["name"] == user).expect("the crate is there");
        let dependencies = package["dependencies"].as_array_mut().expect("a package has dependencies");
        dependencies.push(json!({
            "name": used, "source": null, "req": "*", "kind": null, "rename": null, "optional": false,
            "uses_default_features": true, "features": [], "target": null, "registry": null
        }));
        let differences = differences(&declared(), &found(&doctored.to_string()));
        let expected = format!("{user} uses {used} and may not");
        assert!(differences.contains(&expected), "{expected}: not in {differences:?}");
    }
}

/// What runs on a thread that keeps a deadline: the ways to the engine, its turn, what it performs, and what that uses.
const OF_CONTROL: [&str; 10] =
    ["door", "lock", "turn", "perform", "worker", "requests", "samples", "state", "joined", "snapshot"];

/// Who waits for a disk, for a network, or for whoever holds a lock. The lock before the engine is `lock.rs`, its own.
const WAITS: [&str; 16] = [
    "journal",
    "cluster_link",
    "hand_off",
    "durable",
    "residency",
    "lane",
    "tokio",
    "fs",
    "net",
    "File",
    "OpenOptions",
    "Mutex",
    "RwLock",
    "Condvar",
    "Barrier",
    "mpsc",
];

/// What else those may use: data, time, counts, and what is reported through queues.
const BESIDE_CONTROL: [&str; 8] =
    ["allocation", "cameras", "clock", "config", "plan", "providers", "realtime", "reports"];

/// Neither journal, spool, cluster nor a lock of theirs is named where control runs: a lane brings what came of them.
#[test]
fn no_source_of_control_names_what_waits() {
    for module in OF_CONTROL {
        let words = Source::of_daemon(module).words();
        assert!(words.contains("fn"), "{module}.rs was read");
        let waits: Vec<_> = WAITS.iter().filter(|wait| words.contains(**wait)).collect();
        // A worker that starts tells that it is ready by a channel, before it has an order.
        let waits: Vec<_> = waits.into_iter().filter(|wait| (module, **wait) != ("worker", "mpsc")).collect();
        assert!(waits.is_empty(), "{module}.rs names {waits:?}");
    }
    let lane = Source::of_daemon("lane").words();
    assert!(lane.contains("cluster_link") && lane.contains("hand_off"), "the negative control");
}

/// A module that control begins to use is looked at by the test above, or is one of those that hold nothing that waits.
#[test]
fn control_uses_no_other_module_of_the_daemon() {
    let others = |module: &str| -> Vec<String> {
        let known = |name: &&str| OF_CONTROL.contains(name) || BESIDE_CONTROL.contains(name);
        let used = Source::of_daemon(module).modules();
        used.iter().filter(|name| !known(&name.as_str())).cloned().collect()
    };
    for module in OF_CONTROL {
        assert_eq!(others(module), [""; 0], "{module}.rs");
    }
    assert_eq!(others("lane"), ["hand_off"], "the negative control");
}

/// Some of the engine's deliberate faults, named as a derived `Debug` leaves them in a binary.
#[derive(Debug, Clone, Copy)]
enum Planted {
    SendLateResult,
    NoFallbackWhileRunning,
    SupersedeKeepsOwnDeadline,
    StoreIntoRunningSlot,
}

const PLANTED: [Planted; 4] = [
    Planted::SendLateResult,
    Planted::NoFallbackWhileRunning,
    Planted::SupersedeKeepsOwnDeadline,
    Planted::StoreIntoRunningSlot,
];

#[test]
fn the_shipped_binary_names_no_fault() {
    let binary = command().get_program().to_owned();
    assert_eq!(names_in(Path::new(&binary)), [""; 0]);
    // The negative control: this test's own binary names them all.
    assert_eq!(names_in(&std::env::current_exe().expect("a test has a path")).len(), PLANTED.len());
    // What names a shipped binary does hold, to see that it was read: its reasons.
    let bytes = fs::read(binary).expect("the binary can be read");
    assert!(holds(&bytes, "expired-on-arrival"));
}

#[test]
fn the_shipped_binary_is_built_without_faults() {
    let of = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--locked", "--edges", "normal", "--format", "{p} [{f}]", "--package"]);
        let output = cargo.args(arguments).current_dir(repository()).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
        let engine = text.lines().find(|line| line.contains("engine v")).expect("both use the engine").to_owned();
        engine.contains("[faults]")
    };
    assert!(!of(&["genba"]), "the engine of the shipped binary has the feature `faults`");
    assert!(of(&["simulator", "--features", "faults"]), "the negative control");
}

fn names_in(binary: &Path) -> Vec<String> {
    let bytes = fs::read(binary).expect("the binary can be read");
    PLANTED.iter().map(|fault| format!("{fault:?}")).filter(|name| holds(&bytes, name)).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    let first = text.as_bytes()[0];
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
    starts.map(|at| &bytes[at..]).any(|rest| rest.starts_with(text.as_bytes()))
}
