//! A box's config, written anew for each test.

use std::path::{Path, PathBuf};

use crate::{genba::repository, scheduling};

/// What a test wants of its box. The rest is the same for all.
#[derive(Debug, Clone)]
pub struct BoxConfig {
    /// The model that answers, by its folder under `models`.
    pub model: &'static str,
    /// The most observations that one inference may answer.
    pub max_batch: usize,
    /// How long its timing record is measured before the box starts: by medians, which take 20 samples; 0: not at all.
    pub measured_s: u64,
    /// How often a robot asks at most.
    pub min_period_us: u64,
    /// How much sooner than that an observation may come.
    pub arrival_jitter_us: u64,
    /// From arrival to answer.
    pub deadline_us: u64,
    /// The least margin: the canary must be later than the margin to spoil a window.
    pub margin_us: u64,
    /// How long a fallback repeats the last action.
    pub hold_ms: u64,
    /// Who is served.
    pub robots: Vec<&'static str>,
    /// Whether a second worker waits.
    pub spare: bool,
    /// More of the task.
    pub task_options: &'static str,
    /// What joins the task's observations, as it is written below it.
    pub inputs: &'static str,
    /// Where every robot's input `camera` is published; none: each has its own topic.
    pub camera_key: Option<&'static str>,
    /// The first worker's cores; empty: any.
    pub cores: Vec<usize>,
    /// Another folder in which the model is.
    pub folder: Option<PathBuf>,
    /// See the box's own config.
    pub max_overruns: u8,
    /// See the box's own config.
    pub overrun_window_ms: u64,
    /// See the box's own config.
    pub hang_ms: u64,
    /// Who asks for the same model's values now and then, by a task of their own.
    pub clients: Vec<Client>,
    /// What follows the endpoint, such as `#so_sndbuf=8192`.
    pub endpoint_options: &'static str,
    /// `None`: the box as it is shipped.
    pub counting: Option<Counting>,
}

/// A box that counts its own allocations on the way of what it answers.
#[derive(Debug, Clone)]
pub struct Counting {
    /// The program that was built so.
    pub program: PathBuf,
    /// It allocates on purpose for each observation and request that it takes in: the negative control.
    pub planted: bool,
}

/// A client of one-off requests; see the box's own config.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the fields of the config")]
pub struct Client {
    pub name: &'static str,
    pub min_period_us: u64,
    pub arrival_jitter_us: u64,
    pub queue: usize,
}

impl Default for BoxConfig {
    /// One robot at 500 Hz; no quarantine but for a hang of 20 s.
    fn default() -> Self {
        Self {
            model: "ur5e-conveyor-demo",
            max_batch: 64,
            measured_s: 0,
            min_period_us: 1,
            arrival_jitter_us: 1_000_000,
            deadline_us: 8_000,
            margin_us: 3_000,
            hold_ms: 250,
            robots: vec!["steady"],
            spare: false,
            task_options: "",
            inputs: "",
            camera_key: None,
            cores: Vec::new(),
            folder: None,
            // Sixteen overruns never fit into one millisecond.
            max_overruns: 16,
            overrun_window_ms: 1,
            hang_ms: 20_000,
            clients: Vec::new(),
            endpoint_options: "",
            counting: None,
        }
    }
}

/// What every test's keys begin with.
pub(crate) const PREFIX: &str = "test/cell";
/// Every test's one task.
pub(crate) const TASK: &str = "track";
/// The task of one-off requests, where there are clients.
pub(crate) const INSPECT: &str = "inspect";
/// Every test's box.
pub(crate) const NAME: &str = "box";

impl BoxConfig {
    /// The config's text.
    #[must_use]
    pub fn text(&self, endpoint: &str) -> String {
        let Self { model, deadline_us, margin_us, hold_ms, max_overruns, overrun_window_ms, hang_ms, .. } = self;
        let Self { max_batch, min_period_us, arrival_jitter_us, .. } = self;
        let quantile = if self.measured_s > 0 { "execution_quantile = 0.5\n" } else { "" };
        let in_the_tree = || repository().join("models").join(model);
        let folder = self.folder.clone().unwrap_or_else(in_the_tree);
        let folder = folder.display();
        let spare = if self.spare { "[[worker]]\nname = \"second\"\nspare = true\n" } else { "" };
        let camera = self.camera_key.map(|key| format!(", input_keys = {{ camera = {key:?} }}")).unwrap_or_default();
        let robots: Vec<_> = self.robots.iter().map(|name| format!("{{ name = {name:?}{camera} }}")).collect();
        let (task_options, inputs, cores) = (self.task_options, self.inputs, &self.cores);
        let (robots, options, priority) = (robots.join(", "), self.endpoint_options, scheduling::ENGINE);
        let inspect = self.inspect();
        format!(
            r#"
[box]
name = "{NAME}"
key_prefix = "{PREFIX}"
status_socket = "status.sock"

[link]
listen = ["{endpoint}{options}"]

[realtime]
fifo_priority = {priority}
lock_memory = true

[timing]
margin_us = {margin_us}

[quarantine]
max_overruns = {max_overruns}
overrun_window_ms = {overrun_window_ms}
hang_ms = {hang_ms}

[[model]]
name = "policy"
folder = "{folder}"
max_batch = {max_batch}

[[worker]]
name = "first"
cores = {cores:?}
{spare}
[[task]]
name = "{TASK}"
model = "policy"
deadline_us = {deadline_us}
min_period_us = {min_period_us}
arrival_jitter_us = {arrival_jitter_us}
{quantile}{task_options}
hold_ms = {hold_ms}
robots = [{robots}]
{inputs}{inspect}"#
        )
    }

    /// The clients' task: their budget is as long as a hang that no robot would wait for.
    fn inspect(&self) -> String {
        if self.clients.is_empty() {
            return String::new();
        }
        let client = |client: &Client| {
            let Client { name, min_period_us, arrival_jitter_us, queue } = client;
            format!(
                "{{ name = {name:?}, min_period_us = {min_period_us}, arrival_jitter_us = {arrival_jitter_us}, \
                 queue = {queue} }}"
            )
        };
        let clients: Vec<_> = self.clients.iter().map(client).collect();
        let clients = clients.join(", ");
        format!("\n[[task]]\nname = \"{INSPECT}\"\nmodel = \"policy\"\ndeadline_us = 5000000\nclients = [{clients}]\n")
    }

    pub(crate) fn write(&self, path: &Path, endpoint: &str) {
        std::fs::write(path, self.text(endpoint)).expect("the temporary folder can be written");
    }
}
