//! The box: `genba run` with a config of its own, as an operator would start it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::scheduling::{BOX_PRIORITY, Place};
use crate::subject::{ROBOT, Subject, TASK};

/// A running box.
pub(crate) struct Genba {
    pub(crate) process: Process,
    program: PathBuf,
    folder: TempDir,
}

/// What a box says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Status(Value);

/// Far longer than any round trip: no pause of the machine makes a fallback of an answer.
const DEADLINE_US: u64 = 100_000;

const CONFIG: &str = "bench.toml";
const LOG: &str = "genba.log";

impl Genba {
    /// Starts `program run`; it listens on `endpoint`.
    pub(crate) fn start(program: &Path, model: &Path, endpoint: &str, place: Place) -> Result<Self> {
        let model = model.canonicalize().into_diagnostic()?;
        Self::start_with(program, |socket| config(&model, endpoint, place, socket), |_| ())
    }

    /// Starts `program run` with a config that is told its status socket; `seat` says where it runs.
    pub(crate) fn start_with(
        program: &Path,
        config: impl FnOnce(&Path) -> String,
        seat: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let folder = TempDir::with_prefix("genba-bench-").into_diagnostic()?;
        fs::write(folder.path().join(CONFIG), config(&folder.path().join("status.sock"))).into_diagnostic()?;
        let log = File::create(folder.path().join(LOG)).into_diagnostic()?;
        let mut command = Command::new(program);
        command.args(["run", "--accept-late", "--config"]).arg(folder.path().join(CONFIG));
        command.stdin(Stdio::null()).stdout(log.try_clone().into_diagnostic()?).stderr(log);
        seat(&mut command);
        let process = Process::start(&mut command).into_diagnostic().wrap_err_with(|| {
            format!(
                "cannot start {}; `cargo build --release -p genba` makes it, --genba names another",
                program.display()
            )
        })?;
        Ok(Self { process, program: program.to_owned(), folder })
    }

    /// An error, with the box's own words, if it has ended.
    pub(crate) fn is_running(&mut self) -> Result<()> {
        let log = self.folder.path().join(LOG);
        self.process.is_running().wrap_err_with(|| {
            let log = fs::read_to_string(log).unwrap_or_default();
            format!("genba run:\n{log}")
        })
    }

    /// `genba status`.
    pub(crate) fn status(&self) -> Result<Status> {
        let mut command = Command::new(&self.program);
        command.args(["status", "--json", "--config"]).arg(self.folder.path().join(CONFIG));
        let said = command.output().into_diagnostic()?;
        if !said.status.success() {
            return Err(miette!("genba status: {}", String::from_utf8_lossy(&said.stderr)));
        }
        serde_json::from_slice(&said.stdout).into_diagnostic().map(Status)
    }
}

impl Status {
    /// One of the counts over all connections.
    pub(crate) fn total(&self, count: &str) -> Result<u64> {
        let found = self.0.pointer(&format!("/total/{count}")).and_then(Value::as_u64);
        found.ok_or_else(|| miette!("`genba status --json` has no total.{count}"))
    }

    /// What its first worker has done: inferences, observations in them, and the microseconds that they took.
    pub(crate) fn first_worker(&self) -> Result<[u64; 3]> {
        let count = |name: &str| {
            let found = self.0.pointer(&format!("/workers/0/{name}")).and_then(Value::as_u64);
            found.ok_or_else(|| miette!("`genba status --json` has no workers[0].{name}"))
        };
        Ok([count("inferences")?, count("observations")?, count("execution_us")?])
    }

    /// How often each reason was given since then, of those that were.
    pub(crate) fn reasons_since(&self, before: &Self) -> Vec<(String, u64)> {
        let count = |reason: &Value| reason.get("count").and_then(Value::as_u64).unwrap_or(0);
        let name =
            |reason: &Value| Some(format!("{} {}", reason.get("number")?.as_str()?, reason.get("name")?.as_str()?));
        let reasons = |status: &Self| -> Vec<(String, u64)> {
            let listed = status.0.pointer("/total/reasons").and_then(Value::as_array).into_iter().flatten();
            listed.filter_map(|reason| Some((name(reason)?, count(reason)))).collect()
        };
        let earlier = reasons(before);
        let then = |name: &str| earlier.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
        let grown = reasons(self).into_iter().map(|(name, count)| (count.saturating_sub(then(&name)), name));
        grown.filter(|(count, _)| *count > 0).map(|(count, name)| (name, count)).collect()
    }

    /// Whether the box's ledger balances.
    pub(crate) fn balances(&self) -> bool {
        self.0.pointer("/total/balances") == Some(&Value::Bool(true))
    }

    /// The box's scheduling class and margin, in its own words.
    pub(crate) fn scheduling(&self) -> String {
        let field = |name| self.0.get(name).map_or_else(|| "?".to_owned(), |value| value.to_string().replace('"', ""));
        format!("{}, margin {} us", field("scheduling"), field("margin_us"))
    }

    /// The allocations that the box counted itself; only one that was built to count says so.
    pub(crate) fn own_allocations(&self) -> Option<u64> {
        self.0.get("own_allocations").and_then(Value::as_u64)
    }
}

/// Next to this program, where cargo puts both.
pub(crate) fn beside_this_program() -> Result<PathBuf> {
    Ok(std::env::current_exe().into_diagnostic()?.with_file_name("genba"))
}

fn config(model: &Path, endpoint: &str, place: Place, socket: &Path) -> String {
    let (realtime, cores) = match place {
        Place::Anywhere => (String::new(), String::new()),
        Place::FifoOn(core) => (
            format!("[realtime]\nfifo_priority = {BOX_PRIORITY}\nengine_cores = [{core}]\nlock_memory = true\n"),
            format!("cores = [{core}]\n"),
        ),
    };
    let prefix = Subject::Box.key_prefix();
    let [model, socket] = [model, socket].map(|path| format!("{:?}", path.to_string_lossy()));
    format!(
        r#"[box]
name = "bench"
key_prefix = "{prefix}"
status_socket = {socket}

[link]
listen = ["{endpoint}"]

{realtime}
[[model]]
name = "policy"
folder = {model}

[[worker]]
name = "cpu0"
{cores}
[[task]]
name = "{TASK}"
model = "policy"
deadline_us = {DEADLINE_US}
min_period_us = 1
arrival_jitter_us = 1000000
hold_ms = 1000
robots = [{{ name = "{ROBOT}" }}]
"#
    )
}
