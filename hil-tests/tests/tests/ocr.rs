//! PP-OCRv6 as it is: a box that has no robots reads labels for a client, Japanese included, beside one that has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{BoxConfig, Controller, Genba, Watched, command, eventually, free_endpoint, judge, repository};

/// A box for results: two models, a worker, two tasks with one client each. Its process ends with it.
struct Reader {
    folder: TempDir,
    endpoint: String,
    child: Child,
}

impl Reader {
    fn start(robots: &str) -> Self {
        let (folder, endpoint) = (TempDir::new().expect("a temporary folder can be made"), free_endpoint());
        python(&["models", &folder.path().display().to_string()]);
        fs::write(folder.path().join("box.toml"), text(&endpoint, robots)).expect("the folder can be written");
        let log = fs::File::create(folder.path().join("log")).expect("the folder can be written");
        let mut command = command();
        command.arg("run").arg("--config").arg(folder.path().join("box.toml")).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("genba can be started");
        Self { folder, endpoint, child }
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("box.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("there is one")
    }

    fn asked(&self, arguments: &[&str]) -> Option<Value> {
        let output = command().args(arguments).arg("--json").arg("--config").arg(self.config()).output();
        serde_json::from_slice(&output.expect("genba runs").stdout).ok()
    }

    /// Its client's key for a task, and the task's contract.
    fn question(&self, task: usize) -> String {
        let found = self.asked(&["check"]).expect("check prints JSON");
        let task = &found["tasks"][task];
        let key = task["clients"][0]["infer_key"].as_str().expect("it has a client");
        let contract = task["contract"].as_str().expect("it has a contract");
        format!("{}={contract}", key.strip_suffix("/infer").expect("its key ends so"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(endpoint: &str, robots: &str) -> String {
    format!(
        r#"
[box]
name = "reader"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["{endpoint}"]

[quarantine]
hang_ms = 10000

[[model]]
name = "det"
folder = "det"

[[model]]
name = "rec"
folder = "rec"

[[worker]]
name = "ocr"

[[task]]
name = "detect"
model = "det"
deadline_us = 8000000
{robots}clients = [{{ name = "reader", min_period_us = 1000, queue = 2 }}]

[[task]]
name = "recognise"
model = "rec"
deadline_us = 8000000
clients = [{{ name = "reader", min_period_us = 1000, queue = 2 }}]
"#
    )
}

/// What ocr.py prints.
fn python(arguments: &[&str]) -> String {
    let python = std::env::var_os("GENBA_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| repository().join("native/venv/bin/python3"));
    let script = repository().join("hil-tests/tests/python/ocr.py");
    let output = Command::new(python).arg(script).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the interpreter runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

#[test]
fn labels_are_read_while_robots_are_answered_in_time() {
    let mut reader = Reader::start("");
    let ready = || {
        let ended = reader.child.try_wait().expect("a child can be waited for");
        assert!(ended.is_none(), "the box ended: {}", reader.log());
        Path::new(&reader.folder.path().join("status.sock")).exists().then_some(())
    };
    eventually("the box serves", ready);
    eventually("it answers", || reader.asked(&["status"]));
    let (detect, recognise) = (reader.question(0), reader.question(1));
    let genba = Genba::start(&BoxConfig::default());
    let controller = Controller::connect(&genba, "steady");
    let watched = Watched::beside(&genba.status());
    let working = controller.start();
    let said = python(&["read", &reader.endpoint, &detect, &recognise, "4"]);
    working.await_more(100);
    let (account, _controller) = working.stop();
    let machine = watched.stop();
    print!("{said}");
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split('\t').collect()).collect();
    let texts: Vec<&Vec<&str>> = lines.iter().filter(|line| line.len() == 3).collect();
    assert_eq!((texts.len(), lines.len()), (16, 18), "four labels of four lines, then two times: {said}");
    assert!(texts.iter().all(|line| line[2] == "same"), "{said}");
    let full_width = |letter: char| ('０'..='９').contains(&letter);
    assert!(texts.iter().any(|line| line[1].contains(full_width)), "not one full-width digit: {said}");
    let status = reader.asked(&["status"]).expect("status prints JSON");
    assert_eq!(status["requests"]["answered"].as_u64(), Some(20), "{}", reader.log());
    println!("{} observations beside it", account.sent());
    let lost = account.lost(&genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle("a box that reads labels beside");
}

#[test]
fn results_are_not_served_beside_robots() {
    let mut reader =
        Reader::start("min_period_us = 1000\narrival_jitter_us = 0\nhold_ms = 1\nrobots = [{ name = \"arm\" }]\n");
    let ended = reader.child.wait().expect("a child can be waited for");
    assert!(!ended.success());
    let said = reader.log().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the model has no action, and this box answers robots"), "{said}");
    assert!(said.contains("a second `genba run`"), "{said}");
}
