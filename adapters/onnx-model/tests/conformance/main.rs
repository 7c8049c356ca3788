//! Every node test of the `onnx` wheel that `make test` installs, run through the adapter's own sessions.
//!
//! `skips.txt` lists each test that is not passed, with the reason: `NAME<tab>KIND: what a person wants to
//! know`. A test that is not listed must pass; one that is listed must fail in that kind, so that neither a regression
//! nor a repair goes unnoticed. What was found is written beside the build, in the list's own form.

mod compare;
mod proto;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use onnx_model::{Graph, GraphError, Library, Provider};

/// The node tests of onnx 1.19.1.
const TESTS: usize = 1615;

#[test]
fn every_node_test_passes_or_is_listed_with_its_reason() {
    let listed: BTreeMap<_, _> = include_str!("skips.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("{line:?} has no reason")))
        .collect();
    let library = Library::find(None).unwrap_or_else(|error| panic!("{error}"));
    let library = Library::load(&library).unwrap_or_else(|error| panic!("{error}"));
    let (mut found, mut wrong, mut count) = (String::new(), Vec::new(), 0);
    let mut kinds = BTreeMap::new();
    for folder in folders() {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("the names are ASCII").to_owned();
        let outcome = run(&library, &name, &folder);
        count += 1;
        if let Err(reason) = &outcome {
            let first = reason.lines().next().unwrap_or_default();
            writeln!(found, "{name}\t{first}").expect("writing to a String cannot fail");
            *kinds.entry(kind(reason).to_owned()).or_insert(0) += 1;
        }
        wrong.extend(verdict(listed.get(name.as_str()).copied(), &outcome).map(|what| format!("{name}: {what}")));
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skips.txt");
    fs::write(&path, found).expect("the build's own folder can be written");
    let skipped: usize = kinds.values().sum();
    println!("{} passed, {skipped} skipped: {kinds:?}", count - skipped);
    assert_eq!(count, TESTS, "the wheel's tests are all there");
    assert!(wrong.is_empty(), "{} differ from the list:\n{}\nfound: {}", wrong.len(), wrong.join("\n"), path.display());
    assert_eq!(listed.len(), skipped, "the list names no test that the wheel does not hold");
}

/// What is wrong with an outcome beside the list; nothing if they agree.
fn verdict(listed: Option<&str>, outcome: &Result<(), String>) -> Option<String> {
    match (listed, outcome) {
        (None, Ok(())) => None,
        (None, Err(reason)) => Some(reason.clone()),
        (Some(listed), Ok(())) => Some(format!("it passes: take it off the list, which says {listed}")),
        (Some(listed), Err(reason)) if kind(listed) == kind(reason) => None,
        (Some(listed), Err(reason)) => Some(format!("{reason}; the list says {listed}")),
    }
}

fn kind(reason: &str) -> &str {
    reason.split(':').next().unwrap_or_default()
}

#[test]
fn neither_a_regression_nor_a_repair_goes_unnoticed() {
    let fails = |reason: &str| Err(reason.to_owned());
    assert_eq!((verdict(None, &Ok(())), verdict(Some("not run: a"), &fails("not run: b"))), (None, None));
    assert!(verdict(None, &fails("not run: it passed before")).is_some());
    assert!(verdict(Some("not run: it failed before"), &Ok(())).is_some());
    assert!(verdict(Some("not loaded: a"), &fails("other values: a")).is_some());
}

/// Passes, or says why not: a kind, a colon, and what a person wants to know.
fn run(library: &Library, name: &str, folder: &Path) -> Result<(), String> {
    let model = fs::read(folder.join("model.onnx")).map_err(|error| format!("unreadable: {error}"))?;
    let (inputs, outputs) = (proto::values(&model, 11)?, proto::values(&model, 12)?);
    for value in inputs.iter().chain(&outputs) {
        value.kind.clone()?;
    }
    let mut graph = Graph::load(library, name, &model, Provider::Cpu).map_err(|error| match error {
        GraphError::Refused(reason) => format!("refused: {reason}"),
        GraphError::Session { reason, .. } => format!("not loaded: {reason}"),
        GraphError::Panicked(panicked) => format!("panicked: {panicked}"),
    })?;
    let sets = (0..).map(|set| folder.join(format!("test_data_set_{set}"))).take_while(|set| set.is_dir());
    let mut ran = false;
    for set in sets {
        let tensor = |side: &str, place: usize| {
            let bytes =
                fs::read(set.join(format!("{side}_{place}.pb"))).map_err(|error| format!("unreadable: {error}"))?;
            proto::tensor(&bytes)
        };
        let given = inputs.iter().enumerate().map(|(place, value)| Ok((value.name.as_str(), tensor("input", place)?)));
        let given = given.collect::<Result<Vec<_>, String>>()?;
        let results = graph.run(&given).map_err(|error| format!("not run: {error}"))?;
        for (place, result) in results.iter().enumerate() {
            compare::close(result, &tensor("output", place)?)
                .map_err(|difference| format!("other values: {}: {difference}", outputs[place].name))?;
        }
        ran = true;
    }
    if ran { Ok(()) } else { Err("no data: nothing was compared".to_owned()) }
}

/// The tests' folders, where the packages of `requirements.txt` are installed.
fn folders() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("GENBA_TEST_PYTHON");
    let python = python.map_or_else(|| here.join("../../native/venv/bin/python3"), PathBuf::from);
    let script = "import importlib.util; print(importlib.util.find_spec('onnx').submodule_search_locations[0])";
    let asked = Command::new(&python).args(["-c", script]).output();
    let asked = asked.unwrap_or_else(|error| panic!("{}: {error}; `make test` installs it", python.display()));
    assert!(asked.status.success(), "{} has no onnx; `make test` installs it", python.display());
    let package = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim());
    let folder = package.join("backend/test/data/node");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("the folder can be listed").path()).collect();
    folders.sort();
    folders
}
