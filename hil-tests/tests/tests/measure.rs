//! `genba measure` as an integrator uses it: the real binary, real models, records that `genba check` then finds.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{BoxConfig, Genba, Printed, command, repository};

/// A folder with a config, in the default class so that every machine grants what it asks for.
struct Desk(TempDir);

const CONFIG: &str = r#"[box]
name = "measured"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["tcp/127.0.0.1:0"]

[[model]]
name = "policy"
folder = "MODEL"

[[worker]]
name = "first"

[[task]]
name = "track"
model = "policy"
deadline_us = 200000
min_period_us = 100000
hold_ms = 250
robots = [{ name = "left" }]
"#;

impl Desk {
    fn new() -> Self {
        let this = Self(TempDir::new().expect("a temporary folder can be made"));
        this.write(&config());
        this
    }

    fn write(&self, config: &str) {
        fs::write(self.path("box.toml"), config).expect("the temporary folder can be written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.args(arguments).args(["--config", "box.toml"]).current_dir(self.0.path()).env("NO_COLOR", "1");
        command
    }

    fn run(&self, arguments: &[&str]) -> Printed {
        Printed::from(self.command(arguments).output().expect("genba runs"))
    }

    /// What `check` knows of the one task.
    fn checked(&self) -> Value {
        let said = self.run(&["check", "--json"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        json(&said.stdout)["tasks"][0].clone()
    }
}

fn config() -> String {
    CONFIG.replace("MODEL", &repository().join("models/ur5e-conveyor").display().to_string())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON and nothing else")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("it was written")
}

/// A median takes 20 samples, which any machine manages in these seconds; a busy one not 10,000.
fn desk_with_a_record() -> (Desk, Value) {
    let desk = Desk::new();
    desk.write(&config().replace("hold_ms", "execution_quantile = 0.5\nhold_ms"));
    let said = desk.run(&["measure", "policy", "--seconds", "3", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let found = json(&said.stdout)[0].clone();
    (desk, found)
}

#[test]
fn what_was_measured_is_what_check_finds() {
    let (desk, found) = desk_with_a_record();
    let record = json(&read(&desk.path(found["record"].as_str().expect("a path"))));
    let digest = "d33d3cb211cc43011fb343543a08de1f8cd7a1f0c38be1380638e74061e8a442";
    assert_eq!(record["binding"]["model_sha256"], digest);
    assert_eq!(record["origin"]["inputs"]["kind"], "golden", "the model's own observations");
    let scenes = record["scenes"].as_array().expect("scenes");
    let kinds: Vec<_> = scenes.iter().filter_map(|scene| scene["scene"]["kind"].as_str()).collect();
    assert_eq!(kinds[..3], ["cold", "session", "alone"]);
    for scene in scenes {
        let samples = scene["samples"].as_u64().expect("a count");
        for (quantile, needs) in [("0.5", 20), ("0.9", 100), ("0.99", 1_000), ("0.999", 10_000), ("0.9999", 100_000)] {
            let stated = !scene["quantiles_ns"][quantile].is_null();
            assert_eq!(stated, samples >= needs, "ten of {samples} samples beyond {quantile}");
        }
    }
    let page = read(&desk.path(found["page"].as_str().expect("a path")));
    assert!(page.contains(digest) && page.contains("<svg") && !page.contains("http"));

    let task = desk.checked();
    assert_eq!(task["measured"], true, "{task}");
    assert_eq!(task["execution_us"], found["execution_us"]);
    assert_eq!(task["timing_record"], found["record"]);
}

#[test]
fn record_holds_for_what_was_measured_and_nothing_else() {
    let (desk, _) = desk_with_a_record();
    let good = read(&desk.path("box.toml"));
    let why = |config: &str| {
        desk.write(config);
        let task = desk.checked();
        assert_eq!(task["measured"], false, "{task}");
        task["unmeasured"].as_str().expect("a reason").to_owned()
    };
    let second = why(&good.replace("[[task]]", "[[worker]]\nname = \"second\"\n\n[[task]]"));
    assert!(second.contains("co-runners: measured \"none\""), "{second}");
    let demo = good.replace("\"policy\"", "\"demo\"").replace("ur5e-conveyor", "ur5e-conveyor-demo");
    assert_eq!(why(&demo), "no timing record");
    let strict = why(&good.replace("execution_quantile = 0.5", "execution_quantile = 0.999999"));
    assert!(strict.contains("too few samples for the quantile 0.999999"), "{strict}");
    // The negative control.
    desk.write(&good);
    assert_eq!(desk.checked()["measured"], true);
}

#[test]
fn a_set_whose_models_can_be_late_is_refused_unless_that_is_accepted() {
    let (desk, _) = desk_with_a_record();
    let good = read(&desk.path("box.toml"));
    let said = desk.run(&["check"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stdout.contains("workers   first: every model is in time"), "{said:?}");

    let clients = "clients = [{ name = \"inspection\", min_period_us = 1000 }]";
    let task = "[[task]]\nname = \"inspect\"\nmodel = \"policy\"\ndeadline_us = 900000\nexecution_quantile = 0.5\n";
    desk.write(&format!("{good}\n{task}{clients}\n"));
    let said = desk.run(&["check"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let behind = "every model is in time, whatever the controllers do, also behind a one-off request of `inspect`";
    assert!(said.stdout.contains(behind), "{said:?}");
    assert!(said.stdout.contains("at most each 1.000 ms; a request may hold up track for "), "{said:?}");

    desk.write(&good.replace("min_period_us = 100000", "min_period_us = 1"));
    let said = desk.run(&["check"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stdout.contains("workers   first: overloaded"), "{said:?}");
    let said = desk.run(&["run"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("first: overloaded") && said.stderr.contains("--accept-late"), "{said:?}");

    let mut command = desk.command(&["run", "--accept-late"]);
    tests::end_with_parent(&mut command);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("genba runs");
    let lines = BufReader::new(child.stderr.take().expect("its log is piped")).lines().map_while(Result::ok);
    let log: Vec<_> = lines.take_while(|line| !line.contains("ready: boot")).collect();
    assert!(log.iter().any(|line| line.contains("each response is marked unschedulable")), "{log:?}");
    child.kill().expect("it still serves");
    child.wait().expect("it ends");
}

#[test]
fn workers_that_share_the_machine_are_measured_beside_each_other() {
    let desk = Desk::new();
    let two = "execution_quantile = 0.5\n[[worker]]\nname = \"second\"\n\n[[worker]]\nname = \"spare\"\nspare = true\n";
    let (quantile, workers) = two.split_once('\n').expect("two lines");
    let config = config().replace("hold_ms", &format!("{quantile}\nhold_ms"));
    desk.write(&config.replace("[[task]]", &format!("{workers}\n[[task]]")));
    let said = desk.run(&["measure", "--seconds", "3", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let found = json(&said.stdout);
    assert_eq!(found.as_array().map(Vec::len), Some(1), "each of the three stands in the same place: {found}");
    let record = json(&read(&desk.path(found[0]["record"].as_str().expect("a path"))));
    assert_eq!(record["binding"]["co_runners"].as_array().map(Vec::len), Some(1));
    let beside = record["scenes"].as_array().expect("scenes").iter().filter(|scene| scene["scene"]["kind"] == "beside");
    assert!(beside.clone().count() > 0 && beside.clone().all(|scene| scene["samples"].as_u64() > Some(0)));
    assert_eq!(desk.checked()["measured"], true);
}

#[test]
fn too_few_samples_are_inconclusive() {
    let desk = Desk::new();
    desk.write(&config().replace("hold_ms", "execution_quantile = 0.999999\nhold_ms"));
    let said = desk.run(&["measure", "policy", "--seconds", "1"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.stdout.contains("too few samples for the quantile 0.999999: it takes 10000000"), "{said:?}");
}

#[test]
fn box_without_real_time_rights_is_inconclusive_and_its_record_says_so() {
    let desk = Desk::new();
    let fifo = config().replace("[link]", "[realtime]\nfifo_priority = 50\n\n[link]");
    desk.write(&fifo.replace("hold_ms", "execution_quantile = 0.5\nhold_ms"));
    let said = without_rights(desk.command(&["measure", "policy", "--seconds", "1", "--json"]));
    assert_eq!(said.code, Some(3), "{said:?}");
    let found = json(&said.stdout)[0].clone();
    assert!(found["inconclusive"][0].as_str().is_some_and(|why| why.contains("SCHED_FIFO")), "{found}");
    let record = json(&read(&desk.path(found["record"].as_str().expect("a path"))));
    assert_eq!(record["binding"]["scheduling"], "default class");
}

#[test]
fn model_that_is_not_there_is_a_usage_error() {
    let desk = Desk::new();
    let said = desk.run(&["measure", "police"]);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.stderr.contains("there is no model \"police\"") && said.stderr.contains("there are: policy"),
        "{said:?}"
    );
    assert!(!desk.path("timing").exists());
}

#[test]
fn running_box_is_not_disturbed() {
    let genba = Genba::start(&BoxConfig::default());
    let said = Printed::from(genba.ask(&["measure", "--seconds", "1"]));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.stderr.contains("a box with this config is running"), "{said:?}");
    assert!(genba.is_alive());
}

#[test]
fn observations_that_do_not_fit_are_refused() {
    let desk = Desk::new();
    let (source, target) = (repository().join("models/ur5e-conveyor"), desk.path("model"));
    fs::create_dir(&target).expect("the temporary folder can be written");
    for file in ["model.toml", "model.onnx"] {
        fs::copy(source.join(file), target.join(file)).expect("the model can be copied");
    }
    // As a model that does not declare them: what is declared is refused where it changed.
    let manifest = fs::read_to_string(target.join("model.toml")).expect("it was just copied");
    let (before, _) = manifest.split_once("[golden]").expect("it declares them");
    fs::write(target.join("model.toml"), before).expect("the temporary folder can be written");
    desk.write(&CONFIG.replace("MODEL", "model"));
    for (golden, complaint) in [
        (r#"{"vectors": [{"observation": [1, 2]}]}"#, "observation 0 has 2 numbers, and the model takes 21"),
        (r#"{"vectors": []}"#, "there is no observation in it"),
        ("{", "holds no observations"),
    ] {
        fs::write(target.join("golden.json"), golden).expect("the temporary folder can be written");
        let said = desk.run(&["measure", "model", "--seconds", "1"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains("model/golden.json") && said.stderr.contains(complaint), "{said:?}");
    }
}

/// Runs a command that may not use `SCHED_FIFO`, whoever runs the test.
#[allow(unsafe_code, reason = "std drops no capability")]
fn without_rights(mut command: Command) -> Printed {
    /// linux/capability.h; libc does not name it.
    const CAP_SYS_NICE: libc::c_ulong = 23;
    let drop_rights = || {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: takes numbers. Who may not drop the capability does not have it.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_NICE) };
        // SAFETY: `none` is a valid rlimit.
        unsafe { libc::setrlimit(libc::RLIMIT_RTPRIO, &raw const none) };
        Ok(())
    };
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(drop_rights) };
    Printed::from(command.output().expect("genba runs"))
}
