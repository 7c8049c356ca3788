//! What may leave the box, as `genba check` and `genba policy` print it and `genba run` takes it.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use tests::{PATIENCE, command, repository};

/// A robot's task and a client's, a cluster at home and one abroad, and a router.
const CONFIG: &str = r#"[box]
name = "box"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["tcp/127.0.0.1:0"]
connect = ["tcp/127.0.0.1:9"]

[residency]
policy = "policy.toml"

[journal]
folder = "journal"

[[model]]
name = "policy"
folder = "model"

[[model]]
name = "far-policy"
folder = "model"

[[model]]
name = "labels"
folder = "model"

[[cluster]]
name = "east"
jurisdiction = "jp"
endpoints = ["127.0.0.1:9"]
models = ["labels"]
insecure = true
probe = { model = "labels", every_ms = 1000, timeout_ms = 500 }

[[cluster]]
name = "far"
jurisdiction = "us"
endpoints = ["127.0.0.1:9"]
models = ["far-policy"]
insecure = true
probe = { model = "far-policy", every_ms = 1000, timeout_ms = 500 }

[[worker]]
name = "first"

[[task]]
name = "track"
model = "policy"
deadline_us = 200000
hold_ms = 250
robots = [{ name = "left" }]
min_period_us = 2000
data = { observation = "joint-state/internal" }

[[task]]
name = "inspect"
model = "policy"
deadline_us = 200000
clients = [{ name = "line", min_period_us = 100000 }]
data = { observation = "image/personal" }
"#;

const POLICY: &str = r#"version = 12
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["east"]

[[jurisdiction]]
id = "us"
name = "United States"
clusters = ["far"]

[[rule]]
id = "motion-home"
kinds = ["joint-state"]
sensitivities = ["internal"]
to = ["home", "router"]
decision = "allow"
why = "everyday motion"

[[rule]]
id = "people-stay"
kinds = ["any"]
sensitivities = ["personal"]
to = ["any"]
decision = "deny"
why = "nobody's business"
"#;

/// A folder with a model, a config and a policy, in which the binary is run.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let (source, target) = (repository().join("models/ur5e-conveyor"), folder.path().join("model"));
        fs::create_dir(&target).expect("the temporary folder can be written");
        for file in ["model.toml", "model.onnx", "golden.json"] {
            fs::copy(source.join(file), target.join(file)).expect("the model can be copied");
        }
        Self(folder).with(CONFIG, POLICY)
    }

    fn with(self, config: &str, policy: &str) -> Self {
        fs::write(self.0.path().join("box.toml"), config).expect("the temporary folder can be written");
        fs::write(self.0.path().join("policy.toml"), policy).expect("the temporary folder can be written");
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut genba: Command = command();
        genba.args(arguments).current_dir(self.0.path()).env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
        genba.env_remove("NO_GRAPHICS").output().expect("genba runs")
    }

    /// How `check` ended, and what it printed from `leaves` on.
    fn leaves(&self) -> (Option<i32>, String) {
        let said = self.run(&["check", "--config", "box.toml"]);
        let printed = String::from_utf8(said.stdout).expect("it is UTF-8");
        // That both clusters are insecure is said elsewhere.
        let lines = printed.lines().skip_while(|line| !line.starts_with("leaves"));
        let lines: Vec<_> = lines.filter(|line| !line.starts_with("warning")).collect();
        (said.status.code(), lines.join("\n"))
    }
}

/// What it complained about, without its log.
fn complaint(said: &Output) -> String {
    let printed = String::from_utf8_lossy(&said.stderr);
    printed.lines().filter(|line| !line.starts_with('{')).flat_map(|line| [line, "\n"]).collect()
}

/// The same without the line that has this text.
fn without(text: &str, line: &str) -> String {
    assert_eq!(text.lines().filter(|one| one.contains(line)).count(), 1, "{line:?} stands once");
    text.lines().filter(|one| !one.contains(line)).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn every_way_out_and_the_rule_that_allows_or_denies_it() {
    let (code, leaves) = Desk::new().leaves();
    assert_snapshot!(leaves, @r#"
    leaves    by version 12 of policy.toml, home jp (日本): what no rule allows is denied
              task     cluster east (jp)                      cluster far (us)                       router tcp/127.0.0.1:9
              track    allowed by motion-home                 denied, no rule: joint-state/internal  allowed by motion-home
              inspect  denied by people-stay: image/personal  denied by people-stay: image/personal  denied by people-stay: image/personal
              ROS 2 topics, metrics, traces, recordings are not in this build
    denied    the box connects to tcp/127.0.0.1:9, to whom zenoh passes on what is published, inspect too: denied by people-stay: image/personal
    bad       what is denied above is asked for, or open
    "#);
    assert_eq!(code, Some(1), "zenoh would pass on what the policy denies the router");
    let (code, leaves) = Desk::new().with(&without(CONFIG, "connect ="), POLICY).leaves();
    assert_snapshot!(leaves, @r#"
    leaves    by version 12 of policy.toml, home jp (日本): what no rule allows is denied
              task     cluster east (jp)                      cluster far (us)
              track    allowed by motion-home                 denied, no rule: joint-state/internal
              inspect  denied by people-stay: image/personal  denied by people-stay: image/personal
              ROS 2 topics, metrics, traces, recordings are not in this build
    good
    "#);
    assert_eq!(code, Some(0));
}

#[test]
fn the_matrix_for_programs() {
    let said = Desk::new().run(&["check", "--config", "box.toml", "--json"]);
    let found: Value = serde_json::from_slice(&said.stdout).expect("it is JSON and nothing else");
    let leaves = &found["leaves"];
    assert_eq!(leaves["policy"]["version"], 12);
    assert_eq!(
        leaves["ways_out"],
        serde_json::json!(["cluster east (jp)", "cluster far (us)", "router tcp/127.0.0.1:9"])
    );
    let verdict = |task: usize, way: usize| leaves["tasks"][task]["verdicts"][way]["verdict"].clone();
    let rule = |task: usize, way: usize| leaves["tasks"][task]["verdicts"][way]["rule"].clone();
    assert_eq!((verdict(0, 0), rule(0, 0)), ("allowed".into(), "motion-home".into()));
    assert_eq!((verdict(0, 1), rule(0, 1)), ("denied".into(), Value::Null));
    assert_eq!((verdict(1, 2), rule(1, 2)), ("denied".into(), "people-stay".into()));
    assert_eq!(found["good"], false);
}

#[test]
fn a_task_that_is_asked_of_a_cluster_which_never_gets_it() {
    let config = without(CONFIG, "connect =").replacen(
        "model = \"policy\"\ndeadline_us = 200000\nclients",
        "model = \"labels\"\ndeadline_us = 200000\nclients",
        1,
    );
    let (code, leaves) = Desk::new().with(&config, POLICY).leaves();
    assert_snapshot!(leaves, @r#"
    leaves    by version 12 of policy.toml, home jp (日本): what no rule allows is denied
              task     cluster east (jp)                      cluster far (us)
              track    allowed by motion-home                 denied, no rule: joint-state/internal
              inspect  denied by people-stay: image/personal  denied by people-stay: image/personal
              ROS 2 topics, metrics, traces, recordings are not in this build
    denied    the task inspect is asked of the cluster east (jp), and never goes there: denied by people-stay: image/personal
    bad       what is denied above is asked for, or open
    "#);
    assert_eq!(code, Some(1));
}

#[test]
fn a_box_does_not_start_with_a_way_out_that_the_policy_denies() {
    let said = Desk::new().run(&["run", "--config", "box.toml"]);
    assert_eq!(said.status.code(), Some(1));
    assert_snapshot!(complaint(&said), @r#"
    × the residency policy denies the task inspect the router tcp/127.0.0.1:9: denied by people-stay: image/personal
    help: take it out of [link] connect, or allow it by a rule with to = ["router"]
    "#);
}

#[test]
fn a_policy_that_is_wrong() {
    let said = Desk::new().with(CONFIG, &POLICY.replace("[\"internal\"]", "[\"secret\"]"));
    let said = said.run(&["check", "--config", "box.toml"]);
    assert_eq!(said.status.code(), Some(1));
    assert_snapshot!(complaint(&said), @r#"
     × policy.toml:17: "secret": there is no such sensitivity
       ╭─[policy.toml:17:18]
    16 │ kinds = ["joint-state"]
    17 │ sensitivities = ["secret"]
       ·                  ────┬───
       ·                      ╰── here
    18 │ to = ["home", "router"]
       ╰────
     help: there are: public, internal, trade-secret, personal, government
    "#);
}

#[test]
fn a_class_for_an_input_that_the_model_does_not_have() {
    let said =
        Desk::new().with(&CONFIG.replace("observation = \"image/personal\"", "camera = \"image/personal\""), POLICY);
    let said = said.run(&["check", "--config", "box.toml"]);
    assert_eq!(said.status.code(), Some(1));
    assert_snapshot!(complaint(&said), @r#"
    × task inspect: data has a class for "camera", and its model has no such input
    help: its model.toml declares: observation
    "#);
}

#[test]
fn the_templates_pass_check() {
    for (template, home) in [("jp", "jp"), ("eu", "eu"), ("us", "us")] {
        let desk = Desk::new();
        let said = desk.run(&["policy", "template", template]);
        assert_eq!(said.status.code(), Some(0));
        let printed = String::from_utf8(said.stdout).expect("it is UTF-8");
        let policy = printed.replace("clusters = []", "clusters = [\"east\", \"far\"]");
        assert_ne!(policy, printed, "a place for clusters is there");
        let config =
            without(CONFIG, "connect =").replace("jurisdiction = \"jp\"", &format!("jurisdiction = \"{home}\""));
        let (code, leaves) = desk.with(&config, &policy).leaves();
        assert_eq!(code, Some(0), "{leaves}");
        assert!(
            leaves.contains("allowed by robot-motion-home") && leaves.contains("denied by people-stay"),
            "{leaves}"
        );
    }
    let unknown = Desk::new().run(&["policy", "template", "moon"]);
    assert_eq!(unknown.status.code(), Some(2));
}

/// A policy for probes alone.
const PROBES: &str = r#"version = 12
home = "jp"

[[jurisdiction]]
id = "jp"
name = "日本"
clusters = ["east"]

[[rule]]
id = "probes"
kinds = ["synthetic"]
sensitivities = ["public"]
to = ["home"]
decision = "allow"
why = "health"
"#;

/// Fewer than a probe has, with what goes before it.
const PROBE_BYTES: u64 = 100;

/// A machine that takes whatever comes and says nothing: every connection and every byte counts.
fn silent_machine() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let heard = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.expect("a connection"), Arc::clone(&counter));
            counter.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut bytes) {
                    counter.fetch_add(read as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (port, heard)
}

/// A box that runs until this is dropped.
struct Running<'d> {
    desk: &'d Desk,
    child: Child,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl<'d> Running<'d> {
    /// Its log is the desk's `log`.
    fn start(desk: &'d Desk) -> Self {
        let log = fs::File::create(desk.0.path().join("log")).expect("the folder can be written");
        let mut genba = command();
        genba.args(["run", "--config", "box.toml"]).current_dir(desk.0.path()).stderr(log);
        Self { desk, child: genba.spawn().expect("genba runs") }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.desk.0.path().join("log")).expect("there is one")
    }

    /// How often the log says this.
    fn log_says(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// How often the journal says this.
    fn journal_says(&self, what: &str) -> usize {
        let files = fs::read_dir(self.desk.0.path().join("journal")).into_iter().flatten();
        let paths = files.map(|file| file.expect("the folder can be read").path());
        let journals = paths.filter(|path: &PathBuf| path.extension().is_some_and(|end| end == "jsonl"));
        journals.map(|path| fs::read_to_string(path).unwrap_or_default().matches(what).count()).sum()
    }

    fn wait(&mut self, what: &str, happened: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !happened(self) {
            assert!(began.elapsed() < PATIENCE, "in vain: {what}");
            assert!(self.child.try_wait().expect("it can be asked").is_none(), "the box ended before {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_policy_that_is_withdrawn_while_the_box_runs_lets_nothing_out_and_one_that_comes_back_does() {
    let (port, heard) = silent_machine();
    let heard = || heard.load(Ordering::Relaxed);
    let config = without(CONFIG, "connect =")
        .replacen("127.0.0.1:9", &format!("127.0.0.1:{port}"), 1)
        .replace("every_ms = 1000, timeout_ms = 500", "every_ms = 50, timeout_ms = 40");
    let desk = Desk::new().with(&config, PROBES);
    let policy = desk.0.path().join("policy.toml");
    let mut running = Running::start(&desk);

    running.wait("the policy's record", |running| running.journal_says("{\"committed\":{\"version\":12,") == 1);
    running.wait("a probe", |_| heard() > 0);

    assert_eq!(running.journal_says("\"reason\":\"no-policy\""), 0, "a policy is in force before anything is asked");
    fs::remove_file(&policy).expect("it is there");
    running.wait("the withdrawal's record", |running| running.journal_says("{\"withdrawn\":{") == 1);
    // What was accepted before the record is counted by the time of both clusters' refusals after it.
    let refused = |running: &Running<'_>| running.journal_says("\"reason\":\"no-policy\"");
    running.wait("a refusal of each cluster's probe", |running| refused(running) == 2);
    let before = heard();
    // That nothing comes takes time to see: as long as twenty probes take.
    thread::sleep(Duration::from_secs(1));
    assert_eq!(refused(&running), 2, "a probe that is refused again and again is one record");
    assert_eq!(heard(), before, "probes that were refused were heard");

    fs::write(&policy, PROBES.replace("version = 12", "version = 13")).expect("the folder can be written");
    running.wait("the next policy's record", |running| running.journal_says("{\"committed\":{\"version\":13,") == 1);
    running.wait("a probe again", |_| heard() > before);
}

/// What is on its way is cut at its socket, before the withdrawal's record: it does not wait for its answer or its time-out.
#[test]
fn what_is_being_sent_when_the_policy_is_withdrawn_is_cut() {
    let (port, heard) = silent_machine();
    let config = without(CONFIG, "connect =").replacen("127.0.0.1:9", &format!("127.0.0.1:{port}"), 1).replacen(
        "every_ms = 1000, timeout_ms = 500",
        "every_ms = 1000, timeout_ms = 10000",
        1,
    );
    let desk = Desk::new().with(&config, PROBES);
    let mut running = Running::start(&desk);
    // More than a connection and HTTP/2's greeting: a probe's body is as long as its model's input.
    running.wait("a probe on its way", |running| {
        running.journal_says("\"intent\"") == 1 && heard.load(Ordering::Relaxed) > PROBE_BYTES
    });
    fs::remove_file(desk.0.path().join("policy.toml")).expect("it is there");
    let ended = |running: &Running<'_>, how: &str| running.journal_says(&format!("\"outcome\":\"{how}\""));
    running.wait("the probe's end", |running| ended(running, "revoked") + ended(running, "expired") > 0);
    assert_eq!((ended(&running, "revoked"), ended(&running, "expired")), (1, 0), "it was left to its time-out");
}

#[test]
fn an_operator_is_told_once_of_an_endpoint_and_of_an_anchor_that_fail() {
    let probed = PROBES.replace("clusters = [\"east\"]", "clusters = [\"east\", \"far\"]");
    let config = without(CONFIG, "connect =")
        .replace("jurisdiction = \"us\"", "jurisdiction = \"jp\"")
        .replace("every_ms = 1000, timeout_ms = 500", "every_ms = 50, timeout_ms = 40")
        .replace("folder = \"journal\"", "folder = \"journal\"\nanchors = [\"nowhere/anchor\"]\nsign_every = 1");
    let desk = Desk::new().with(&config, &probed);
    let mut running = Running::start(&desk);
    let (endpoint, anchor) = ("E-511 endpoint-down: 127.0.0.1:9 of east: ", "E-509 anchor-failing: nowhere/anchor: ");
    running.wait("the alarm of the endpoint", |running| running.log_says(endpoint) > 0);
    running.wait("the alarm of the anchor", |running| running.log_says(anchor) > 0);
    // That they are not said again takes time to see: as long as ten looks and twenty probes take.
    thread::sleep(Duration::from_secs(1));
    assert_eq!((running.log_says(endpoint), running.log_says(anchor)), (1, 1), "{}", running.log());

    fs::create_dir(desk.0.path().join("nowhere")).expect("the folder can be written");
    fs::remove_file(desk.0.path().join("policy.toml")).expect("it is there");
    running.wait("the anchor is written again", |running| {
        running.log_says("E-509 anchor-failing: nowhere/anchor: no longer") == 1
    });
}
