//! One contestant's turn at one scene: fresh servers, one process for each client, nothing left afterwards.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use manifest::{Contract, Manifest};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Serialize;
use tempfile::TempDir;

use super::canary::Canary;
use super::contestant::{ClientIn, Contestant};
use super::ledger::{Kept, Window};
use super::scene::{Asker, CONTROL, Capacity, Part, Scene};
use super::servers::{self, Servers};
use crate::genba::Status;
use crate::process::Process;
use crate::scheduling::Seat;

/// Where everything is and runs.
pub(crate) struct Setup {
    pub(crate) genba: PathBuf,
    pub(crate) python: PathBuf,
    /// `hil-tests/bench/peers`.
    pub(crate) scripts: PathBuf,
    pub(crate) models: PathBuf,
    pub(crate) seats: Seats,
    pub(crate) capacity: Capacity,
    /// Of the control client, at 100 Hz.
    pub(crate) seconds: f64,
}

/// The servers on one core, all clients on another.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Seats {
    pub(crate) servers: usize,
    pub(crate) load: usize,
    /// `SCHED_FIFO` is to be had.
    pub(crate) fifo: bool,
    /// In the default class, but before all else there.
    pub(crate) most_urgent: bool,
}

/// The box's `fifo_priority`: its links run one below, as all of every other server does.
pub(crate) const BOX_PRIORITY: i32 = 51;
const SERVER_PRIORITY: i32 = 50;
const CONTROL_PRIORITY: i32 = 50;
/// A heavy model shares the clients' core: it must not hold up the one that measures.
const BESIDE_PRIORITY: i32 = 45;
/// Nor must those that only make the load.
const LOAD_PRIORITY: i32 = 40;

impl Seats {
    pub(crate) fn control(self) -> Seat {
        self.seat(self.load, CONTROL_PRIORITY)
    }

    fn seat(self, core: usize, priority: i32) -> Seat {
        Seat { core, priority: self.fifo.then_some(priority), most_urgent: self.most_urgent }
    }

    pub(crate) fn server(self) -> Seat {
        self.seat(self.servers, SERVER_PRIORITY)
    }

    pub(crate) fn part(self, part: &Part) -> Seat {
        if part.beside { self.seat(self.load, BESIDE_PRIORITY) } else { self.server() }
    }

    fn client(self, asker: &Asker) -> Seat {
        self.seat(self.load, if asker.task == CONTROL { CONTROL_PRIORITY } else { LOAD_PRIORITY })
    }
}

impl Setup {
    /// Where peers' servers run. In a flood they are in the default class: in `SCHED_FIFO` whichever of their threads has
    /// work keeps the core from the others, so that one that only takes requests in starves the one that answers, and
    /// each did better without it or no worse. What else the machine does must not take the core from them either.
    pub(crate) fn peers_seats(&self, scene: Scene) -> Seats {
        if self.seats.fifo && scene.flood().is_some() {
            Seats { fifo: false, most_urgent: true, ..self.seats }
        } else {
            self.seats
        }
    }
}

/// What a turn found.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) contestant: Contestant,
    pub(crate) scene: Scene,
    /// Of the first client: the flood's where it is alone.
    pub(crate) control: Kept,
    /// Of the flood or the neighbour beside the control client.
    pub(crate) load: Option<Kept>,
    pub(crate) of_the_box: Option<BoxLedger>,
    /// When a core stood still meanwhile.
    pub(crate) standstills: Vec<Window>,
}

/// What the box says of the same time.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BoxLedger {
    pub(crate) received: u64,
    pub(crate) model: u64,
    pub(crate) fallback: u64,
    pub(crate) superseded: u64,
    pub(crate) refused: u64,
    pub(crate) missed: u64,
    pub(crate) balances: bool,
    /// How many fallbacks, refusals and misses there were for each reason that there was.
    pub(crate) reasons: Vec<(String, u64)>,
}

/// The load is there before the control client and for longer.
const LOAD_LEAD_S: f64 = 0.5;
/// A closed loop has many round trips in little time.
const IDLE_S: f64 = 3.0;
/// A flood is judged by shares, which take fewer requests than a quantile.
const FLOOD_S: f64 = 3.0;
/// For a server to serve and a client to be served.
const START: Duration = Duration::from_secs(90);
/// For a client to end, beyond its seconds: it waits for what is open.
const END: Duration = Duration::from_secs(20);

impl Setup {
    pub(crate) fn turn(&self, contestant: Contestant, scene: Scene) -> Result<Turn> {
        let folder = TempDir::with_prefix("genba-peers-").into_diagnostic()?;
        let askers = scene.askers(self.capacity);
        let result = self.play(contestant, scene, &askers, folder.path());
        result.wrap_err_with(|| format!("{contestant}, {scene}{}", said(folder.path())))
    }

    fn play(&self, contestant: Contestant, scene: Scene, askers: &[Asker], folder: &Path) -> Result<Turn> {
        let mut servers = servers::start(self, contestant, scene, folder)?;
        let mut clients = Vec::new();
        if contestant != Contestant::Dora {
            for asker in askers {
                clients.push(self.client(contestant, scene, asker, &servers, folder)?);
            }
        }
        let mut wait = |ending: &str, patience: Duration| {
            let all = |ending: &str| askers.iter().all(|asker| folder.join(format!("{}{ending}", asker.task)).exists());
            let begun = Instant::now();
            while !all(ending) {
                servers.are_running()?;
                for client in &clients {
                    if client.ended()? == Some(false) {
                        return Err(miette!("a client ended"));
                    }
                }
                if begun.elapsed() > patience {
                    return Err(miette!("no {ending} of each client within {} s", patience.as_secs()));
                }
                thread::sleep(Duration::from_millis(10));
            }
            servers.status()
        };
        let before = wait(".ready", START)?;
        fs::write(folder.join("go"), "").into_diagnostic()?;
        let seats = self.seats;
        let canaries = seats.fifo.then(|| [seats.servers, seats.load].map(Canary::start));
        let after = wait(".json", Duration::from_secs_f64(self.seconds) + END)?;
        let standstills = canaries.into_iter().flatten().flat_map(Canary::end).collect();
        let mut kept = askers.iter().map(|asker| {
            let text = fs::read_to_string(folder.join(format!("{}.json", asker.task))).into_diagnostic()?;
            serde_json::from_str::<Kept>(&text).into_diagnostic()
        });
        let control = kept.next().expect("there is a client")?;
        let load = kept.next().transpose()?;
        let of_the_box = before.zip(after).map(|(before, after)| BoxLedger::between(&before, &after)).transpose()?;
        Ok(Turn { contestant, scene, control, load, of_the_box, standstills })
    }

    fn client(
        &self,
        contestant: Contestant,
        scene: Scene,
        asker: &Asker,
        servers: &Servers,
        folder: &Path,
    ) -> Result<Process> {
        let mut command = match contestant.client() {
            ClientIn::Rust => {
                let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
                command.arg("peer-client").args(self.asking(scene, asker, folder));
                command.args(["--way", servers::way(contestant), "--links", &asker.links.to_string()]);
                command.arg("--model").arg(self.models.join(asker.model)).args(["--served-as", asker.model]);
                if matches!(contestant, Contestant::TritonPriority | Contestant::TritonTimeout) {
                    command.args(["--priority", &asker.priority.to_string()]);
                }
                command
            }
            ClientIn::Python => {
                let mut command = Command::new(&self.python);
                command.arg(self.scripts.join("client.py")).args(self.asking(scene, asker, folder));
                let manifest = Manifest::load(&self.models.join(asker.model)).into_diagnostic()?;
                let contract = Contract::new(asker.task, &manifest).into_diagnostic()?.digest();
                let hexadecimal = format!("{:032x}", u128::from_be_bytes(contract));
                command.args(["--way", "genba", "--contract", &hexadecimal]);
                command
            }
        };
        command.args(["--address", servers.address(asker)]);
        self.seats.client(asker).give(&mut command);
        log(&mut command, folder, asker.task)?;
        Process::start(&mut command).into_diagnostic()
    }

    /// What both clients are told.
    pub(crate) fn asking(&self, scene: Scene, asker: &Asker, folder: &Path) -> Vec<String> {
        let control = asker.task == CONTROL;
        let seconds = match scene {
            Scene::Idle => self.seconds.min(IDLE_S),
            Scene::FloodAlone | Scene::Flood1x | Scene::Flood2x | Scene::Flood5x => self.seconds.min(FLOOD_S),
            Scene::Paced | Scene::Neighbour => self.seconds,
        };
        let (delay, seconds) = if control { (LOAD_LEAD_S, seconds) } else { (0.0, seconds + 2.0 * LOAD_LEAD_S) };
        [
            ("--name", asker.task.to_owned()),
            ("--folder", folder.to_string_lossy().into_owned()),
            ("--task", asker.task.to_owned()),
            ("--robots", asker.robots.to_string()),
            ("--rate", asker.rate_hz.to_string()),
            ("--delay-s", delay.to_string()),
            ("--seconds", seconds.to_string()),
            ("--deadline-us", asker.deadline_us.to_string()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
    }

    /// Where a client of dora puts itself: its dataflow starts it.
    pub(crate) fn seated(&self, asker: &Asker) -> Vec<String> {
        let Seat { core, priority, .. } = self.seats.client(asker);
        let mut options = vec!["--core".to_owned(), core.to_string()];
        options.extend(priority.into_iter().flat_map(|priority| ["--fifo".to_owned(), priority.to_string()]));
        options
    }
}

/// A file in the folder takes what the command says.
pub(crate) fn log(command: &mut Command, folder: &Path, name: &str) -> Result<()> {
    let log = File::create(folder.join(format!("{name}.log"))).into_diagnostic()?;
    command.stdin(Stdio::null()).stdout(log.try_clone().into_diagnostic()?).stderr(log);
    Ok(())
}

/// The last words of every process of a turn that failed.
fn said(folder: &Path) -> String {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.fold(String::new(), |mut said, path| {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        for line in last.into_iter().rev() {
            let _ = write!(said, "\n  {}: {line}", path.file_stem().unwrap_or_default().to_string_lossy());
        }
        said
    })
}

impl BoxLedger {
    pub(crate) fn between(before: &Status, after: &Status) -> Result<Self> {
        let grown = |count: &str| Ok::<_, miette::Report>(after.total(count)?.saturating_sub(before.total(count)?));
        Ok(Self {
            received: grown("received")?,
            model: grown("model")?,
            fallback: grown("fallback")?,
            superseded: grown("superseded")?,
            refused: grown("refused")?,
            missed: grown("missed")?,
            balances: before.balances() && after.balances(),
            reasons: after.reasons_since(before),
        })
    }
}
