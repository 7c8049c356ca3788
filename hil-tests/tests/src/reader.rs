//! A box for clients alone: a child process with a folder and a log of its own, asked as an operator asks it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::genba::{command, eventually, repository};

/// A box without robots. Its process ends with it.
pub struct Reader {
    folder: TempDir,
    child: Child,
}

impl Reader {
    /// Starts the box of the folder's `box.toml`, whose status socket is `status.sock` there.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(folder: TempDir) -> Self {
        let log = fs::File::create(folder.path().join("log")).expect("the folder can be written");
        let mut command = command();
        command.arg("run").arg("--config").arg(folder.path().join("box.toml")).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("genba can be started");
        Self { folder, child }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("box.toml")
    }

    /// What it has logged.
    ///
    /// # Panics
    /// If its log is gone.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("there is one")
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    /// Waits until it answers an operator.
    ///
    /// # Panics
    /// If it ends, or does not.
    pub fn await_serving(&mut self) {
        let socket = self.folder.path().join("status.sock");
        eventually("the box serves", || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the box ended: {}", self.log());
            socket.exists().then_some(())
        });
        eventually("it answers", || self.asked(&["status"]));
    }

    /// What `genba` says with these arguments, this config and `--json`.
    ///
    /// # Panics
    /// If it cannot be run.
    #[must_use]
    pub fn asked(&self, arguments: &[&str]) -> Option<Value> {
        let output = command().args(arguments).arg("--json").arg("--config").arg(self.config()).output();
        serde_json::from_slice(&output.expect("genba runs").stdout).ok()
    }

    /// Its client's key for a task, and the task's contract, as the tests' Python clients take them.
    ///
    /// # Panics
    /// If the task has no client.
    #[must_use]
    pub fn question(&self, task: usize) -> String {
        let found = self.asked(&["check"]).expect("check prints JSON");
        let task = &found["tasks"][task];
        let key = task["clients"][0]["infer_key"].as_str().expect("it has a client");
        let contract = task["contract"].as_str().expect("it has a contract");
        format!("{}={contract}", key.strip_suffix("/infer").expect("its key ends so"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `ocr.py` prints with these arguments; it runs where the other tests' packages are.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn ocr(arguments: &[&str]) -> String {
    let python = std::env::var_os("GENBA_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| repository().join("native/venv/bin/python3"));
    let script = repository().join("hil-tests/tests/python/ocr.py");
    let output = Command::new(python).arg(script).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the interpreter runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}
