//! What a user is told with the real ONNX Runtime for GPUs, on a machine that has none: a missing CUDA, a wrong major
//! version, no device, a partly placed model, wrong answers. Each test runs the real binary.
//!
//! The library comes out of the wheel onnxruntime-gpu, which only these tests fetch. Below it lies nothing, or stand-ins
//! for Nvidia's libraries that compute nothing: **none of this is a test on a GPU**.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{command, repository, skip, stand_ins, tensorrt_stand_ins};

const LIBRARY: &str = "libonnxruntime.so.1.31.1";
const PROVIDERS: [&str; 2] = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_tensorrt.so"];

/// The folder of the real library, fetched once; `None`, and said to whoever counts, where it cannot be had.
fn wheel() -> Option<&'static Path> {
    static WHEEL: OnceLock<Option<PathBuf>> = OnceLock::new();
    let fetched = WHEEL.get_or_init(|| {
        let target = repository().join("target/gpu-wheel");
        let fetch = Command::new("python3")
            .arg(repository().join("runtime/native.py"))
            .args(["--gpu", "--folder"])
            .arg(&target)
            .output();
        match fetch {
            Ok(done) if done.status.success() => Some(target.join("gpu")),
            Ok(done) => {
                skip(&format!("SKIPPED: no onnxruntime-gpu: {}", String::from_utf8_lossy(&done.stderr).trim()));
                None
            }
            Err(error) => {
                skip(&format!("SKIPPED: no onnxruntime-gpu: python3: {error}"));
                None
            }
        }
    });
    fetched.as_deref()
}

/// A config beside its folder of stand-ins.
struct Desk {
    folder: TempDir,
    stand_ins: PathBuf,
}

impl Desk {
    /// `model` is a folder of the tree; `provider` is written as in a config.
    fn new(wheel: &Path, model: &str, provider: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let stand_ins = folder.path().join("stand-ins");
        fs::create_dir(&stand_ins).expect("it can be made");
        let library = wheel.join(LIBRARY);
        let config = format!(
            r#"[box]
name = "box"
key_prefix = "test/cell"
status_socket = "status.sock"

[link]
listen = ["tcp/127.0.0.1:0"]

[onnx]
library = "{}"

[[model]]
name = "policy"
folder = "{}"
provider = {provider}

[[worker]]
name = "first"

[[task]]
name = "track"
model = "policy"
deadline_us = 200000
hold_ms = 250
robots = [{{ name = "left" }}]
min_period_us = 2000
"#,
            library.display(),
            repository().join(model).display()
        );
        fs::write(folder.path().join("box.toml"), config).expect("it can be written");
        Self { folder, stand_ins }
    }

    /// With stand-ins for all that the CUDA provider opens, and so many GPUs.
    fn with_stand_ins(self, wheel: &Path, devices: u32) -> Self {
        stand_ins(&PROVIDERS.map(|provider| wheel.join(provider)), devices, &self.stand_ins);
        self
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let output = command()
            .args(arguments)
            .args(["--config", "box.toml"])
            .current_dir(self.folder.path())
            .env("LD_LIBRARY_PATH", &self.stand_ins)
            .env("NO_COLOR", "1")
            .output();
        Said::from(output.expect("genba runs"))
    }

    /// What `check` and `run` refuse, which must be the same.
    fn refused(&self) -> String {
        let (check, run) = (self.run(&["check"]), self.run(&["run"]));
        assert_eq!((check.code, run.code), (Some(1), Some(1)), "{check:?} {run:?}");
        let complaint = |said: &Said| said.complaint.clone();
        assert_eq!(complaint(&check), complaint(&run));
        complaint(&check)
    }
}

/// What a command printed, without its log.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    complaint: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let no_log = |line: &&str| !line.starts_with('{');
        let complaint: Vec<_> = text(&output.stderr).lines().filter(no_log).map(str::to_owned).collect();
        Self { code: output.status.code(), stdout: text(&output.stdout), complaint: complaint.join("\n") }
    }
}

const POLICY: &str = "models/ur5e-conveyor";
const PARTLY: &str = "hil-tests/tests/models/partly";

#[track_caller]
fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

#[test]
fn a_missing_cuda_fails_the_start_and_says_which_library() {
    let Some(wheel) = wheel() else { return };
    let told = Desk::new(wheel, POLICY, "\"cuda:0\"").refused();
    says(
        &told,
        &[
            "model.toml: cuda:0 cannot be used: ",
            "libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file",
            "libcublasLt.so.13, of CUDA, is not where the loader looks; `genba doctor` says what to install",
        ],
    );
    let told = Desk::new(wheel, POLICY, "\"tensorrt:0\"").refused();
    says(&told, &["model.toml: tensorrt:0 cannot be used: ", "libcublas.so.13: cannot open shared object file"]);
}

#[test]
fn a_wrong_major_version_is_named_as_that() {
    let Some(wheel) = wheel() else { return };
    let desk = Desk::new(wheel, POLICY, "\"tensorrt:0\"").with_stand_ins(wheel, 1);
    let newest = desk.stand_ins.join("libnvinfer.so.11");
    fs::write(&newest, "").expect("it can be written");
    let other = newest.display().to_string();
    says(
        &desk.refused(),
        &[
            "libnvinfer.so.10: cannot open shared object file",
            &format!(
                "libnvinfer.so.10 is missing, and {other} is another major version of TensorRT: this ONNX Runtime takes 10 only"
            ),
        ],
    );
}

#[test]
fn without_a_device_the_start_fails_though_every_library_is_there() {
    let Some(wheel) = wheel() else { return };
    let told = Desk::new(wheel, POLICY, "\"cuda:0\"").with_stand_ins(wheel, 0).refused();
    says(&told, &["cuda:0 cannot be used: ", "CUDA failure 100: no CUDA-capable device is detected"]);
}

/// It reads its options before it looks for its device: had it not taken one of them, it would say so here.
#[test]
fn tensorrt_takes_its_options_and_then_finds_no_device() {
    let Some(wheel) = wheel() else { return };
    let desk = Desk::new(wheel, POLICY, "\"tensorrt:0\"").with_stand_ins(wheel, 0);
    tensorrt_stand_ins(&desk.stand_ins);
    let told = desk.refused();
    says(&told, &["tensorrt:0", "CUDA failure 100: no CUDA-capable device is detected"]);
}

#[test]
fn a_device_that_is_not_there_is_refused() {
    let Some(wheel) = wheel() else { return };
    let told = Desk::new(wheel, POLICY, "\"cuda:7\"").with_stand_ins(wheel, 1).refused();
    says(&told, &["cuda:7 cannot be used: ", "Invalid device ID: 7, must be between 0 (inclusive) and 1 (exclusive)"]);
}

/// Invariant 10.
#[test]
fn a_partly_placed_model_fails_the_start_and_says_which_operators() {
    let Some(wheel) = wheel() else { return };
    let told = Desk::new(wheel, PARTLY, "\"cuda:0\"").with_stand_ins(wheel, 1).refused();
    says(
        &told,
        &[
            "cuda:0 holds only part of the model: 1 of 4 operators are not on it: ",
            "Det \"determinant\" is on CPUExecutionProvider",
        ],
    );
}

/// The negative control of the one above: the same library with the same stand-ins takes a whole model, all options
/// included. What it computes is nothing, and that is noticed too.
#[test]
fn a_wholly_placed_model_that_answers_wrongly_fails_the_start() {
    let Some(wheel) = wheel() else { return };
    let told = Desk::new(wheel, POLICY, "\"cuda:0\"").with_stand_ins(wheel, 1).refused();
    says(&told, &["on cuda:0 the output \"torque\" differs by ", "it is not the model that was signed off"]);
}

#[test]
fn a_list_goes_on_aloud_and_to_nothing_that_is_not_in_it() {
    let Some(wheel) = wheel() else { return };
    let all = Desk::new(wheel, PARTLY, r#"["tensorrt:0", "cuda:0", "cpu"]"#).with_stand_ins(wheel, 1);
    let said = all.run(&["check", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let found: Value = serde_json::from_str(&said.stdout).expect("it prints JSON");
    let task = &found["tasks"][0];
    assert_eq!(task["provider"], "cpu", "{found}");
    let passed: Vec<_> = task["passed"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let [tensorrt, cuda] = passed[..] else { panic!("{found}") };
    says(tensorrt, &["not on tensorrt:0: ", "libnvinfer.so.10"]);
    says(cuda, &["not on cuda:0: ", "holds only part of the model"]);

    let without_cpu = Desk::new(wheel, PARTLY, r#"["tensorrt:0", "cuda:0"]"#).with_stand_ins(wheel, 1).refused();
    says(
        &without_cpu,
        &["none of the listed providers holds the whole model", "not on tensorrt:0: ", "not on cuda:0: "],
    );
}

#[test]
fn the_doctor_says_what_each_provider_said_and_what_to_install() {
    let Some(wheel) = wheel() else { return };
    let desk = Desk::new(wheel, POLICY, r#"["tensorrt:0", "cuda:0"]"#);
    let said = desk.run(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let found: Value = serde_json::from_str(&said.stdout).expect("it prints JSON");
    assert_eq!(found["models"][0]["provider"], Value::Null);
    let needs = |provider: usize| {
        let needs = found["providers"][provider]["needs"].as_array().expect("a list").iter();
        needs.filter_map(|need| need["library"].as_str()).collect::<Vec<_>>()
    };
    assert_eq!(found["providers"][0]["usable"], true, "the processor");
    let tensorrt = [
        "libcublas.so.13",
        "libnvinfer.so.10",
        "libnvonnxparser.so.10",
        "libcudart.so.13",
        "libcudnn.so.9",
        "libcufft.so.12",
    ];
    assert_eq!(needs(1), tensorrt);
    let cuda = [
        "libcublasLt.so.13",
        "libcublas.so.13",
        "libcurand.so.10",
        "libcudart.so.13",
        "libcuda.so.1",
        "libcudnn.so.9",
        "libcufft.so.12",
    ];
    assert_eq!(needs(2), cuda);
    let human = desk.run(&["doctor"]).stdout;
    says(&human, &["provider  cpu can be used", "provider  cuda:0 cannot be used: ", "bad       something is missing"]);
    says(&human, &["PyPI's newest `tensorrt` is TensorRT 11", "nvidia-cudnn-cu13~=9.0", "580 or newer"]);
}
