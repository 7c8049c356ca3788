//! The config: TOML, parsed once into types that cannot be wrong; each error names file, line and what to do.

mod check;
mod cluster;
mod error;
mod joined;
mod plans;
mod raw;
mod residency;
mod spool;

use std::{
    fs, iter,
    path::{Path, PathBuf},
};

use engine::{Degraded, Duration, SampleClock, residency::Class};
use onnx_model::Provider;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::timing::Quantile;
pub(crate) use cluster::{ClusterConfig, IdentityConfig, JournalConfig};
pub(crate) use error::{ConfigError, File};
pub(crate) use plans::{Interpolation, PlansConfig};
use raw::RawConfig;
pub(crate) use spool::{DurableConfig, SpoolConfig};

/// The longest config that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A box's config, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// Its file.
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) link: zenoh_link::Settings,
    pub(crate) status_socket: PathBuf,
    pub(crate) realtime: Realtime,
    pub(crate) quarantine: Quarantine,
    pub(crate) min_margin: Duration,
    /// The folder of the timing records.
    pub(crate) records: PathBuf,
    pub(crate) onnx_library: Option<PathBuf>,
    /// The folder of the engines that `TensorRT` builds.
    pub(crate) engines: PathBuf,
    pub(crate) models: Vec<ModelConfig>,
    pub(crate) workers: Vec<WorkerConfig>,
    pub(crate) clusters: Vec<ClusterConfig>,
    /// Where there are clusters.
    pub(crate) journal: Option<JournalConfig>,
    /// The residency policy's file. Where there are clusters.
    pub(crate) policy: Option<PathBuf>,
    /// Where there are durable requests.
    pub(crate) spool: Option<SpoolConfig>,
    pub(crate) tasks: Vec<TaskConfig>,
}

/// What the operating system is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Realtime {
    pub(crate) fifo_priority: Option<Priority>,
    pub(crate) engine_cores: Vec<usize>,
    pub(crate) lock_memory: bool,
}

/// A priority that leaves room for the threads below it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Priority(i32);

impl Priority {
    /// The engine's: deadlines come first.
    pub(crate) const fn engine(self) -> i32 {
        self.0
    }

    /// zenoh's threads'.
    pub(crate) const fn link(self) -> i32 {
        self.0 - 1
    }

    /// The workers': an inference never holds up a deadline or a frame.
    pub(crate) const fn worker(self) -> i32 {
        self.0 - 2
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match i32::deserialize(deserializer)? {
            priority @ 3..=99 => Ok(Self(priority)),
            other => Err(D::Error::custom(format!("fifo_priority must be between 3 and 99, not {other}"))),
        }
    }
}

/// When a worker is taken out of service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quarantine {
    pub(crate) max_overruns: u8,
    pub(crate) overrun_window_ms: u64,
    pub(crate) hang_ms: u64,
}

impl Default for Quarantine {
    fn default() -> Self {
        // Eight late answers in ten seconds are no accident; a second without an answer is a hang.
        Self { max_overruns: 8, overrun_window_ms: 10_000, hang_ms: 1_000 }
    }
}

/// One model.
#[derive(Debug)]
pub(crate) struct ModelConfig {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// In the order in which they are tried; at least one.
    pub(crate) providers: Vec<Provider>,
    /// The one that it runs on: the first until [`settle`](crate::providers::settle) has tried them.
    pub(crate) provider: Provider,
    /// Why it is on none of those before it.
    pub(crate) passed: Vec<String>,
    /// The most observations that one inference may answer.
    pub(crate) max_batch: usize,
}

/// One worker thread.
#[derive(Debug)]
pub(crate) struct WorkerConfig {
    pub(crate) name: String,
    /// Places in the config's models.
    pub(crate) models: Vec<usize>,
    pub(crate) spare: bool,
    pub(crate) cores: Vec<usize>,
}

/// One task, the robots that do it, and the clients that ask for it now and then.
#[derive(Debug)]
pub(crate) struct TaskConfig {
    pub(crate) name: String,
    /// Its place in the config's models.
    pub(crate) model: usize,
    pub(crate) deadline: Duration,
    /// How often a robot asks at most; without robots nobody asks for it.
    pub(crate) min_period: Duration,
    /// How much sooner than that an observation may arrive.
    pub(crate) arrival_jitter: Duration,
    /// What it does when its model is slower than its timing record says.
    pub(crate) degraded: Degraded,
    pub(crate) hold: Duration,
    /// The share of inferences that its execution time holds for.
    pub(crate) execution_quantile: Quantile,
    pub(crate) robots: Vec<RobotConfig>,
    pub(crate) clients: Vec<ClientConfig>,
    /// Who sends durable requests.
    pub(crate) durable: Vec<DurableConfig>,
    /// How it plays the plans of its model; `None` where that gives actions or results.
    pub(crate) plans: Option<PlansConfig>,
    /// What joins its observations; the plan brings it into the order of the model's inputs.
    pub(crate) inputs: Vec<InputConfig>,
    /// The data classes of its model's inputs, by their names; what is not among them is undeclared.
    pub(crate) data: Vec<(String, Class)>,
}

/// One robot and its keys.
#[derive(Debug)]
pub(crate) struct RobotConfig {
    pub(crate) name: String,
    pub(crate) observation_key: String,
    pub(crate) response_key: String,
    pub(crate) notice_key: String,
    /// Used where its task's model has state or gives plans.
    pub(crate) reset_key: String,
}

/// One input that joins a task's observations.
#[derive(Debug)]
pub(crate) struct InputConfig {
    /// The model's.
    pub(crate) name: String,
    /// The model does not run with an older sample.
    pub(crate) max_age: Duration,
    pub(crate) clock: SampleClock,
    /// For each of the task's robots, where its samples are published.
    pub(crate) keys: Vec<String>,
}

/// One client of one-off requests, and its key.
#[derive(Debug)]
pub(crate) struct ClientConfig {
    pub(crate) name: String,
    /// How often it asks at most.
    pub(crate) min_period: Duration,
    /// How much sooner than that a request may arrive.
    pub(crate) arrival_jitter: Duration,
    /// How many of its requests wait at most.
    pub(crate) queue: u8,
    pub(crate) infer_key: String,
}

impl Config {
    /// How many workers the engine has: the box's own, then each cluster's lanes.
    pub(crate) fn workers_and_lanes(&self) -> usize {
        self.workers.len() + self.clusters.iter().map(|cluster| cluster.lanes).sum::<usize>()
    }

    /// The name of one of them.
    pub(crate) fn worker_name(&self, worker: usize) -> Option<&str> {
        let lanes = self.clusters.iter().flat_map(|cluster| iter::repeat_n(cluster.name.as_str(), cluster.lanes));
        self.workers.iter().map(|worker| worker.name.as_str()).chain(lanes).nth(worker)
    }

    /// Where a model runs, for people: a provider of the box, or a cluster.
    pub(crate) fn place_of(&self, model: usize) -> String {
        let here = || self.models[model].provider.to_string();
        self.cluster_of(model).map_or_else(here, |cluster| format!("cluster {}", cluster.name))
    }

    /// The cluster that a model is asked of.
    pub(crate) fn cluster_of(&self, model: usize) -> Option<&ClusterConfig> {
        self.clusters.iter().find(|cluster| cluster.models.contains(&model))
    }

    /// Reads and checks a config. Relative paths in it are relative to its folder.
    pub(crate) fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > MAX_BYTES {
            return Err(unreadable(std::io::Error::other(format!("it has {size} bytes"))));
        }
        Self::parse(path, &fs::read_to_string(path).map_err(unreadable)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File { path, text };
        let raw: RawConfig = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            file.error(span, error.message().to_owned(), None)
        })?;
        raw.check(&file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../config/example.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("box.toml"), text)
    }

    /// The error of the example after a change, which must name the file and the changed line.
    fn refused(from: &str, to: &str) -> String {
        assert_eq!(EXAMPLE.matches(from).count(), 1, "{from:?} stands once in the example");
        let error = parse(&EXAMPLE.replace(from, to)).expect_err("it is refused").to_string();
        let before = EXAMPLE.split(from).next().unwrap_or_default();
        let place = format!("box.toml:{}: ", before.matches('\n').count() + 1);
        error.strip_prefix(&place).unwrap_or_else(|| panic!("{error:?} begins with {place:?}")).to_owned()
    }

    #[test]
    fn example_is_good_and_its_defaults_are_the_defaults() {
        let config = parse(EXAMPLE).expect("it is good");
        let default = Quarantine::default();
        assert_eq!(config.quarantine.max_overruns, default.max_overruns);
        assert_eq!(config.quarantine.overrun_window_ms, default.overrun_window_ms);
        assert_eq!(config.quarantine.hang_ms, default.hang_ms);
        assert_eq!(config.min_margin, Duration::ZERO);
        assert!(config.link.one_worker);
    }

    #[test]
    fn providers_are_one_or_a_list_in_the_order_of_trying() {
        let providers = |written: &str| {
            let text = EXAMPLE.replace("provider = \"cpu\"", &format!("provider = {written}"));
            parse(&text).expect("it is good").models[0].providers.clone()
        };
        assert_eq!(providers("\"cuda:1\""), [Provider::Cuda { device: 1 }]);
        let all = [Provider::TensorRt { device: 0 }, Provider::Cuda { device: 0 }, Provider::Cpu];
        assert_eq!(providers("[\"tensorrt\", \"cuda:0\", \"cpu\"]"), all);
        let without = EXAMPLE.replace("provider = \"cpu\"\n", "");
        assert_eq!(parse(&without).expect("it is good").models[0].providers, [Provider::Cpu]);
        assert_eq!(parse(EXAMPLE).expect("it is good").engines, Path::new("engines"));
    }

    #[test]
    fn providers_that_cannot_be_tried_are_refused() {
        let refused = |wrong: &str| refused("provider = \"cpu\"", &format!("provider = {wrong}"));
        assert!(refused("\"gpu\"").contains("\"gpu\" is no provider"));
        assert!(refused("[\"cuda\", \"gpu\"]").contains("\"gpu\" is no provider"));
        assert!(refused("[]").contains("its list of providers is empty"));
        assert!(refused("[\"cuda\", \"cuda:0\"]").contains("cuda:0 is listed twice"));
        let other = refused("7");
        assert!(other.contains("a provider such as \"cpu\", or a list of them"), "{other}");
    }

    #[test]
    fn quarantine_that_could_never_or_always_strike_is_refused() {
        assert!(refused("max_overruns = 8", "max_overruns = 0").contains("between 1 and 16"));
        assert!(refused("max_overruns = 8", "max_overruns = 17").contains("between 1 and 16"));
        assert!(refused("overrun_window_ms = 10000", "overrun_window_ms = 0").contains("window of 0 ms"));
        assert!(refused("hang_ms = 1000", "hang_ms = 7").contains("shorter than the deadline of 8000 us"));
        assert!(parse(&EXAMPLE.replace("hang_ms = 1000", "hang_ms = 8")).is_ok());
    }

    #[test]
    fn deadline_beyond_the_default_hang_is_named_by_its_own_line() {
        let text = EXAMPLE.replace("hang_ms = 1000\n", "");
        let error = parse(&text.replace("deadline_us = 8000", "deadline_us = 1000001")).expect_err("it is refused");
        let line = text.lines().position(|line| line == "deadline_us = 8000").expect("it is there") + 1;
        let place = format!("box.toml:{line}: the default hang_ms = 1000 is shorter than the deadline of 1000001 us");
        assert_eq!(error.to_string(), place);
    }

    #[test]
    fn execution_quantile_is_a_share_below_one() {
        for wrong in ["1.0", "0.4", "99.9", "0.9999999"] {
            let told = refused("execution_quantile = 0.999", &format!("execution_quantile = {wrong}"));
            assert!(told.contains("is no quantile"), "{told}");
        }
        let config = parse(EXAMPLE).expect("it is good");
        assert_eq!(config.tasks[0].execution_quantile, Quantile::DEFAULT);
        assert_eq!(config.records, Path::new("timing"));
    }

    /// The example's track with these clients.
    fn with_clients(clients: &str) -> String {
        let commented =
            EXAMPLE.lines().find(|line| line.starts_with("    # { name = \"inspection\"")).expect("it is there");
        EXAMPLE.replace(commented, clients)
    }

    #[test]
    fn commented_client_is_good() {
        let commented = EXAMPLE.lines().find_map(|line| line.strip_prefix("    # { name = \"inspection\""));
        let text = with_clients(&format!("{{ name = \"inspection\"{}", commented.expect("it is there")));
        let config = parse(&text).expect("it is good");
        let [client] = &config.tasks[0].clients[..] else { panic!("{config:?}") };
        assert_eq!((client.name.as_str(), client.infer_key.as_str()), ("inspection", "nagoya/legacy/camera"));
        let short = parse(&with_clients("{ name = \"inspection\", min_period_us = 100000 }")).expect("it is good");
        let [defaults] = &short.tasks[0].clients[..] else { panic!("{short:?}") };
        assert_eq!(defaults.infer_key, "nagoya/line-2/cell-1/inspection/track/infer");
        let figures = |client: &ClientConfig| (client.min_period, client.arrival_jitter, client.queue);
        assert_eq!(figures(defaults), figures(client), "what the comment writes are the defaults");
    }

    #[test]
    fn clients_that_cannot_be_served_are_refused() {
        let refused = |clients: &str| {
            let error = parse(&with_clients(clients)).expect_err("it is refused").to_string();
            let line = EXAMPLE.lines().position(|line| line.starts_with("clients = [")).expect("it is there") + 2;
            let place = format!("box.toml:{line}: ");
            error.strip_prefix(&place).unwrap_or_else(|| panic!("{error:?} begins with {place:?}")).to_owned()
        };
        assert!(refused("{ name = \"a\" }").contains("missing field `min_period_us`"));
        assert!(refused("{ name = \"a\", min_period_us = 0 }").contains("a period of 0 us"));
        assert!(refused("{ name = \"a/b\", min_period_us = 1 }").contains("cannot stand in a key"));
        for queue in [0, 17] {
            let told = refused(&format!("{{ name = \"a\", min_period_us = 1, queue = {queue} }}"));
            assert!(told.contains(&format!("a queue of {queue} requests")), "{told}");
        }
        let twice = "{ name = \"a\", min_period_us = 1 }, { name = \"a\", min_period_us = 1 }";
        assert!(refused(twice).contains("the client \"a\" is declared twice"));
        let many: Vec<_> = (0..14).map(|n| format!("{{ name = \"c{n}\", min_period_us = 1, queue = 16 }}")).collect();
        assert!(refused(&many.join(", ")).contains("more than 240 requests may be open at once"));
        assert!(refused("{ name = \"a\", min_period_us = 1, size = 4 }").contains("unknown field `size`"));
    }

    #[test]
    fn only_robots_need_a_period_and_a_hold() {
        let robots = EXAMPLE.find("robots = [").expect("it is there");
        let clients_only = |text: &str| {
            let text = text.replace("min_period_us = 2000\n", "").replace("arrival_jitter_us = 2000\n", "");
            format!("{text}clients = [{{ name = \"a\", min_period_us = 1000 }}]\n")
        };
        let before = &EXAMPLE[..robots];
        let config = parse(&clients_only(&before.replace("hold_ms = 50\n", ""))).expect("it is good");
        assert!(config.tasks[0].robots.is_empty());
        let error = parse(&clients_only(before)).expect_err("it is refused").to_string();
        assert!(error.contains("hold_ms is for robots, and no robot does the task \"track\""), "{error}");
        let error = parse(before).expect_err("it is refused").to_string();
        assert!(error.contains("nobody does the task \"track\""), "{error}");
        for field in ["min_period_us = 2000\n", "hold_ms = 50\n"] {
            let error = parse(&EXAMPLE.replace(field, "")).expect_err("it is refused").to_string();
            assert!(
                error.contains(&format!("missing field `{}`", field.split(' ').next().unwrap_or_default())),
                "{error}"
            );
        }
    }

    #[test]
    fn unknown_field_is_named_by_its_line() {
        let unknown = refused("margin_us = 0", "margin_ms = 0");
        assert!(unknown.contains("unknown field `margin_ms`"), "{unknown}");
    }

    /// The example with this below its task.
    fn with_inputs(inputs: &str) -> String {
        format!("{EXAMPLE}{inputs}")
    }

    const CAMERA: &str = "[[task.input]]\nname = \"camera\"\nmax_age_ms = 100\n";

    #[test]
    fn joined_inputs_have_a_key_for_each_robot_and_an_age() {
        let own = "{ name = \"ur5e-left\", input_keys = { camera = \"nagoya/legacy/cam-7\" } }";
        let text = with_inputs(CAMERA).replace("{ name = \"ur5e-left\" }", own);
        let config = parse(&text).expect("it is good");
        let [input] = &config.tasks[0].inputs[..] else { panic!("{config:?}") };
        assert_eq!(input.keys, ["nagoya/legacy/cam-7", "nagoya/line-2/cell-1/ur5e-right/track/input/camera"]);
        assert_eq!((input.max_age, input.clock), (Duration::from_micros(100_000), SampleClock::Arrival));
        let synchronised = parse(&with_inputs(&format!("{CAMERA}clock = \"synchronised\"\n"))).expect("it is good");
        assert_eq!(synchronised.tasks[0].inputs[0].clock, SampleClock::Synchronised);
    }

    #[test]
    fn commented_input_is_good() {
        let commented = EXAMPLE.lines().skip_while(|line| !line.starts_with("#     [[task.input]]"));
        let lines = commented.map_while(|line| line.strip_prefix("#     "));
        let text: String = lines.flat_map(|line| [line, "\n"]).collect();
        assert_eq!(text, format!("{CAMERA}clock = \"arrival\"\n"));
        assert!(parse(&with_inputs(&text)).is_ok());
    }

    #[test]
    fn joined_inputs_that_cannot_be_served_are_refused() {
        let refused = |inputs: &str| parse(&with_inputs(inputs)).expect_err("it is refused").to_string();
        assert!(refused("[[task.input]]\nname = \"camera\"\n").contains("missing field `max_age_ms`"));
        for age in [0, 60_001] {
            let told = refused(&format!("[[task.input]]\nname = \"camera\"\nmax_age_ms = {age}\n"));
            assert!(told.contains(&format!("a sample of {age} ms")), "{told}");
        }
        assert!(refused(&format!("{CAMERA}{CAMERA}")).contains("the input \"camera\" is declared twice"));
        assert!(refused(&CAMERA.replace("camera", "a/b")).contains("cannot stand in a key"));
        assert!(refused(&format!("{CAMERA}clock = \"gps\"\n")).contains("unknown variant `gps`"));
        let many: String = (0..5).map(|n| CAMERA.replace("camera", &format!("c{n}"))).collect();
        assert!(refused(&many).contains("more than 4 inputs join the task \"track\""));
        let other = "{ name = \"ur5e-left\", input_keys = { radar = \"a/b\" } }";
        let text = with_inputs(CAMERA).replace("{ name = \"ur5e-left\" }", other);
        let told = parse(&text).expect_err("it is refused").to_string();
        assert!(told.contains("no input \"radar\" joins the task \"track\""), "{told}");
        let told = parse(&format!("{}{CAMERA}", with_clients("{ name = \"a\", min_period_us = 1 }")));
        let told = told.expect_err("it is refused").to_string();
        assert!(told.contains("the task \"track\" has joined inputs and clients"), "{told}");
    }
}
