//! The group of tests that need a GPU, run by cargo as anybody would.

use std::fs;
use std::path::Path;
use std::process::Command;

use miette::{IntoDiagnostic, Result, WrapErr};
use serde::Serialize;

/// What came of the group.
#[derive(Debug, Serialize)]
pub(crate) struct Tests {
    pub(crate) good: bool,
    /// What was not judged, and why.
    pub(crate) skipped: Vec<String>,
    /// The runner's last line, and of a failure what it said.
    pub(crate) said: Vec<String>,
}

/// How much of a failure is kept.
const LINES: usize = 60;

/// Runs it with this library.
pub(crate) fn run(root: &Path, library: &Path) -> Result<Tests> {
    let skips = root.join("target/gpu-proof.skips");
    let _ = fs::remove_file(&skips);
    // As `make test` builds them: another selection of packages would compile zenoh once more.
    let done = Command::new("cargo")
        .args(["test", "--release", "--locked", "--workspace", "--test", "gpu"])
        .current_dir(root)
        .env("GENBA_SKIPS", &skips)
        .env("GENBA_GPU_LIBRARY", library)
        .output()
        .into_diagnostic()
        .wrap_err("cannot run cargo, which the group of tests takes; leave it out with --without-tests")?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let skipped: Vec<_> = fs::read_to_string(&skips).unwrap_or_default().lines().map(str::to_owned).collect();
    let _ = fs::remove_file(&skips);
    let said = if done.status.success() {
        text.lines().filter(|line| line.starts_with("test result: ")).map(str::to_owned).collect()
    } else {
        let all: Vec<_> =
            text.lines().map(str::to_owned).chain([String::from_utf8_lossy(&done.stderr).into_owned()]).collect();
        all[all.len().saturating_sub(LINES)..].to_vec()
    };
    Ok(Tests { good: done.status.success(), skipped, said })
}
