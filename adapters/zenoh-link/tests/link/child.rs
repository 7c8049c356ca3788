//! A part that another process plays: this test binary, started again.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStdin, Command, Stdio};

use crate::{alive, stall};

const PART: &str = "ZENOH_LINK_TEST_PART";
const ENDPOINT: &str = "ZENOH_LINK_TEST_ENDPOINT";

/// Plays the part that the environment asks for; in a plain test run there is none.
#[test]
fn part_in_another_test() {
    let (Ok(part), Ok(endpoint)) = (std::env::var(PART), std::env::var(ENDPOINT)) else {
        return;
    };
    match part.as_str() {
        "alive" => alive::live(&endpoint),
        "reader" => stall::read(&endpoint, true),
        "stoppable reader" => stall::read(&endpoint, false),
        other => panic!("no part {other}"),
    }
}

/// This test binary with only `test` selected.
pub(crate) fn rerun(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command
}

/// Blocks until the parent closes this process' input, or ends.
pub(crate) fn await_end_of_input() {
    let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
}

/// A process that plays a part. It ends with this value.
pub(crate) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    lines: BufReader<std::process::ChildStdout>,
}

impl Child {
    pub(crate) fn start(part: &str, endpoint: &str) -> Self {
        let mut process = rerun("child::part_in_another_test")
            .env(PART, part)
            .env_remove("ZENOH_RUNTIME")
            .env(ENDPOINT, endpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, lines }
    }

    /// Waits for a line that begins with `word` and gives what follows.
    pub(crate) fn hear(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the child ended");
            // The test harness writes its own words in front of the first line.
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
