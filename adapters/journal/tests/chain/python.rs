//! A verifier that shares nothing with ours comes to the same verdict.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use journal::chain::Journal;

use crate::made::{files, lines, policy, settings, small, verdict};

fn verify_py(folder: &Path, anchored: bool) -> Output {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/verify.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(folder.join("box.key.pub")).args(files(folder));
    if anchored {
        command.arg("--anchor").arg(folder.join("anchor.jsonl"));
    }
    command.output().expect("python3 runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn another_program_finds_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    small(folder.path());
    let found = verdict(folder.path(), true);
    let output = verify_py(folder.path(), true);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said(&output), found.last.to_string());

    // A signature by somebody else, with hashes that fit.
    let all = lines(folder.path());
    let head = all.iter().position(|line| line.contains("\"head\"")).expect("a head");
    let at = all[head].find("\"signature\":\"").expect("a signature") + 13;
    let mut forged = all[head].clone();
    let other = if &forged[at..=at] == "0" { "1" } else { "0" };
    forged.replace_range(at..=at, other);
    let (hashed, _) = forged.rsplit_once(",\"hash\":\"").expect("a hash");
    let forged = format!("{hashed},\"hash\":\"{}\"}}\n", journal::chain::Hash::of(hashed.as_bytes()));
    let file = &files(folder.path())[0];
    let kept = fs::read_to_string(file).expect("the file");
    fs::write(file, all[..head].concat() + &forged).expect("the file");
    let output = verify_py(folder.path(), false);
    assert!(!output.status.success() && said(&output).contains("signature"), "{output:?}");

    // A byte, and a cut.
    fs::write(file, kept.replacen("b00t", "boot", 1)).expect("the file");
    assert!(!verify_py(folder.path(), false).status.success());
    fs::write(file, all[..head].concat()).expect("the file");
    for later in &files(folder.path())[1..] {
        fs::remove_file(later).expect("removed");
    }
    assert!(verify_py(folder.path(), false).status.success(), "without an anchor a cut cannot be known");
    let output = verify_py(folder.path(), true);
    assert!(!output.status.success() && said(&output).starts_with("cut after"), "{output:?}");
}

#[test]
fn another_program_reads_a_chain_that_was_cut_and_went_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = Journal::open(settings(folder.path())).expect("open");
    journal.commit_policy(policy()).expect("a policy");
    drop(journal);
    let last = files(folder.path()).pop().expect("a file");
    let whole = fs::read_to_string(&last).expect("the file");
    fs::write(&last, whole + "{\"n\":").expect("the file");
    assert!(!verify_py(folder.path(), true).status.success());
    let (journal, _) = Journal::open(settings(folder.path())).expect("open");
    drop(journal);
    let output = verify_py(folder.path(), true);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said(&output), verdict(folder.path(), true).last.to_string());
}
