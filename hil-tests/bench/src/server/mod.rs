//! The processes that the box is compared with: this binary, executed again as `genba-bench server`.
//!
//! Each says `ready` on its standard output when it serves, and ends when its standard input does.

mod answerer;
mod bare;
mod callback;
mod hops;

use std::io::{self, BufRead};
use std::path::PathBuf;

use clap::Args;
use manifest::Manifest;
use miette::{IntoDiagnostic, Result, miette};
use zenoh_link::{Inbox, Link, Mode, RouteId, Settings, Topics};

use crate::subject::Subject;
use crate::traffic;

pub(crate) use answerer::{Answerer, load_model};

/// Serves one subject.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// Which.
    subject: Subject,
    /// Where to listen, such as tcp/127.0.0.1:7447; the bare session has no link.
    #[arg(long)]
    endpoint: Option<String>,
    /// The model's folder.
    #[arg(long)]
    model: PathBuf,
    /// As the box's: the engine's thread gets this `SCHED_FIFO` priority, the worker's two less.
    #[arg(long)]
    fifo_priority: Option<i32>,
}

impl Server {
    pub(crate) fn run(self) -> Result<()> {
        let one_worker = match self.subject {
            Subject::Echo | Subject::EchoHops | Subject::HopsRun | Subject::NaiveTuned => true,
            Subject::NaiveDefault | Subject::Bare | Subject::Box => false,
        };
        zenoh_link::prepare_process(one_worker).into_diagnostic()?;
        let manifest = Manifest::load(&self.model).into_diagnostic()?;
        match self.subject {
            Subject::Echo | Subject::NaiveTuned => callback::serve_tuned(&self, &manifest),
            Subject::NaiveDefault => callback::serve_default(&self, &manifest),
            Subject::EchoHops | Subject::HopsRun => hops::serve(&self, &manifest),
            Subject::Bare => bare::serve(&manifest),
            Subject::Box => Err(miette!("the box is `genba run`")),
        }
    }

    fn endpoint(&self) -> Result<&str> {
        self.endpoint.as_deref().ok_or_else(|| miette!("{} needs an --endpoint", self.subject))
    }

    /// Opens the link exactly as the box does: the same settings, the same queues, the same publishers.
    fn open_link(&self, manifest: &Manifest, wake: impl Fn() + Send + Sync + 'static) -> Result<(Link, Inbox)> {
        let settings = Settings {
            mode: Mode::Peer,
            listen: vec![self.endpoint()?.to_owned()],
            connect: Vec::new(),
            one_worker: true,
        };
        let (observation, _) = traffic::lengths(manifest);
        let (routes, prefix) = (vec![self.subject.route(observation)], self.subject.key_prefix());
        let strays = vec![format!("{prefix}/*/*/observation")];
        // Servers of this process have nothing to do with an arrival's time; reading it costs what it costs the box.
        let clock = || u64::try_from(CLOCK.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let alive = format!("{prefix}/@genba/bench/alive");
        let topics = Topics { routes, strays, ..Topics::default() };
        let opened = zenoh_link::open(&settings, topics, &alive, clock, move |_| wake()).into_diagnostic()?;
        let (link, inbox, _pictures) = opened;
        Ok((link, inbox))
    }
}

static CLOCK: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);

/// The one connection.
const ROUTE: RouteId = RouteId::new(0);

/// Says that the server serves, and waits for the bench to end.
pub(crate) fn until_the_bench_ends() {
    println!("ready");
    for line in io::stdin().lock().lines() {
        if line.is_err() {
            return;
        }
    }
}
