//! A box's config, written anew for each test.

use std::path::{Path, PathBuf};

use crate::{genba::repository, scheduling};

/// What a test wants of its box. The rest is the same for all.
#[derive(Debug, Clone)]
pub struct BoxConfig {
    /// The model that answers, by its folder under `models`.
    pub model: &'static str,
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
    /// How often a robot asks at most, and how much sooner an observation may come.
    pub period_us: (u64, u64),
    /// More of the task.
    pub task_options: &'static str,
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
    /// What follows the endpoint, such as `#so_sndbuf=8192`.
    pub endpoint_options: &'static str,
}

impl Default for BoxConfig {
    /// One robot at 500 Hz; no quarantine but for a hang of 20 s.
    fn default() -> Self {
        Self {
            model: "ur5e-conveyor-demo",
            deadline_us: 8_000,
            margin_us: 3_000,
            hold_ms: 250,
            robots: vec!["steady"],
            spare: false,
            period_us: (1, 1_000_000),
            task_options: "",
            cores: Vec::new(),
            folder: None,
            // Sixteen overruns never fit into one millisecond.
            max_overruns: 16,
            overrun_window_ms: 1,
            hang_ms: 20_000,
            endpoint_options: "",
        }
    }
}

/// What every test's keys begin with.
pub(crate) const PREFIX: &str = "test/cell";
/// Every test's one task.
pub(crate) const TASK: &str = "track";
/// Every test's box.
pub(crate) const NAME: &str = "box";

impl BoxConfig {
    /// The config's text.
    #[must_use]
    pub fn text(&self, endpoint: &str) -> String {
        let Self { model, deadline_us, margin_us, hold_ms, max_overruns, overrun_window_ms, hang_ms, .. } = self;
        let in_the_tree = || repository().join("models").join(model);
        let folder = self.folder.clone().unwrap_or_else(in_the_tree);
        let folder = folder.display();
        let spare = if self.spare { "[[worker]]\nname = \"second\"\nspare = true\n" } else { "" };
        let robots: Vec<_> = self.robots.iter().map(|name| format!("{{ name = {name:?} }}")).collect();
        let ((period_us, jitter_us), task_options, cores) = (self.period_us, self.task_options, &self.cores);
        let (robots, options, priority) = (robots.join(", "), self.endpoint_options, scheduling::ENGINE);
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

[[worker]]
name = "first"
cores = {cores:?}
{spare}
[[task]]
name = "{TASK}"
model = "policy"
deadline_us = {deadline_us}
min_period_us = {period_us}
arrival_jitter_us = {jitter_us}
{task_options}
hold_ms = {hold_ms}
robots = [{robots}]
"#
        )
    }

    pub(crate) fn write(&self, path: &Path, endpoint: &str) {
        std::fs::write(path, self.text(endpoint)).expect("the temporary folder can be written");
    }
}
