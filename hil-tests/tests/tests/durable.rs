//! Durable requests over real sockets, through kill -9 and a cut network: stored once, told so again, refused when there is
//! no room, and delivered in order to a real server when it can be reached. What a rule denies is a dead letter, which an
//! operator lists, retries and purges, whether the box runs or not.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
    process::{Child, Stdio},
    time::Duration,
};

use engine::{HandOffFailure, Reason};
use manifest::{Contract, Manifest};
use message::{
    Address, ContractDigest, InferBody, InferReply, InferRequest, InferResult, InferStored, Place, Stamp, put_floats,
};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    Dialect, PATIENCE, Printed, Server, Wire, command, eventually, free_endpoint, interpreter, journalled, repository,
};
use zenoh::{Wait, sample::Locality};

/// One client of a task whose model's cluster does not answer.
fn config(endpoint: &str, cluster: &str) -> String {
    format!(
        r#"[box]
name = "box"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["{endpoint}"]

[residency]
policy = "policy.toml"

[journal]
folder = "journal"

[spool]
folder = "spool"
max_requests = 3

[[model]]
name = "reader"
folder = "model"

[[cluster]]
name = "east"
jurisdiction = "jp"
endpoints = ["{cluster}"]
models = ["reader"]
insecure = true
probe = {{ model = "reader", every_ms = 300, timeout_ms = 250 }}

[[task]]
name = "labels"
model = "reader"
deadline_us = 2000000
durable = [{{ name = "line" }}]
data = {{ observation = "image/internal" }}
"#
    )
}

const POLICY: &str = r#"version = 1
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["east"]

[[rule]]
id = "labels"
kinds = ["image", "synthetic"]
sensitivities = ["internal", "public"]
to = ["home"]
decision = "allow"
why = "labels are read at home"
"#;

/// By which nothing may leave, not even a probe.
const DENIES: &str = r#"version = 1
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["east"]
"#;

/// A folder of its own, a client's session, and a box that can be killed.
struct Site {
    folder: TempDir,
    contract: ContractDigest,
    endpoint: String,
    child: Child,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the client is told.
#[derive(Debug, PartialEq)]
enum Told {
    Stored { position: u64, boot: u64 },
    Results { values: Vec<f32> },
    Refused { request: u64, reason: u16 },
}

impl Site {
    fn new(cluster: &str) -> Self {
        Self::under(POLICY, cluster)
    }

    fn under(policy: &str, cluster: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let model = results_model(&folder);
        let manifest = Manifest::load(&model).expect("the model is good");
        let contract = Contract::new("labels", &manifest).expect("the task's name is good");
        let endpoint = free_endpoint();
        fs::write(folder.path().join("box.toml"), config(&endpoint, cluster)).expect("the folder can be written");
        fs::write(folder.path().join("policy.toml"), policy).expect("the folder can be written");
        let child = spawn(&folder);
        Self { folder, contract: ContractDigest::new(contract.digest()), endpoint, child }
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
        self.child = spawn(&self.folder);
    }

    /// As an editor does that is no danger to the reader.
    fn replace_policy(&self, policy: &str) {
        let begun = self.folder.path().join("policy.toml.new");
        fs::write(&begun, policy).and_then(|()| fs::rename(&begun, begun.with_extension(""))).expect("writable");
    }

    fn await_policy(&self, version: u64) {
        eventually("the policy is in force", || {
            let mut genba = command();
            genba.args(["status", "--json", "--config", "box.toml"]).current_dir(self.folder.path());
            let status: Value = serde_json::from_slice(&genba.output().expect("genba runs").stdout).ok()?;
            (status["hand_offs"]["policy"] == version).then_some(())
        });
    }

    fn stop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }

    /// What `genba spool` says, and how it ends.
    fn spool(&self, arguments: &[&str]) -> Printed {
        let mut genba = command();
        genba.arg("spool").args(arguments).args(["--config", "box.toml"]).current_dir(self.folder.path());
        Printed::from(genba.env("NO_COLOR", "1").output().expect("genba runs"))
    }

    fn dead_letters(&self) -> Vec<Value> {
        let said = self.spool(&["list", "--json"]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
        serde_json::from_str(&said.stdout).expect("it is JSON and nothing else")
    }

    fn await_dead_letters(&self, positions: &[u64]) -> Vec<Value> {
        eventually("dead letters", || {
            let letters = self.dead_letters();
            let at: Vec<_> = letters.iter().filter_map(|letter| letter["position"].as_u64()).collect();
            (at == positions).then_some(letters)
        })
    }

    /// Asks until somebody answers: a box that starts measures its margin for two seconds.
    fn ask(&self, request: u64, values: &[f32]) -> Told {
        eventually("an answer", || self.ask_once(request, values, 0))
    }

    /// Waits for the results.
    fn results(&self, request: u64) -> Vec<f32> {
        eventually("results", || match self.ask(request, &[]) {
            Told::Results { values } => Some(values),
            Told::Stored { .. } => None,
            Told::Refused { reason, .. } => panic!("request {request} is refused: E-{reason}"),
        })
    }

    fn ask_once(&self, request: u64, values: &[f32], budget_us: u32) -> Option<Told> {
        let mut bytes = vec![0; size_of_val(values)];
        put_floats(values, &mut bytes).expect("as many bytes as are needed");
        let asked = InferRequest {
            address: Address::of("line", "labels"),
            contract: self.contract,
            request,
            stamp: Stamp::new(7),
            budget_us,
            values: &bytes,
        };
        let mut frame = vec![0; InferRequest::OVERHEAD + bytes.len()];
        asked.encode(&mut frame).expect("as many bytes as are needed");
        // A session of its own: the box may be away.
        let session = zenoh::open(client_config(&self.endpoint)).wait().ok()?;
        let get = session.get("test/cell/line/labels/infer").payload(frame).timeout(Duration::from_secs(5));
        let replies = get.allowed_destination(Locality::Remote).wait().expect("an open session takes everything");
        let reply = replies.recv_timeout(PATIENCE).ok().flatten()?;
        let payload = match reply.result() {
            Ok(sample) => sample.payload().to_bytes().into_owned(),
            Err(error) => error.payload().to_bytes().into_owned(),
        };
        if reply.result().is_ok() {
            if let Ok(result) = InferResult::decode(&payload) {
                assert_eq!((result.request, result.place), (request, Place::Cluster));
                return Some(Told::Results { values: message::floats(result.values).collect() });
            }
            let stored = InferStored::decode(&payload).expect("it is stored, or here are its results");
            assert_eq!((stored.request, stored.stamp), (request, Stamp::new(7)));
            return Some(Told::Stored { position: stored.position, boot: stored.boot.value() });
        }
        // zenoh's own error, while the box is away, is no frame.
        let refused = InferReply::decode(&payload).ok()?;
        let InferBody::Refusal { reason } = refused.body else { panic!("a result as an error: {refused:?}") };
        Some(Told::Refused { request: refused.request, reason: reason.value() })
    }
}

#[test]
fn a_durable_request_is_stored_once_and_outlives_kill_9() {
    let mut site = Site::new("127.0.0.1:9");
    let values = [0.25; 21];
    let Told::Stored { position: 1, boot } = site.ask(41, &values) else { panic!("it is stored first") };
    assert_eq!(site.ask(41, &values), Told::Stored { position: 1, boot }, "a copy is not stored again");
    assert_eq!(site.ask(41, &[]), Told::Stored { position: 1, boot }, "without values it only asks");
    let refused = |request, reason: Reason| Told::Refused { request, reason: reason.row().number };
    assert_eq!(site.ask(41, &[0.5; 21]), refused(41, Reason::Sequence), "its number is another request's");
    assert_eq!(site.ask(42, &[]), refused(42, Reason::ValuesLength), "nobody knows it");
    assert_eq!(site.ask(42, &[f32::NAN; 21]), refused(42, Reason::ObservationNotFinite));
    assert_eq!(site.ask(0, &values), refused(0, Reason::SequenceZero));
    assert_eq!(site.ask(42, &values), Told::Stored { position: 2, boot });

    site.kill_and_restart();
    let Told::Stored { position: 1, boot: second } = site.ask(41, &values) else { panic!("it is still there") };
    assert_ne!(second, boot, "told by the next boot");
    assert_eq!(site.ask(42, &[]), Told::Stored { position: 2, boot: second });
    assert_eq!(site.ask(43, &values), Told::Stored { position: 3, boot: second });
    let full = HandOffFailure::SpoolFull.reason();
    assert_eq!(site.ask(44, &values), refused(44, full), "there is room for three");
    assert_eq!(site.ask(43, &values), Told::Stored { position: 3, boot: second }, "and none of them is lost by that");

    let spool = fs::read(site.folder.path().join("spool/spool.redb")).expect("it is there");
    let value = 0.25_f32.to_le_bytes().repeat(4);
    assert!(!spool.windows(value.len()).any(|window| window == value), "it is encrypted");
}

/// The network is cut while three are stored, the box is killed, and the network comes back.
#[test]
fn what_was_stored_is_delivered_in_order_once_the_cluster_can_be_reached() {
    let Some(python) = interpreter("durable requests to a real server") else { return };
    let onnx = repository().join("models/ur5e-conveyor/model.onnx").display().to_string();
    let mut server = Server::plain(&python, Dialect::Triton, &[("reader", &onnx)]);
    server.await_ready(&python, None);
    let wire = Wire::to(server.address());
    wire.cut();
    let mut site = Site::new(&wire.address().to_string());
    for request in 1..=3_u16 {
        let values = [f32::from(request) / 8.0; 21];
        let told = site.ask(request.into(), &values);
        assert!(matches!(told, Told::Stored { position, .. } if position == u64::from(request)), "{told:?}");
    }
    site.kill_and_restart();
    assert!(matches!(site.ask(3, &[]), Told::Stored { position: 3, .. }), "nothing passes a cut cable");

    wire.heal();
    let results: Vec<_> = (1..=3).map(|request| site.results(request)).collect();
    assert!(results.iter().all(|values| values.len() == 6 && values.iter().all(|value| value.is_finite())));
    assert!(results[0] != results[1] && results[1] != results[2], "each got the answer to its own: {results:?}");

    let attempts: Vec<_> = journalled(site.folder.path()).into_iter().filter(|one| one.task == "labels").collect();
    let delivered = attempts.iter().filter(|one| one.outcome.as_deref() == Some("delivered"));
    assert_eq!(delivered.count(), 3, "{attempts:?}");
    let mut order: Vec<_> = attempts.iter().map(|one| one.hand_off.clone()).collect();
    order.dedup();
    assert_eq!(order.len(), 3, "one after the other, and each under its own id: {attempts:?}");

    // Read, then said so: it is gone, and a late copy stores nothing.
    assert!(matches!(site.ask(1, &[]), Told::Results { .. }), "until the client says so");
    let read = eventually("an answer", || site.ask_once(1, &[], 1));
    assert!(matches!(read, Told::Stored { position: 1, .. }), "{read:?}");
    let used_up = Told::Refused { request: 1, reason: Reason::Sequence.row().number };
    assert_eq!(site.ask(1, &[0.125; 21]), used_up);
}

/// No server is needed: the rule is asked before anybody is.
#[test]
fn an_operator_lists_retries_and_purges_dead_letters() {
    let mut site = Site::under(DENIES, "127.0.0.1:9");
    let dead = Told::Refused { request: 1, reason: HandOffFailure::DeadLetter.reason().row().number };
    for request in 1..=3 {
        assert!(matches!(site.ask(request, &[0.25; 21]), Told::Stored { .. }));
    }
    let letters = site.await_dead_letters(&[1, 2, 3]);
    let (first, why) = (&letters[0], &letters[0]["why"]);
    assert_eq!((&first["id"], &first["task"]), (&"line/labels/1".into(), &"labels".into()));
    assert_eq!((&first["attempts"], &first["bytes"], &first["in_doubt"]), (&1.into(), &108.into(), &false.into()));
    assert_eq!((&why["kind"], &why["number"]), (&"rejected".into(), &"E-701".into()));
    let row = Reason::HandOffDenied.row();
    assert_eq!((&why["what"], &why["action"]), (&row.what.into(), &row.action.into()));
    let listed = site.spool(&["list"]).stdout;
    let begins = "1      line/labels/1 of labels: 108 bytes, stored 20";
    assert!(listed.starts_with(begins) && listed.contains("rejected: E-701 hand-off-denied: "), "{listed}");

    // Under another rule it waits for its cluster, which is away.
    site.replace_policy(&POLICY.replace("version = 1", "version = 2"));
    site.await_policy(2);
    assert_eq!(site.ask(1, &[]), dead, "nobody retried it yet");
    let said = site.spool(&["retry", "1", "7"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), "1: waits to be delivered\n"), "one of two: {said:?}");
    assert!(said.stderr.starts_with("7: there is no such dead letter"), "{said:?}");
    assert!(matches!(site.ask(1, &[]), Told::Stored { position: 1, .. }), "its client is told that it waits");
    site.await_dead_letters(&[2, 3]);

    let said = site.spool(&["purge", "2"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "2: purged; its client is told that it failed\n"));
    site.await_dead_letters(&[3]);
    let failed = |request| Told::Refused { request, reason: HandOffFailure::DeadLetter.reason().row().number };
    assert_eq!(site.ask(2, &[]), failed(2), "and told so");
    let read = eventually("an answer", || site.ask_once(2, &[], 1));
    assert!(matches!(read, Told::Stored { position: 2, .. }), "which it can take for final: {read:?}");
    let used_up = Told::Refused { request: 2, reason: Reason::Sequence.row().number };
    assert_eq!(site.ask(2, &[]), used_up);

    // The same without a box, which finds what was done when it comes back.
    site.stop();
    site.await_dead_letters(&[3]);
    let said = site.spool(&["retry", "--all"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "3: waits to be delivered\n"), "{said:?}");
    assert_eq!(site.spool(&["purge", "--all"]).stdout, "no dead letters\n");
    assert_eq!(site.spool(&["list"]).stdout, "no dead letters\n");
    site.child = spawn(&site.folder);
    assert!(matches!(site.ask(3, &[]), Told::Stored { position: 3, .. }));
}

/// What an operator may get wrong, and what is in the way.
#[test]
fn who_cannot_be_asked_for_dead_letters_is_named() {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let written = config("tcp/127.0.0.1:1", "127.0.0.1:9");
    let at = |name: &str| folder.path().join(name);
    let say = |arguments: &[&str]| {
        let mut genba = command();
        genba.arg("spool").args(arguments).current_dir(folder.path());
        Printed::from(genba.env("NO_COLOR", "1").output().expect("genba runs"))
    };
    let list = || say(&["list", "--config", "box.toml"]);
    fs::write(at("box.toml"), &written).expect("the folder can be written");
    assert_eq!(say(&["retry", "--config", "box.toml"]).code, Some(2), "which?");
    assert_eq!(say(&["purge", "1", "--all", "--config", "box.toml"]).code, Some(2), "which now?");

    let told = |says: &str| {
        let said = list();
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains(says), "{says:?} is not in {}", said.stderr);
    };
    told("there is no spool at");
    assert!(!at("spool").exists(), "asking makes none");

    let listener = UnixListener::bind(at("status.sock")).expect("the folder can be written");
    drop(std::thread::spawn(move || listener.incoming().take(1).for_each(drop)));
    told("the box on");

    fs::create_dir(at("spool")).expect("the folder can be written");
    fs::write(at("spool/spool.redb"), "no spool at all").expect("the folder can be written");
    fs::write(at("spool/spool.key"), [7; 32]).expect("the folder can be written");
    fs::set_permissions(at("spool/spool.key"), fs::Permissions::from_mode(0o644)).expect("it is ours");
    told("may be read by others");
    fs::set_permissions(at("spool/spool.key"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    told("the spool is damaged");

    let none = written.replace("[spool]\nfolder = \"spool\"\nmax_requests = 3\n", "");
    let none = none
        .replace("durable = [{ name = \"line\" }]", "clients = [{ name = \"line\", min_period_us = 1000, queue = 2 }]");
    fs::write(at("box.toml"), none).expect("the folder can be written");
    told("declares no [spool]");
}

/// The arm's policy, whose action is declared as a result: a cluster's model is not run here.
fn results_model(folder: &TempDir) -> PathBuf {
    let (source, target) = (repository().join("models/ur5e-conveyor"), folder.path().join("model"));
    fs::create_dir(&target).expect("the temporary folder can be written");
    for file in ["model.onnx", "golden.json"] {
        fs::copy(source.join(file), target.join(file)).expect("the model can be copied");
    }
    let text = fs::read_to_string(source.join("model.toml")).expect("the model's description can be read");
    let (before, output) = text.split_once("[[output]]").expect("the model has an output");
    let head = output.split_once("elements = [").expect("its elements are named").0;
    let text = format!("{before}[[output]]{head}role = \"result\"\n");
    fs::write(target.join("model.toml"), text).expect("the temporary folder can be written");
    target
}

fn spawn(folder: &TempDir) -> Child {
    let mut genba = command();
    genba.args(["run", "--config", "box.toml"]).current_dir(folder.path()).stdout(Stdio::null());
    genba.spawn().expect("genba runs")
}

/// Connects in the background, again and again: the box comes and goes.
fn client_config(endpoint: &str) -> zenoh::Config {
    let mut config = zenoh::Config::default();
    let endpoints = format!("[{endpoint:?}]");
    for (key, value) in [
        ("mode", "\"client\""),
        ("listen/endpoints", "[]"),
        ("connect/endpoints", &endpoints),
        ("connect/timeout_ms", "0"),
        ("connect/exit_on_failure", "false"),
        ("connect/retry", "{ period_init_ms: 100, period_max_ms: 100, period_increase_factor: 1 }"),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
    ] {
        config.insert_json5(key, value).expect("zenoh knows these settings");
    }
    config
}
