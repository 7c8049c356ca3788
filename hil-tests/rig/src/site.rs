//! What a robot must know of its box: keys, contract, deadline. Read from the box's own config.
//!
//! The box checks its config; here only what the robot needs is taken, and the rest is passed over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use manifest::{Contract, Manifest};
use message::{Address, ContractDigest};
use plants::{ALONE_ELEMENTS, JOINTS, OBSERVATION_ELEMENTS, PLAN_ELEMENTS, TRACKED_ELEMENTS};
use serde::Deserialize;
use thiserror::Error;

/// One robot's place at a box.
#[derive(Debug, Clone)]
pub struct Site {
    /// The robot's name.
    pub robot: String,
    /// The task's name.
    pub task: String,
    /// The model that answers it.
    pub model: String,
    /// Where the robot publishes.
    pub observation_key: String,
    /// Where the box answers.
    pub response_key: String,
    /// Where the box says farewell.
    pub notice_key: String,
    /// The token that exists while the box is alive and its engine moves.
    pub alive_key: String,
    /// The contract that both sides must agree on.
    pub contract: ContractDigest,
    /// From an observation's arrival to its answer.
    pub deadline: Duration,
    /// Whether the model's last input makes it hang on demand.
    pub can_hang: bool,
    /// Whether the model takes what the robot knows alone, and a camera tells it where the part is.
    pub needs_camera: bool,
    /// Whether the answers are references of a plan, for a robot with a law of its own, and no torques.
    pub gives_plans: bool,
    /// The arm, beside the model it was trained on.
    pub arm_xml: PathBuf,
}

/// Why a config says nothing of use to this robot.
#[derive(Debug, Error)]
pub enum SiteError {
    /// The config cannot be read.
    #[error("cannot read the config {}: {source}; name one with --config", path.display())]
    Unreadable {
        /// The config.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no config.
    #[error("{}: {source}\n`genba check` says more", path.display())]
    Unfit {
        /// The config.
        path: PathBuf,
        /// What is wrong, and where.
        source: toml::de::Error,
    },
    /// It names no robot, or a model that it does not declare.
    #[error("{}: {what}; `genba check` says more", path.display())]
    Incomplete {
        /// The config.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The model's folder is unfit.
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
    /// The task's name is unfit.
    #[error(transparent)]
    Contract(#[from] manifest::ContractError),
    /// A model that sees its part, for a robot that shows nothing.
    #[error(
        "the model {model} needs a camera, which this robot has not; name a config whose first task is the conveyor's"
    )]
    NeedsCamera {
        /// Its name.
        model: String,
    },
    /// A model of plans, for a robot that follows torques.
    #[error(
        "the model {model} gives plans, which this robot does not follow; name a config whose first task is the \
         conveyor's"
    )]
    GivesPlans {
        /// Its name.
        model: String,
    },
    /// Another model than this robot's.
    #[error(
        "the model {model} has {inputs} inputs and {outputs} outputs, but this robot sends {OBSERVATION_ELEMENTS} \
         (and `{HANG}`) and takes {JOINTS}; name a config whose first task is the conveyor's"
    )]
    AnotherModel {
        /// Its name.
        model: String,
        /// How many numbers it takes.
        inputs: usize,
        /// How many it gives.
        outputs: usize,
    },
}

impl Site {
    /// The first robot of the config's first task.
    ///
    /// # Errors
    /// [`SiteError`], which says what to correct.
    pub fn load(config: &Path) -> Result<Self, SiteError> {
        let raw = Raw::load(config)?;
        let (task, robot) = raw.robots(config)?.swap_remove(0);
        Self::of(&raw, task, robot, config)
    }

    /// The robots of all tasks, in the config's order; at least one.
    ///
    /// # Errors
    /// [`SiteError`], which says what to correct.
    pub fn load_all(config: &Path) -> Result<Vec<Self>, SiteError> {
        let raw = Raw::load(config)?;
        let robots = raw.robots(config)?.into_iter();
        robots.map(|(task, robot)| Self::of(&raw, task, robot, config)).collect()
    }

    fn of(raw: &Raw, task: &RawTask, robot: &RawRobot, config: &Path) -> Result<Self, SiteError> {
        let incomplete = |what: String| SiteError::Incomplete { path: config.to_owned(), what };
        let model = raw.model.iter().find(|model| model.name == task.model);
        let model = model.ok_or_else(|| incomplete(format!("it has no [[model]] {}", task.model)))?;
        let folder = config.parent().unwrap_or(Path::new("")).join(&model.folder);
        let manifest = Manifest::load(&folder)?;

        let Takes { can_hang, needs_camera, gives_plans } = takes(&manifest)?;

        let key = |given: &Option<String>, leaf| {
            let prefix = &raw.this_box.key_prefix;
            given.clone().unwrap_or_else(|| format!("{prefix}/{}/{}/{leaf}", robot.name, task.name))
        };
        Ok(Self {
            robot: robot.name.clone(),
            task: task.name.clone(),
            model: model.name.clone(),
            observation_key: key(&robot.observation_key, "observation"),
            response_key: key(&robot.response_key, "response"),
            notice_key: key(&robot.notice_key, "notice"),
            alive_key: format!("{}/@genba/{}/alive", raw.this_box.key_prefix, raw.this_box.name),
            contract: ContractDigest::new(Contract::new(&task.name, &manifest)?.digest()),
            deadline: Duration::from_micros(task.deadline_us),
            can_hang,
            needs_camera,
            gives_plans,
            arm_xml: folder.join("../ur5e-conveyor/arm.xml"),
        })
    }

    /// Itself, for a robot that has no camera and follows torques.
    ///
    /// # Errors
    /// [`SiteError::NeedsCamera`] where its model takes pictures, [`SiteError::GivesPlans`] where it gives no torques.
    pub fn without_camera(self) -> Result<Self, SiteError> {
        match self {
            Self { needs_camera: true, model, .. } => Err(SiteError::NeedsCamera { model }),
            Self { gives_plans: true, model, .. } => Err(SiteError::GivesPlans { model }),
            site => Ok(site),
        }
    }

    /// The address in every frame.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::of(&self.robot, &self.task)
    }
}

/// What a model takes beside the conveyor's observation, or in its place.
struct Takes {
    can_hang: bool,
    needs_camera: bool,
    gives_plans: bool,
}

fn takes(manifest: &Manifest) -> Result<Takes, SiteError> {
    let (inputs, outputs) = (manifest.input_elements(), manifest.output_elements());
    let last = inputs.last().map_or("", |element| element.name.as_str());
    let plain = Takes { can_hang: false, needs_camera: false, gives_plans: false };
    match (inputs.len(), last, outputs.len()) {
        (OBSERVATION_ELEMENTS, _, JOINTS) => Ok(plain),
        (WITH_HANG, HANG, JOINTS) => Ok(Takes { can_hang: true, ..plain }),
        (ALONE_ELEMENTS, CLOCK, JOINTS) => Ok(Takes { needs_camera: true, ..plain }),
        (TRACKED_ELEMENTS, _, PLAN_ELEMENTS) if manifest.plan().is_some() => Ok(Takes { gives_plans: true, ..plain }),
        (inputs, _, outputs) => Err(SiteError::AnotherModel { model: manifest.name().to_owned(), inputs, outputs }),
    }
}

const WITH_HANG: usize = OBSERVATION_ELEMENTS + 1;

/// What tells an observation of a robot alone from the demo's, which is as long.
const CLOCK: &str = "clock";

/// The demo model's extra input.
const HANG: &str = "hang_iterations";

impl Raw {
    fn load(config: &Path) -> Result<Self, SiteError> {
        let path = || config.to_owned();
        let text = fs::read_to_string(config).map_err(|source| SiteError::Unreadable { path: path(), source })?;
        toml::from_str(&text).map_err(|source| SiteError::Unfit { path: path(), source })
    }

    /// Each task's robots; at least one.
    fn robots(&self, config: &Path) -> Result<Vec<(&RawTask, &RawRobot)>, SiteError> {
        let incomplete = |what: String| SiteError::Incomplete { path: config.to_owned(), what };
        let first = self.task.first().ok_or_else(|| incomplete("it has no [[task]]".into()))?;
        if first.robots.is_empty() {
            return Err(incomplete(format!("nobody does the task {}", first.name)));
        }
        Ok(self.task.iter().flat_map(|task| task.robots.iter().map(move |robot| (task, robot))).collect())
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "box")]
    this_box: RawBox,
    #[serde(default)]
    model: Vec<RawModel>,
    #[serde(default)]
    task: Vec<RawTask>,
}

#[derive(Deserialize)]
struct RawBox {
    name: String,
    key_prefix: String,
}

#[derive(Deserialize)]
struct RawModel {
    name: String,
    folder: PathBuf,
}

#[derive(Deserialize)]
struct RawTask {
    name: String,
    model: String,
    deadline_us: u64,
    #[serde(default)]
    robots: Vec<RawRobot>,
}

#[derive(Deserialize)]
struct RawRobot {
    name: String,
    observation_key: Option<String>,
    response_key: Option<String>,
    notice_key: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = env!("CARGO_MANIFEST_DIR");

    fn site(text: &str) -> Result<Site, SiteError> {
        let name = std::thread::current().name().expect("a test's thread has its name").replace("::", "-");
        let file = std::env::temp_dir().join(format!("rig-{}-{name}.toml", std::process::id()));
        fs::write(&file, text).expect("a temporary file can be written");
        let site = Site::load(&file);
        fs::remove_file(file).expect("it was written");
        site
    }

    fn config(model: &str) -> String {
        format!(
            r#"
            [box]
            name = "demo"
            key_prefix = "site/cell"
            [realtime]
            lock_memory = true
            [[model]]
            name = "policy"
            folder = "{HERE}/../../models/{model}"
            [[task]]
            name = "track"
            model = "policy"
            deadline_us = 8000
            hold_ms = 100
            robots = [{{ name = "left", notice_key = "elsewhere" }}]
            "#
        )
    }

    #[test]
    fn keys_follow_the_config() {
        let site = site(&config("ur5e-conveyor-demo")).expect("the config is fit");
        assert_eq!(site.observation_key, "site/cell/left/track/observation");
        assert_eq!(site.response_key, "site/cell/left/track/response");
        assert_eq!(site.notice_key, "elsewhere");
        assert_eq!(site.alive_key, "site/cell/@genba/demo/alive");
        assert_eq!(site.deadline, Duration::from_millis(8));
        assert!(site.can_hang);
        assert!(site.arm_xml.is_file());
    }

    #[test]
    fn the_plain_policy_cannot_hang() {
        assert!(!site(&config("ur5e-conveyor")).expect("the config is fit").can_hang);
    }

    #[test]
    fn a_model_that_sees_its_part_needs_a_camera() {
        let seeing = site(&config("visual-servo")).expect("the config is fit");
        assert!(seeing.needs_camera && !seeing.can_hang);
        let error = seeing.without_camera().expect_err("this robot has none");
        assert!(error.to_string().contains("the model policy needs a camera"), "{error}");
        let blind = site(&config("ur5e-conveyor")).expect("the config is fit");
        assert!(blind.without_camera().is_ok());
    }

    #[test]
    fn a_model_that_gives_plans_is_no_models_of_torques() {
        let planning = site(&config("ur5e-planner")).expect("the config is fit");
        assert!(planning.gives_plans && !planning.needs_camera && planning.arm_xml.is_file());
        let error = planning.without_camera().expect_err("this robot follows torques");
        assert!(error.to_string().contains("the model policy gives plans"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let without_task = "[box]\nname = \"demo\"\nkey_prefix = \"a\"\n";
        let error = site(without_task).expect_err("there is no task");
        assert!(error.to_string().contains("no [[task]]"), "{error}");
        let other = config("ur5e-conveyor").replace("model = \"policy\"", "model = \"other\"");
        let error = site(&other).expect_err("there is no such model");
        assert!(error.to_string().contains("no [[model]] other"), "{error}");
        let error = Site::load(Path::new("nowhere.toml")).expect_err("there is no such file");
        assert!(error.to_string().contains("nowhere.toml"), "{error}");
    }
}
