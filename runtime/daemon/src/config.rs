//! The config: TOML, parsed once into types that cannot be wrong; each error names file, line and what to do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, NamedSource, SourceSpan};
use serde::{Deserialize, Deserializer, de::Error as _};
use thiserror::Error;
use toml::Spanned;

use engine::Duration;
use onnx_model::Provider;

use crate::status;

/// The longest config that is read.
const MAX_BYTES: u64 = 1 << 20;

/// A box's config, checked.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) key_prefix: String,
    pub(crate) link: zenoh_link::Settings,
    pub(crate) status_socket: PathBuf,
    pub(crate) realtime: Realtime,
    pub(crate) quarantine: Quarantine,
    pub(crate) min_margin: Duration,
    pub(crate) onnx_library: Option<PathBuf>,
    pub(crate) models: Vec<ModelConfig>,
    pub(crate) workers: Vec<WorkerConfig>,
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
    pub(crate) provider: Provider,
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

/// One task and the robots that do it.
#[derive(Debug)]
pub(crate) struct TaskConfig {
    pub(crate) name: String,
    /// Its place in the config's models.
    pub(crate) model: usize,
    pub(crate) deadline: Duration,
    pub(crate) hold: Duration,
    pub(crate) robots: Vec<RobotConfig>,
}

/// One robot and its keys.
#[derive(Debug)]
pub(crate) struct RobotConfig {
    pub(crate) name: String,
    pub(crate) observation_key: String,
    pub(crate) response_key: String,
    pub(crate) notice_key: String,
}

/// Why a config was refused, and where.
#[derive(Debug, Error, Diagnostic)]
pub(crate) enum ConfigError {
    #[error("cannot read the config {}", path.display())]
    #[diagnostic(help("name an existing, readable file of at most 1 MiB with --config"))]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Invalid>),
}

/// What is wrong, and where.
#[derive(Debug, Error, Diagnostic)]
#[error("{file}:{line}: {what}")]
pub(crate) struct Invalid {
    file: String,
    line: usize,
    what: String,
    #[source_code]
    text: NamedSource<String>,
    #[label("here")]
    place: SourceSpan,
    #[help]
    help: Option<String>,
}

impl Config {
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    #[serde(rename = "box")]
    this_box: RawBox,
    #[serde(default)]
    link: RawLink,
    #[serde(default)]
    realtime: Realtime,
    #[serde(default)]
    timing: RawTiming,
    #[serde(default)]
    quarantine: RawQuarantine,
    #[serde(default)]
    onnx: RawOnnx,
    #[serde(default)]
    model: Vec<RawModel>,
    #[serde(default)]
    worker: Vec<RawWorker>,
    #[serde(default)]
    task: Vec<RawTask>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBox {
    name: Spanned<String>,
    key_prefix: Spanned<String>,
    status_socket: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLink {
    mode: RawMode,
    listen: Vec<String>,
    connect: Vec<String>,
    one_zenoh_worker: bool,
}

impl Default for RawLink {
    fn default() -> Self {
        Self { mode: RawMode::Peer, listen: Vec::new(), connect: Vec::new(), one_zenoh_worker: true }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawMode {
    Peer,
    Client,
    Router,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTiming {
    margin_us: u64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawQuarantine {
    max_overruns: Option<Spanned<u8>>,
    overrun_window_ms: Option<Spanned<u64>>,
    hang_ms: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawOnnx {
    library: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: Spanned<String>,
    folder: PathBuf,
    provider: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWorker {
    name: Spanned<String>,
    models: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    spare: bool,
    #[serde(default)]
    cores: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    name: Spanned<String>,
    model: Spanned<String>,
    deadline_us: Spanned<u64>,
    hold_ms: u64,
    robots: Spanned<Vec<RawRobot>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRobot {
    name: Spanned<String>,
    observation_key: Option<String>,
    response_key: Option<String>,
    notice_key: Option<String>,
}

struct File<'f> {
    path: &'f Path,
    text: &'f str,
}

impl File<'_> {
    fn error(&self, span: std::ops::Range<usize>, what: String, help: Option<&str>) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        ConfigError::Invalid(Box::new(Invalid {
            file: self.path.display().to_string(),
            line: before.matches('\n').count() + 1,
            what,
            text: NamedSource::new(self.path.display().to_string(), self.text.to_owned()).with_language("toml"),
            place: span.into(),
            help: help.map(str::to_owned),
        }))
    }

    fn at<T>(&self, place: &Spanned<T>, what: String, help: &str) -> ConfigError {
        self.error(place.span(), what, Some(help))
    }

    /// A chunk of a key: what zenoh takes as one level, without a wildcard.
    fn chunk(&self, name: &Spanned<String>) -> Result<String, ConfigError> {
        let text = name.get_ref();
        let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(fine) {
            let what = format!("{text:?} cannot stand in a key");
            return Err(self.at(name, what, "use ASCII letters, digits, '-', '_' and '.'"));
        }
        Ok(text.clone())
    }

    fn in_folder(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    fn unique<'n>(&self, what: &str, names: impl Iterator<Item = &'n Spanned<String>>) -> Result<(), ConfigError> {
        let mut seen = std::collections::HashSet::new();
        for name in names {
            if !seen.insert(name.get_ref()) {
                let text = format!("the {what} {:?} is declared twice", name.get_ref());
                return Err(self.at(name, text, "give each its own name"));
            }
        }
        Ok(())
    }
}

impl RawConfig {
    fn check(self, file: &File<'_>) -> Result<Config, ConfigError> {
        let key_prefix = self.this_box.key_prefix;
        let bad_chunk =
            |chunk: &str| chunk.is_empty() || chunk.contains(['*', '$', '?', '#', '@']) || !chunk.is_ascii();
        if key_prefix.get_ref().split('/').any(bad_chunk) {
            let what = format!("{:?} is no key prefix", key_prefix.get_ref());
            return Err(file.at(&key_prefix, what, "write <site>[/<line>]/<cell> in ASCII, without wildcards"));
        }
        let name = file.chunk(&self.this_box.name)?;
        let quarantine = check_quarantine(file, self.quarantine, &self.task)?;
        let models = check_models(file, self.model)?;
        file.unique("worker", self.worker.iter().map(|worker| &worker.name))?;
        let workers = self.worker.into_iter().map(|worker| check_worker(file, &models, worker));
        let workers = workers.collect::<Result<Vec<_>, _>>()?;
        file.unique("task", self.task.iter().map(|task| &task.name))?;
        let tasks = self.task.into_iter().map(|task| check_task(file, key_prefix.get_ref(), &models, task));
        let tasks = tasks.collect::<Result<Vec<_>, _>>()?;
        if !workers.iter().any(|worker| !worker.spare) || tasks.is_empty() {
            let what = "at least one [[task]] and one [[worker]] that is no spare are needed".to_owned();
            return Err(file.error(0..0, what, Some("see the commented example.toml")));
        }
        let link = zenoh_link::Settings {
            mode: match self.link.mode {
                RawMode::Peer => zenoh_link::Mode::Peer,
                RawMode::Client => zenoh_link::Mode::Client,
                RawMode::Router => zenoh_link::Mode::Router,
            },
            listen: self.link.listen,
            connect: self.link.connect,
            one_worker: self.link.one_zenoh_worker,
        };
        let socket = self.this_box.status_socket.map(|path| file.in_folder(&path));
        Ok(Config {
            status_socket: socket.unwrap_or_else(|| status::default_socket(&name)),
            name: name.clone(),
            key_prefix: key_prefix.into_inner(),
            link,
            realtime: self.realtime,
            quarantine,
            min_margin: Duration::from_micros(self.timing.margin_us),
            onnx_library: self.onnx.library.map(|path| file.in_folder(&path)),
            models,
            workers,
            tasks,
        })
    }
}

fn check_quarantine(file: &File<'_>, given: RawQuarantine, tasks: &[RawTask]) -> Result<Quarantine, ConfigError> {
    let default = Quarantine::default();
    if let Some(overruns) = &given.max_overruns
        && !(1..=16).contains(overruns.get_ref())
    {
        return Err(file.at(overruns, "max_overruns must be between 1 and 16".to_owned(), "8 is the default"));
    }
    if let Some(window) = &given.overrun_window_ms
        && *window.get_ref() == 0
    {
        let what = "no overrun falls into a window of 0 ms, so no worker would ever be taken out of service".to_owned();
        return Err(file.at(window, what, "10000 is the default"));
    }
    let hang_ms = given.hang_ms.as_ref().map_or(default.hang_ms, |hang| *hang.get_ref());
    // An inference that still may answer in time is no hang.
    let longest = tasks.iter().map(|task| &task.deadline_us).max_by_key(|deadline| *deadline.get_ref());
    if let Some(deadline) = longest.filter(|deadline| hang_ms.saturating_mul(1_000) < *deadline.get_ref()) {
        let what = format!("hang_ms = {hang_ms} is shorter than the deadline of {} us", deadline.get_ref());
        let help = "a worker would count as hung while its answer can still be in time: let [quarantine] hang_ms be \
                    at least the longest deadline_us";
        return Err(match &given.hang_ms {
            Some(hang) => file.at(hang, what, help),
            None => file.at(deadline, format!("the default {what}"), help),
        });
    }
    let value = |given: Option<Spanned<u64>>, default| given.map_or(default, Spanned::into_inner);
    Ok(Quarantine {
        max_overruns: given.max_overruns.map_or(default.max_overruns, Spanned::into_inner),
        overrun_window_ms: value(given.overrun_window_ms, default.overrun_window_ms),
        hang_ms,
    })
}

fn check_models(file: &File<'_>, models: Vec<RawModel>) -> Result<Vec<ModelConfig>, ConfigError> {
    file.unique("model", models.iter().map(|model| &model.name))?;
    if let Some(extra) = models.get(usize::from(engine::ModelSet::CAPACITY)) {
        return Err(file.at(&extra.name, "a box has at most 32 models".into(), "spread the models over several boxes"));
    }
    let check = |model: RawModel| {
        let provider = match &model.provider {
            None => Provider::Cpu,
            Some(text) => provider(text.get_ref()).ok_or_else(|| {
                let what = format!("{:?} is no provider", text.get_ref());
                file.at(text, what, "write \"cpu\", \"cuda:0\" or \"tensorrt:0\"")
            })?,
        };
        Ok(ModelConfig { name: file.chunk(&model.name)?, folder: file.in_folder(&model.folder), provider })
    };
    models.into_iter().map(check).collect()
}

fn provider(text: &str) -> Option<Provider> {
    match text.split_once(':') {
        None if text == "cpu" => Some(Provider::Cpu),
        Some(("cuda", device)) => device.parse().ok().map(|device| Provider::Cuda { device }),
        Some(("tensorrt", device)) => device.parse().ok().map(|device| Provider::TensorRt { device }),
        None | Some(_) => None,
    }
}

fn find_model(file: &File<'_>, models: &[ModelConfig], name: &Spanned<String>) -> Result<usize, ConfigError> {
    models.iter().position(|model| model.name == *name.get_ref()).ok_or_else(|| {
        let known: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
        let what = format!("there is no model {:?}", name.get_ref());
        file.at(name, what, &format!("declare it as a [[model]]; there are: {}", known.join(", ")))
    })
}

fn check_worker(file: &File<'_>, models: &[ModelConfig], worker: RawWorker) -> Result<WorkerConfig, ConfigError> {
    let named = match &worker.models {
        None => (0..models.len()).collect(),
        Some(names) => names.iter().map(|name| find_model(file, models, name)).collect::<Result<_, _>>()?,
    };
    let name = file.chunk(&worker.name)?;
    Ok(WorkerConfig { name, models: named, spare: worker.spare, cores: worker.cores })
}

fn check_task(file: &File<'_>, prefix: &str, models: &[ModelConfig], task: RawTask) -> Result<TaskConfig, ConfigError> {
    let name = file.chunk(&task.name)?;
    if task.robots.get_ref().is_empty() {
        return Err(file.at(&task.robots, format!("nobody does the task {name:?}"), "name at least one robot"));
    }
    // The wire's budget and age fields hold 71 minutes; a bound of seconds is no bound of milliseconds.
    if !(1..=10_000_000).contains(task.deadline_us.get_ref()) {
        let what = format!("a deadline of {} us cannot be kept", task.deadline_us.get_ref());
        return Err(file.at(&task.deadline_us, what, "choose between 1 us and 10 s"));
    }
    file.unique("robot", task.robots.get_ref().iter().map(|robot| &robot.name))?;
    let robot = |robot: RawRobot| {
        let robot_name = file.chunk(&robot.name)?;
        let key = |given: Option<String>, leaf| given.unwrap_or_else(|| format!("{prefix}/{robot_name}/{name}/{leaf}"));
        Ok(RobotConfig {
            observation_key: key(robot.observation_key, "observation"),
            response_key: key(robot.response_key, "response"),
            notice_key: key(robot.notice_key, "notice"),
            name: robot_name.clone(),
        })
    };
    Ok(TaskConfig {
        model: find_model(file, models, &task.model)?,
        deadline: Duration::from_micros(*task.deadline_us.get_ref()),
        hold: Duration::from_micros(task.hold_ms.saturating_mul(1_000)),
        robots: task.robots.into_inner().into_iter().map(robot).collect::<Result<_, _>>()?,
        name,
    })
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
    fn unknown_field_is_named_by_its_line() {
        let unknown = refused("margin_us = 0", "margin_ms = 0");
        assert!(unknown.contains("unknown field `margin_ms`"), "{unknown}");
    }
}
