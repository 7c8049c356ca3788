//! What a command printed, and how it ended.

use std::process::Output;

/// Of one that has ended.
#[derive(Debug)]
#[allow(missing_docs, reason = "a process's own terms")]
pub struct Printed {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}
