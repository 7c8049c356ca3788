//! `genba-bench peer-server`: the naive Rust servers, which answer inside zenoh's callback, and the bare session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use manifest::Manifest;
use message::{Observation, Response};
use miette::{IntoDiagnostic, Result, miette};
use zenoh::{Config, Wait};
use zenoh_link::{Arrival, Inbox, Link, Mode, RouteKeys, Settings, Topics};

use super::site;
use crate::server::{Answerer, load_model, until_the_bench_ends};
use crate::subject::Subject;

/// Serves tasks, or times a model.
#[derive(Debug, Args)]
pub(crate) struct Naive {
    kind: Kind,
    #[arg(long, default_value = "")]
    endpoint: String,
    #[arg(long, default_value_t = 1)]
    robots: usize,
    /// `TASK=FOLDER`; tasks of one folder share its session.
    tasks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// zenoh as it comes.
    Default,
    /// The box's zenoh settings.
    Tuned,
    /// No server: prints how many times a second the first task's model runs.
    Bare,
}

/// A session that is asked one after another, as the callbacks come.
type Shared = Arc<Mutex<Answerer>>;

/// How long the bare session is timed.
const TIMED: Duration = Duration::from_secs(2);

impl Naive {
    pub(crate) fn run(&self) -> Result<()> {
        zenoh_link::prepare_process(self.kind == Kind::Tuned).into_diagnostic()?;
        let tasks: Vec<(&str, &Path)> = self
            .tasks
            .iter()
            .map(|task| task.split_once('=').map(|(name, folder)| (name, Path::new(folder))))
            .collect::<Option<_>>()
            .ok_or_else(|| miette!("a task is NAME=FOLDER"))?;
        match self.kind {
            Kind::Bare => bare(tasks.first().ok_or_else(|| miette!("name a model to time"))?.1),
            Kind::Default => self.serve_default(&sessions(&tasks)?),
            Kind::Tuned => self.serve_tuned(&sessions(&tasks)?),
        }
    }

    fn serve_default(&self, tasks: &[(String, Shared)]) -> Result<()> {
        let zenoh = |error: zenoh::Error| miette!("zenoh: {error}");
        let mut config = Config::default();
        for (key, value) in [
            ("mode", "\"peer\""),
            ("listen/endpoints", &format!("{:?}", [&self.endpoint])),
            ("scouting/multicast/enabled", "false"),
            ("scouting/gossip/enabled", "false"),
        ] {
            config.insert_json5(key, value).map_err(zenoh)?;
        }
        let session = zenoh::open(config).wait().map_err(zenoh)?;
        let mut receiving = Vec::new();
        for (task, answerer) in tasks {
            for robot in 0..self.robots {
                let response = session.declare_publisher(site::key(robot, task, "response")).wait().map_err(zenoh)?;
                let answerer = Arc::clone(answerer);
                let answering = session
                    .declare_subscriber(site::key(robot, task, "observation"))
                    .callback(move |sample| {
                        let mut reply = [0; Response::MAX_FRAME];
                        let mut answerer = answerer.lock().unwrap_or_else(PoisonError::into_inner);
                        let length = answerer.answer(&sample.payload().to_bytes(), &mut reply);
                        let _ = response.put(&reply[..length]).wait();
                    })
                    .wait();
                receiving.push(answering.map_err(zenoh)?);
            }
        }
        until_the_bench_ends();
        Ok(())
    }

    fn serve_tuned(&self, tasks: &[(String, Shared)]) -> Result<()> {
        let settings =
            Settings { mode: Mode::Peer, listen: vec![self.endpoint.clone()], connect: Vec::new(), one_worker: true };
        let max_frame_bytes = Observation::OVERHEAD + site::INPUTS * size_of::<f32>();
        let mut routes = Vec::new();
        for (task, _) in tasks {
            let key = |robot, leaf| site::key(robot, task, leaf);
            routes.extend((0..self.robots).map(|robot| RouteKeys {
                observation: key(robot, "observation"),
                response: key(robot, "response"),
                notice: key(robot, "notice"),
                reset: None,
                max_frame_bytes,
            }));
        }
        let opened: Arc<OnceLock<Mutex<Opened>>> = Arc::default();
        let woken = Arc::clone(&opened);
        let clock = || u64::try_from(CLOCK.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let alive = format!("{}/@genba/naive/alive", site::PREFIX);
        // The link wakes on zenoh's thread, at the end of its callback: here the frame is taken out at once.
        let wake = move |_| {
            if let Some(opened) = woken.get() {
                opened.lock().unwrap_or_else(PoisonError::into_inner).answer();
            }
        };
        let topics = Topics { routes, ..Topics::default() };
        let (link, inbox, _pictures) = zenoh_link::open(&settings, topics, &alive, clock, wake).into_diagnostic()?;
        let answerers = tasks.iter().map(|(_, answerer)| Arc::clone(answerer)).collect();
        let _ = opened.set(Mutex::new(Opened { link, inbox, answerers, robots: self.robots }));
        until_the_bench_ends();
        Ok(())
    }
}

static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);

struct Opened {
    link: Link,
    inbox: Inbox,
    /// Of each task, whose routes stand together.
    answerers: Vec<Shared>,
    robots: usize,
}

impl Opened {
    fn answer(&mut self) {
        let Self { link, inbox, answerers, robots } = self;
        while inbox.poll(|arrival| {
            if let Arrival::Frame { route, bytes, .. } = arrival {
                let mut reply = [0; Response::MAX_FRAME];
                let answerer = &answerers[route.index() / *robots];
                let length = answerer.lock().unwrap_or_else(PoisonError::into_inner).answer(bytes, &mut reply);
                // A put that failed shows as an observation without an answer.
                let _ = link.respond(route, &reply[..length]);
            }
        }) {}
    }
}

fn sessions(tasks: &[(&str, &Path)]) -> Result<Vec<(String, Shared)>> {
    let mut loaded: BTreeMap<PathBuf, Shared> = BTreeMap::new();
    let mut served = Vec::new();
    for (task, folder) in tasks {
        let answerer = if let Some(shared) = loaded.get(*folder) {
            Arc::clone(shared)
        } else {
            let manifest = Manifest::load(folder).into_diagnostic()?;
            Arc::new(Mutex::new(Answerer::of(Subject::NaiveDefault, &manifest)?))
        };
        loaded.insert((*folder).to_owned(), Arc::clone(&answerer));
        served.push(((*task).to_owned(), answerer));
    }
    Ok(served)
}

fn bare(folder: &Path) -> Result<()> {
    let mut model = load_model(&Manifest::load(folder).into_diagnostic()?)?;
    model.observation_mut().copy_from_slice(&site::observation());
    let (begun, mut times) = (Instant::now(), Vec::new());
    while begun.elapsed() < TIMED {
        let started = Instant::now();
        model.run().into_diagnostic()?;
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("{}", 1.0 / times[times.len() / 2]);
    Ok(())
}
