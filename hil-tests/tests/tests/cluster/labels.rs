//! PP-OCRv6 on a cluster: a client of the box has labels read, Japanese included, and the box runs neither of the models.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Authority, Identity, Server, command, eventually, free_endpoint, interpreter, journalled, repository};

const TRITON: &str = "spiffe://factory.jp/gpu/triton";

/// The box. Its process ends with it.
struct Reader {
    folder: TempDir,
    endpoint: String,
    child: Child,
}

impl Reader {
    fn start(folder: TempDir, server: &Server, jurisdiction: &Authority, client: &Identity) -> Self {
        let endpoint = free_endpoint();
        let at = |name: &str| folder.path().join(name);
        let text = text(&endpoint, &server.address().to_string(), jurisdiction, client);
        fs::write(at("box.toml"), text).expect("the folder can be written");
        fs::write(at("policy.toml"), POLICY).expect("the folder can be written");
        let log = fs::File::create(at("log")).expect("the folder can be written");
        let mut command = command();
        command.arg("run").arg("--config").arg(at("box.toml")).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("genba can be started");
        Self { folder, endpoint, child }
    }

    fn await_serving(&mut self) {
        let socket = self.folder.path().join("status.sock");
        eventually("the box serves", || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the box ended: {}", self.log());
            socket.exists().then_some(())
        });
        eventually("it answers", || self.asked(&["status"]));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("there is one")
    }

    fn asked(&self, arguments: &[&str]) -> Option<Value> {
        let config = self.folder.path().join("box.toml");
        let output = command().args(arguments).arg("--json").arg("--config").arg(config).output();
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
        // Neither fails but where the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What ocr.py prints; it runs where the other tests' packages are.
fn python(arguments: &[&str]) -> String {
    let python = std::env::var_os("GENBA_TEST_PYTHON").map(PathBuf::from);
    let python = python.unwrap_or_else(|| repository().join("native/venv/bin/python3"));
    let script = repository().join("hil-tests/tests/python/ocr.py");
    let output = Command::new(python).arg(script).args(arguments).stdin(Stdio::null()).output();
    let output = output.expect("the interpreter runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

fn is_text(line: &str) -> bool {
    line.split('\t').count() == 3
}

#[test]
fn labels_are_read_by_the_cluster() {
    let Some(interpreter) = interpreter("labels read by a cluster") else { return };
    let folder = TempDir::new().expect("a temporary folder can be made");
    python(&["models", &folder.path().display().to_string()]);
    let model = |name: &str| folder.path().join(name).join("model.onnx").display().to_string();
    let (detect, recognise) = (model("det"), model("rec"));
    let jurisdiction = Authority::new("jp");
    let identity = jurisdiction.addressed_server(TRITON);
    let client = jurisdiction.client("spiffe://factory.jp/box/reader");
    let models = [("det", detect.as_str()), ("rec", recognise.as_str())];
    let mut server = Server::triton(&interpreter, &identity, &jurisdiction, &models);
    server.await_ready(&interpreter, Some(&client));
    let mut reader = Reader::start(folder, &server, &jurisdiction, &client);
    reader.await_serving();
    let (detect, recognise) = (reader.question(0), reader.question(1));
    let said = python(&["read", &reader.endpoint, &detect, &recognise, "2"]);
    print!("{said}");
    let lines: Vec<&str> = said.lines().filter(|line| is_text(line)).collect();
    assert_eq!(lines.len(), 8, "two labels of four lines: {said}");
    assert!(lines.iter().all(|line| line.ends_with("\tsame")), "{said}");
    // Two pictures were looked at, eight lines read; probes beside them have pictures of zeros.
    assert!(server.received("det").len() >= 2, "{}", reader.log());
    assert_eq!(server.received("rec").len(), 8, "{}", reader.log());
    let status = reader.asked(&["status"]).expect("status prints JSON");
    let line = &status["hand_offs"]["clusters"][0];
    assert_eq!((line["requested"].as_u64(), line["delivered"].as_u64()), (Some(10), Some(10)), "{line}");
    let attempts = journalled(reader.folder.path());
    assert_eq!(attempts.iter().filter(|attempt| attempt.task == "recognise").count(), 8, "{attempts:?}");
}

fn text(endpoint: &str, server: &str, jurisdiction: &Authority, client: &Identity) -> String {
    let (ca, certificate, key) = (jurisdiction.certificate(), client.certificate.display(), client.key.display());
    let ca = ca.display();
    let task = |name: &str, model: &str| {
        format!(
            "[[task]]\nname = \"{name}\"\nmodel = \"{model}\"\ndeadline_us = 8000000\n\
             clients = [{{ name = \"reader\", min_period_us = 1000, queue = 2 }}]\n\
             data = {{ x = \"image/trade-secret\" }}\n"
        )
    };
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

[journal]
folder = "journal"

[residency]
policy = "policy.toml"

[[model]]
name = "det"
folder = "det"

[[model]]
name = "rec"
folder = "rec"

[[cluster]]
name = "tokyo"
jurisdiction = "jp"
endpoints = ["{server}"]
models = ["det", "rec"]
ca = "{ca}"
certificate = "{certificate}"
key = "{key}"
spiffe_ids = ["{TRITON}"]
probe = {{ model = "det", every_ms = 5000, timeout_ms = 4000 }}

{}{}"#,
        task("detect", "det"),
        task("recognise", "rec"),
    )
}

/// What may leave: pictures and probes, to clusters at home.
const POLICY: &str = r#"version = 1
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["tokyo"]

[[rule]]
id = "probes"
kinds = ["synthetic"]
sensitivities = ["public"]
to = ["home"]
decision = "allow"
why = "made-up data"

[[rule]]
id = "labels"
kinds = ["image"]
sensitivities = ["trade-secret"]
to = ["home"]
decision = "allow"
why = "what a label says is read at home"
"#;
