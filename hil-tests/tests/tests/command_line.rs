//! What people read: `genba check` and `genba status`, exit codes, and what a wrong config is told.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use engine::Reason;
use insta::assert_snapshot;
use serde_json::Value;
use tempfile::TempDir;
use tests::{BoxConfig, Frame, Genba, Said, Stranger, command, repository};

/// A folder with a model and a config, in which the binary is run: so that messages name short paths.
struct Desk {
    folder: TempDir,
    config: String,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let (source, target) = (repository().join("models/ur5e-conveyor"), folder.path().join("model"));
        fs::create_dir(&target).expect("the temporary folder can be written");
        for file in ["model.toml", "model.onnx", "golden.json"] {
            fs::copy(source.join(file), target.join(file)).expect("the model can be copied");
        }
        Self { folder, config: CONFIG.to_owned() }
    }

    /// The same with one thing wrong.
    fn with(right: &str, wrong: &str) -> Self {
        let mut this = Self::new();
        assert!(this.config.contains(right), "{right} is not in the config");
        this.config = this.config.replacen(right, wrong, 1);
        this
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str]) -> Printed {
        fs::write(self.path().join("box.toml"), &self.config).expect("the temporary folder can be written");
        Printed::by(command().args(arguments).current_dir(self.path()))
    }

    /// What `check` complains about.
    fn complaint(&self) -> String {
        let said = self.run(&["check", "--config", "box.toml"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        said.stderr
    }
}

const CONFIG: &str = r#"[box]
name = "box"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["tcp/127.0.0.1:0"]

[[model]]
name = "policy"
folder = "model"

[[worker]]
name = "first"

[[task]]
name = "track"
model = "policy"
deadline_us = 200000
hold_ms = 250
robots = [{ name = "left" }]
min_period_us = 2000
"#;

/// What a command printed, without its log, and how it ended.
#[derive(Debug)]
struct Printed {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Printed {
    fn by(command: &mut Command) -> Self {
        // Boxes are drawn where the locale allows it.
        let output = command.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1").env_remove("NO_GRAPHICS").output();
        Self::from(output.expect("genba runs"))
    }
}

impl From<Output> for Printed {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let no_log = |line: &&str| !line.starts_with('{');
        let stderr: Vec<_> = text(&output.stderr).lines().filter(no_log).map(|line| format!("{line}\n")).collect();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: stderr.concat() }
    }
}

/// Every figure as `#`: they differ each time.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit()) {
        let (word, rest) = part.split_at(part.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit()).len());
        let is_figure = word.starts_with(|letter: char| letter.is_ascii_digit()) || word.len() == 16;
        masked.push_str(if is_figure && !word.is_empty() { "#" } else { word });
        masked.push_str(rest);
    }
    masked
}

#[test]
fn a_good_config() {
    let said = Desk::new().run(&["check", "--config", "box.toml"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let (figures, rest): (Vec<_>, Vec<_>) = said.stdout.lines().partition(|line| line.starts_with("margin "));
    assert_snapshot!(masked(&figures.join("\n")), @"margin    #.# ms: default class: wake-up p# #.# ms, p# #.# ms, plus # x send p# #.# ms, p# #.# ms; # samples; at least #.# ms");
    assert_snapshot!(rest.join("\n"), @r"
    measures the margin for 2 s …
    task      track: answered within 200.000 ms, unmeasured: no timing record
              to measure it: genba measure --config box.toml policy
    model     policy d33d3cb211cc43011fb343543a08de1f8cd7a1f0c38be1380638e74061e8a442
    contract  9df54ecdbcce397e576a6dde78c1ce1d
    robot     left: test/cell/left/track/observation -> test/cell/left/track/response
    workers   first: not known: a task has no timing record
    leaves    nothing: no cluster, and it connects to nobody; ROS 2 topics, metrics, traces, recordings are not in this build
    good
    ");
}

#[test]
fn a_good_config_for_programs() {
    let said = Desk::new().run(&["check", "--config", "box.toml", "--json"]);
    assert_eq!(said.code, Some(0));
    let found: Value = serde_json::from_str(&said.stdout).expect("it is JSON and nothing else");
    assert_eq!(found["scheduling"], "default class");
    assert!(found["margin_us"].as_u64() >= found["wake_p99_us"].as_u64());
    let task = &found["tasks"][0];
    assert_eq!(task["contract"], "9df54ecdbcce397e576a6dde78c1ce1d");
    assert_eq!(task["deadline_us"], 200_000);
    assert_eq!(task["robots"][0]["notice_key"], "test/cell/left/track/notice");
    assert!(task["contract_text"].as_str().is_some_and(|text| text.starts_with("genba-contract-v1\ntask\ttrack\n")));
}

/// What is said depends on what this machine grants and how its kernel is set; that it is said does not.
#[test]
fn real_time_threads_that_may_be_thrown_off_their_core() {
    let fifo = |text: &str| Desk::with("[link]", &format!("[realtime]\nfifo_priority = 50\n{text}\n[link]"));
    let warnings = |desk: &Desk| {
        let said = desk.run(&["check", "--config", "box.toml", "--json"]);
        let found: Value = serde_json::from_str(&said.stdout).expect("it is JSON and nothing else");
        found["warnings"].as_array().expect("a list").clone()
    };
    let sysctl = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).expect("every Linux has it");
        text.trim().parse::<i64>().expect("it is a number")
    };
    let (runtime, period) = (sysctl("sched_rt_runtime_us"), sysctl("sched_rt_period_us"));
    let throttled = (0..period).contains(&runtime) && tests::real_time_rights();
    let shared = warnings(&fifo(""));
    assert_eq!(shared.len(), usize::from(throttled), "{shared:?}");
    if throttled {
        let text = shared[0].as_str().expect("text");
        assert!(text.contains(&format!("is {runtime} of {period}")), "{text}");
        assert!(text.contains("sysctl kernel.sched_rt_runtime_us=-1") && text.contains("engine_cores"), "{text}");
    }
    assert!(warnings(&Desk::new()).is_empty(), "the default class is not thrown off");
    let all = rig::cores().expect("a process may read its own affinity");
    if let [first, second, ..] = all[..] {
        let mut apart = fifo(&format!("engine_cores = [{first}]\n"));
        apart.config = apart.config.replace("name = \"first\"", &format!("name = \"first\"\ncores = [{second}]"));
        assert!(warnings(&apart).is_empty(), "the engine has a core of its own");
    }
}

#[test]
fn the_configs_in_the_tree_are_good() {
    let folder = repository().join("runtime/daemon/config");
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        let said = Printed::by(command().arg("check").arg("--config").arg(&path));
        assert_eq!(said.code, Some(0), "{}: {said:?}", path.display());
    }
}

#[test]
fn an_unknown_field() {
    assert_snapshot!(Desk::with("hold_ms", "hold_s").complaint(), @r#"
     × box.toml:20: unknown field `hold_s`, expected one of `name`, `model`, `deadline_us`, `min_period_us`, `arrival_jitter_us`, `hold_ms`, `degraded`, `lower_rate_factor`, `execution_quantile`, `plan`, `robots`, `clients`, `durable`, `input`, `data`
       ╭─[box.toml:20:1]
    19 │ deadline_us = 200000
    20 │ hold_s = 250
       · ───┬──
       ·    ╰── here
    21 │ robots = [{ name = "left" }]
       ╰────
    "#);
}

#[test]
fn a_model_that_is_not_declared() {
    assert_snapshot!(Desk::with("model = \"policy\"", "model = \"police\"").complaint(), @r#"
     × box.toml:18: there is no model "police"
       ╭─[box.toml:18:9]
    17 │ name = "track"
    18 │ model = "police"
       ·         ────┬───
       ·             ╰── here
    19 │ deadline_us = 200000
       ╰────
     help: declare it as a [[model]]; there are: policy
    "#);
}

#[test]
fn a_name_that_cannot_stand_in_a_key() {
    assert_snapshot!(Desk::with("\"left\"", "\"left arm\"").complaint(), @r#"
     × box.toml:21: "left arm" cannot stand in a key
       ╭─[box.toml:21:20]
    20 │ hold_ms = 250
    21 │ robots = [{ name = "left arm" }]
       ·                    ─────┬────
       ·                         ╰── here
    22 │ min_period_us = 2000
       ╰────
     help: use ASCII letters, digits, '-', '_' and '.'
    "#);
}

#[test]
fn no_toml_at_all() {
    assert_snapshot!(Desk::with("hold_ms = 250", "hold_ms =").complaint(), @r#"
     × box.toml:20: string values must be quoted, expected literal string
       ╭─[box.toml:20:10]
    19 │ deadline_us = 200000
    20 │ hold_ms =
       ·          ▲
       ·          ╰── here
    21 │ robots = [{ name = "left" }]
       ╰────
    "#);
}

#[test]
fn a_quarantine_that_nothing_could_reach() {
    let desk = Desk::with("[link]", "[quarantine]\nmax_overruns = 17\n\n[link]");
    assert_snapshot!(desk.complaint(), @r#"
     × box.toml:7: max_overruns must be between 1 and 16
      ╭─[box.toml:7:16]
    6 │ [quarantine]
    7 │ max_overruns = 17
      ·                ─┬
      ·                 ╰── here
    8 │ 
      ╰────
     help: 8 is the default
    "#);
}

#[test]
fn a_worker_that_only_waits() {
    assert_snapshot!(Desk::with("name = \"first\"", "name = \"first\"\nspare = true").complaint(), @r#"
     × box.toml:1: at least one [[task]] and one [[worker]] that is no spare are needed
      ╭─[box.toml:1:1]
    1 │ [box]
      · ▲
      · ╰── here
    2 │ name = "box"
      ╰────
     help: see the commented example.toml
    "#);
}

#[test]
fn a_deadline_that_leaves_no_room() {
    assert_snapshot!(masked(&Desk::with("200000", "1").complaint()), @r#"
    × task track: its deadline of # us leaves no room before the margin of # us
    help: choose a longer deadline_us, give the box real-time rights so that the margin shrinks, or let it serve fewer robots
    "#);
}

#[test]
fn a_deadline_of_an_hour() {
    assert_snapshot!(Desk::with("200000", "3600000000").complaint(), @r#"
     × box.toml:19: the default hang_ms = 1000 is shorter than the deadline of 3600000000 us
       ╭─[box.toml:19:15]
    18 │ model = "policy"
    19 │ deadline_us = 3600000000
       ·               ─────┬────
       ·                    ╰── here
    20 │ hold_ms = 250
       ╰────
     help: a worker would count as hung while its answer can still be in time: let [quarantine] hang_ms be at least the longest deadline_us
    "#);
}

#[test]
fn a_missing_model() {
    assert_snapshot!(Desk::with("folder = \"model\"", "folder = \"nothing\"").complaint(), @r#"
      × nothing/model.toml: cannot read nothing/model.toml: No such file or directory (os error 2); every model is a folder that holds model.toml and its ONNX file
    "#);
}

#[test]
fn a_model_with_another_digest() {
    let desk = Desk::new();
    let path = desk.path().join("model/model.onnx");
    let mut bytes = fs::read(&path).expect("the model was copied");
    bytes[1000] ^= 1;
    fs::write(&path, bytes).expect("the temporary folder can be written");
    let complaint = desk.complaint();
    // Two digests of 64 digits; the first is the damaged file's.
    assert_snapshot!(complaint, @r#"
      × model/model.toml:5:10: model/model.onnx has the SHA-256 dfa1c95f79713219ebe4ee36de80e91262bc591c8540b05cf165d762fb968fc2, but the manifest says d33d3cb211cc43011fb343543a08de1f8cd7a1f0c38be1380638e74061e8a442; restore the file that was signed off, or enter the new digest after a review
    "#);
}

#[test]
fn a_model_that_joins() {
    let input = |source: &str, shape: usize| {
        let desk = Desk::new();
        let manifest = desk.path().join("model/model.toml");
        let described = fs::read_to_string(&manifest).expect("the model was copied");
        // Its golden vectors are of the one input.
        let (described, _) = described.split_once("[golden]").expect("it declares them");
        let tables = format!("[[input]]\nname = \"more\"\ndtype = \"f32\"\nshape = [1, {shape}]\nsource = {source}\n");
        fs::write(&manifest, format!("{described}\n{tables}")).expect("the temporary folder can be written");
        desk.complaint()
    };
    assert_snapshot!(input("\"joined\"\nelements = [{ name = \"force\", unit = \"N\" }]", 1), @r#"
    × task track: its model joins the input "more", and no [[task.input]] says how old a sample of it may be
    help: write at the end of the task: [[task.input]], name = "more", max_age_ms = <the oldest>
    "#);
}

#[test]
fn a_missing_library() {
    let desk = Desk::with("[link]", "[onnx]\nlibrary = \"nowhere.so\"\n\n[link]");
    assert_snapshot!(desk.complaint(), @r#"
      × nowhere.so is not a file; correct the path in the configuration, or remove it and run `make native`
    "#);
}

#[test]
fn a_library_that_is_none() {
    let desk = Desk::with("[link]", "[onnx]\nlibrary = \"box.toml\"\n\n[link]");
    let complaint = desk.complaint();
    assert!(complaint.contains("box.toml"), "{complaint}");
}

/// Invariant 10: a provider that cannot place the whole model fails the start with the reason.
#[test]
fn a_provider_that_is_not_there() {
    let complaint = Desk::with("folder = \"model\"", "folder = \"model\"\nprovider = \"cuda:0\"").complaint();
    assert!(complaint.contains("cuda:0"), "{complaint}");
}

/// What the doctor says of it, without what differs from machine to machine.
fn diagnosis(desk: &Desk, code: i32) -> String {
    let said = desk.run(&["doctor", "--config", "box.toml"]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(code), ""), "{said:?}");
    let machines = ["machine", "driver", "gpu", "library"];
    let ours = |line: &&str| !machines.iter().any(|name| line.starts_with(name));
    said.stdout.lines().filter(ours).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_doctor_where_nothing_is_missing() {
    assert_snapshot!(diagnosis(&Desk::new(), 0), @r"
    realtime  no config asks for a real-time priority
    provider  cpu can be used
    model     policy: cpu holds all of it
    good
    ");
}

#[test]
fn the_doctor_where_the_library_is_for_processors() {
    let listed = Desk::with("folder = \"model\"", "folder = \"model\"\nprovider = [\"cuda:0\"]");
    let told = diagnosis(&listed, 1);
    for line in [
        "provider  cuda:0 cannot be used: this ONNX Runtime does not bring it",
        "model     policy: no provider of cuda:0 holds all of it",
        "          not on cuda:0: model/model.toml: cuda:0 cannot be used: ",
        "install   1. ONNX Runtime: ",
        "bad       something is missing",
    ] {
        assert!(told.lines().any(|said| said.starts_with(line)), "{line:?} is not in\n{told}");
    }
}

#[test]
fn endpoints_that_are_none() {
    for endpoint in ["tcp:7447", "127.0.0.1:7447", "carrier-pigeon/7447"] {
        let desk = Desk::with("tcp/127.0.0.1:0", endpoint);
        for arguments in [["check", "--config", "box.toml"], ["run", "--config", "box.toml"]] {
            let said = desk.run(&arguments);
            assert_eq!(said.code, Some(1), "{arguments:?} {endpoint}: {said:?}");
            assert!(said.stderr.contains(endpoint), "{arguments:?} {endpoint}: {said:?}");
        }
    }
}

#[test]
fn no_config() {
    let said = Desk::new().run(&["check", "--config", "nowhere.toml"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.stderr, @r#"
    × cannot read the config nowhere.toml
    ╰─▶ No such file or directory (os error 2)
    help: name an existing, readable file of at most 1 MiB with --config
    "#);
}

#[test]
fn usage() {
    let desk = Desk::new();
    for arguments in [&[][..], &["check"], &["frobnicate"], &["check", "--config"], &["status", "--loud"]] {
        let said = desk.run(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {said:?}");
        assert!(said.stderr.contains("--help"), "{arguments:?}: {said:?}");
    }
    let help = desk.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    assert_snapshot!(help.stdout, @r#"
    Edge inference runtime for factory robots: every observation answered by its deadline.

    Usage: genba <COMMAND>

    Commands:
      run      Serve the robots of a config until SIGTERM or SIGINT
      check    Check config, models and margins, and print each task's contract: exit 0, or 1 and the reasons
      audit    Verify, export or sum up what a box's journal says of what left it. Needs no box
      doctor   Say what this machine has of what models run on and hand-offs go by, what is missing and what to do: exit 0, or 1 if something is
      measure  Measure how long models take on a config's workers, and write timing records: exit 0, or 3 if inconclusive
      policy   Residency policies: what may leave the box
      spool    List, retry or purge dead letters: durable requests that failed. Asks the running box, or opens its file
      status   Print what a running box has answered so far
      help     Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version
    "#);
}

#[test]
fn the_status_of_no_box() {
    let said = Desk::new().run(&["status", "--config", "box.toml"]);
    assert_eq!(said.code, Some(1));
    assert_snapshot!(said.stderr, @r#"
    × no box answers on status.sock; does `genba run` run with this config, as the same user? Where the two see another XDG_RUNTIME_DIR, give the config a [box] status_socket
    ╰─▶ No such file or directory (os error 2)
    "#);
}

#[test]
fn the_status_of_a_box() {
    let genba = Genba::start(&BoxConfig { spare: true, ..BoxConfig::default() });
    let site = genba.site("steady");
    let stranger = Stranger::connect(&genba, &site);
    for sequence in [1, 2, 2, 3] {
        stranger.send(Frame::of(&site, 7, sequence).bytes());
        assert_ne!(stranger.hear().said, Said::Fallback(Reason::Late.row().number));
    }
    stranger.query(&site.observation_key).expect_err("a topic is no service");
    let said = Printed::from(genba.ask(&["status"]));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let (first, rest) = said.stdout.split_once('\n').expect("it has several lines");
    assert!(first.starts_with(&format!("genba {}  box box  boot ", env!("CARGO_PKG_VERSION"))), "{first}");
    // How long the inferences took is another matter each time.
    let steady =
        |line: &str| line.split_once(" at once, ").map_or(line.to_owned(), |(kept, _)| kept.to_owned() + " at once, …");
    let rest: Vec<_> = rest.lines().map(steady).collect();
    assert_snapshot!(rest.join("\n"), @r#"
    model policy: on cpu
    worker first: active, 3 inferences of 3 observations, at most 1 at once, …
    worker second: spare, 0 inferences of 0 observations, at most 0 at once, …

    robot/task                 received      model  fallback superseded  refused  missed in flight  unseen
    steady/track                      4          3         0          0        1       0         0       3
    total, strays included            4          3         0          0        1       0         0        
               1 x E-206 sequence (refused)
    requests: 1 received, 1 refused
    1 of 1 connections are unmeasured: no timing record holds for them
    "#);
}

#[test]
fn a_second_box_in_the_same_place() {
    let genba = Genba::start(&BoxConfig::default());
    let config = fs::read_to_string(genba.config()).expect("the config can be read");
    let second = |name: &str, config: String| {
        fs::write(genba.folder().join(name), config).expect("the temporary folder can be written");
        Printed::by(command().args(["run", "--config", name]).current_dir(genba.folder()))
    };
    let same_socket = second("same-socket.toml", config.replace(genba.endpoint(), "tcp/127.0.0.1:0"));
    assert_eq!(same_socket.code, Some(1), "{same_socket:?}");
    assert_snapshot!(same_socket.stderr, @r#"
    × a box answers already on status.sock
    help: stop the other box, or give this one another [box] name or status_socket
    "#);
    let same_endpoint = second("same-endpoint.toml", config.replace("status.sock", "other.sock"));
    assert_eq!(same_endpoint.code, Some(1), "{same_endpoint:?}");
    let expected = format!("cannot listen on \"{}\"", genba.endpoint());
    assert!(same_endpoint.stderr.contains(&expected), "{same_endpoint:?}");
    // The first is none the worse for it.
    assert_eq!(genba.status().workers(), ["active"]);
    assert!(genba.is_alive());
}
