//! The contract's text, and that another language comes to the same digest.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use manifest::{Contract, ContractError, Manifest};

use crate::folder::{Folder, VALID, changed};

#[test]
fn the_text_holds_names_order_units_and_limits() {
    let contract = contract(VALID);
    assert_eq!(
        contract.text(),
        "genba-contract-v1\n\
         task\tpick\n\
         in\tshoulder/position\trad\n\
         in\telbow/position\t°\n\
         in\tload\t1\n\
         out\tshoulder/position\trad\t-1.5\t1.5\t100.0\n\
         out\telbow/position\t150 N.m\t-0.1\t1.0\t1e-5\n"
    );
}

#[test]
fn the_digest_moves_with_the_contract_and_with_nothing_else() {
    let digest = contract(VALID).digest();
    for (old, new) in [
        ("name = \"load\"", "name = \"payload\""),
        ("unit = \"°\"", "unit = \"rad\""),
        ("max = 1.5", "max = 1.25"),
        ("max_change_per_s = 100", "max_change_per_s = 101"),
    ] {
        assert_ne!(contract(&changed(old, new)).digest(), digest, "{new} is part of the contract");
    }
    for (old, new) in [("version = \"1.0.0\"", "version = \"2.0.0\""), ("rest = 0.25", "rest = 0.5")] {
        assert_eq!(contract(&changed(old, new)).digest(), digest, "{new} is the box's own affair");
    }
}

#[test]
fn a_task_name_that_would_make_the_text_ambiguous_is_refused() {
    let folder = Folder::with(VALID);
    let manifest = folder.load().expect("valid.toml is valid");
    for name in ["", "a\nin\tb", "a\tb"] {
        assert_eq!(Contract::new(name, &manifest), Err(ContractError::TaskName(name.to_owned())));
    }
}

#[test]
fn python_comes_to_the_same_digest() {
    // The numbers whose shortest form is easiest to get wrong: thresholds of the exponent, the
    // ends of the range, fractions that a 64-bit float writes longer.
    for limit in
        ["100", "0.1", "16777216", "1e15", "1e16", "1.5e16", "0.0001", "0.00009", "1.2345678e-7", "1e-45", "1.7e38"]
    {
        let toml = changed("max_change_per_s = 1e-5", &format!("max_change_per_s = {limit}"));
        let manifest = Folder::with(&toml).load().expect("the limit is positive and finite");
        let contract = Contract::new("pick", &manifest).expect("the task's name is printable");
        let expected = contract.digest().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
            hex
        });
        assert_eq!(python(&manifest), expected, "{limit}: {}", contract.text());
    }
}

fn contract(toml: &str) -> Contract {
    let manifest = Folder::with(toml).load().expect("the manifest is valid");
    Contract::new("pick", &manifest).expect("the task's name is printable")
}

fn python(manifest: &Manifest) -> String {
    let inputs: Vec<_> = manifest.input_elements().iter().map(|e| format!("[{:?}, {:?}]", e.name, e.unit)).collect();
    let outputs: Vec<_> = manifest
        .output_elements()
        .iter()
        .map(|e| {
            format!(
                "[{:?}, {:?}, {}, {}, {}]",
                e.name,
                e.unit,
                f64::from(e.min),
                f64::from(e.max),
                f64::from(e.max_change_per_s)
            )
        })
        .collect();
    let json =
        format!("{{\"task\": \"pick\", \"inputs\": [{}], \"outputs\": [{}]}}", inputs.join(","), outputs.join(","));

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifest/contract.py");
    let mut child = Command::new("python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to build genba and can be started");
    child.stdin.take().expect("stdin is a pipe").write_all(json.as_bytes()).expect("python reads its input");
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "contract.py failed");
    String::from_utf8(output.stdout).expect("a digest is ASCII").trim().to_owned()
}
