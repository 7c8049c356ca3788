//! Starts a contestant's servers, each as its users would.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use miette::{IntoDiagnostic, Result, WrapErr, miette};

use super::contestant::Contestant;
use super::scene::{Asker, CONTROL, Part, Scene};
use super::site;
use super::turn::{BOX_PRIORITY, Setup, log};
use crate::genba::{Genba, Status};
use crate::process::{Peer, Process, free_endpoint};

/// What runs during a turn; ends with this value.
pub(crate) struct Servers {
    running: Vec<Running>,
    /// Where each part of the scene is asked.
    addresses: Vec<(&'static Part, String)>,
}

enum Running {
    Genba(Genba),
    /// It said that it is ready.
    Ready(Peer),
    /// Its clients ask until it answers.
    Family(Process),
}

impl Servers {
    pub(crate) fn are_running(&mut self) -> Result<()> {
        self.running.iter_mut().try_for_each(|running| match running {
            Running::Genba(genba) => genba.is_running(),
            Running::Ready(peer) => peer.process.is_running(),
            // A dataflow ends with its clients.
            Running::Family(process) => match process.ended()? {
                Some(false) => Err(miette!("a server ended")),
                Some(true) | None => Ok(()),
            },
        })
    }

    /// The box's; `None` of others.
    pub(crate) fn status(&self) -> Result<Option<Status>> {
        let genba = self.running.iter().find_map(|running| match running {
            Running::Genba(genba) => Some(genba),
            Running::Ready(_) | Running::Family(_) => None,
        });
        genba.map(Genba::status).transpose()
    }

    /// Where the client asks.
    pub(crate) fn address(&self, asker: &Asker) -> &str {
        let found = self.addresses.iter().find(|(part, _)| part.tasks.contains(&asker.task));
        &found.expect("every task is served").1
    }
}

/// The Rust client's way to ask; dora has a client of its own.
pub(crate) fn way(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Genba | Contestant::GenbaPython => "genba",
        Contestant::NaiveDefault | Contestant::NaiveTuned => "naive",
        Contestant::PythonZenoh | Contestant::Dora => "raw",
        Contestant::Triton | Contestant::TritonPriority | Contestant::TritonTimeout => "grpc",
    }
}

pub(crate) fn start(setup: &Setup, contestant: Contestant, scene: Scene, folder: &Path) -> Result<Servers> {
    match contestant {
        Contestant::Genba | Contestant::GenbaPython => genba(setup, scene),
        Contestant::NaiveDefault => {
            each_part(setup, scene, folder, |part, address| naive(setup, scene, part, address, "default"))
        }
        Contestant::NaiveTuned => {
            each_part(setup, scene, folder, |part, address| naive(setup, scene, part, address, "tuned"))
        }
        Contestant::PythonZenoh => each_part(setup, scene, folder, |part, address| {
            let mut command = Command::new(&setup.python);
            let model = setup.models.join(part.model).join("model.onnx");
            let task = |task: &&str| format!("{task}={}", model.display());
            command.arg(setup.scripts.join("zenoh_server.py")).arg(address).args(part.tasks.iter().map(task));
            Ok(command)
        }),
        Contestant::Triton => triton(setup, scene, folder, "plain"),
        Contestant::TritonPriority => triton(setup, scene, folder, "priority"),
        Contestant::TritonTimeout => triton(setup, scene, folder, "timeout"),
        Contestant::Dora => dora(setup, scene, folder),
    }
}

/// One process for all: a worker for each part.
fn genba(setup: &Setup, scene: Scene) -> Result<Servers> {
    let endpoint = free_endpoint()?;
    let config = |socket: &Path| box_config(setup, scene, &endpoint, socket);
    let genba = Genba::start_with(&setup.genba, config, |command| setup.seats.server().give(command))?;
    let addresses = scene.parts().iter().map(|part| (part, endpoint.clone())).collect();
    Ok(Servers { running: vec![Running::Genba(genba)], addresses })
}

fn box_config(setup: &Setup, scene: Scene, endpoint: &str, socket: &Path) -> String {
    let mut config = format!(
        "[box]\nname = \"bench\"\nkey_prefix = \"{}\"\nstatus_socket = \"{}\"\n[link]\nlisten = [\"{endpoint}\"]\n\
         [quarantine]\nhang_ms = 2000\n",
        site::PREFIX,
        socket.display()
    );
    if setup.seats.fifo {
        let core = setup.seats.servers;
        let _ =
            writeln!(config, "[realtime]\nfifo_priority = {BOX_PRIORITY}\nengine_cores = [{core}]\nlock_memory = true");
    }
    for part in scene.parts() {
        let Part { model, .. } = part;
        let (folder, core) = (setup.models.join(model), setup.seats.part(part).core);
        let _ = writeln!(config, "[[model]]\nname = \"{model}\"\nfolder = \"{}\"", folder.display());
        let _ = writeln!(config, "[[worker]]\nname = \"{model}\"\nmodels = [\"{model}\"]\ncores = [{core}]");
    }
    for asker in scene.askers(setup.capacity) {
        let Asker { task, model, robots, deadline_us, .. } = asker;
        let (period_us, jitter_us) = policed(&asker);
        let robots: Vec<String> = (0..robots).map(|robot| format!("{{ name = \"{}\" }}", site::robot(robot))).collect();
        let _ = writeln!(
            config,
            "[[task]]\nname = \"{task}\"\nmodel = \"{model}\"\ndeadline_us = {deadline_us}\n\
             min_period_us = {period_us}\narrival_jitter_us = {jitter_us}\nhold_ms = 1000\nrobots = [{}]",
            robots.join(", ")
        );
    }
    config
}

/// The shortest period of each of its robots, and how much sooner an observation may come. A client that was held up
/// catches up: by so much as its answers may take. One that asks again as soon as it is answered has no period.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "microseconds")]
fn policed(asker: &Asker) -> (u64, u64) {
    if asker.rate_hz <= 0.0 {
        return (1, asker.deadline_us);
    }
    let period_us = (1e6 * asker.robots as f64 / asker.rate_hz).floor() as u64;
    (period_us.max(1), asker.deadline_us)
}

/// A process for each part, which says `ready`.
fn each_part(
    setup: &Setup,
    scene: Scene,
    folder: &Path,
    command: impl Fn(&Part, &str) -> Result<Command>,
) -> Result<Servers> {
    let mut servers = Servers { running: Vec::new(), addresses: Vec::new() };
    for part in scene.parts() {
        let address = free_endpoint()?;
        let mut command = command(part, &address)?;
        setup.peers_seats(scene).part(part).give(&mut command);
        log(&mut command, folder, &format!("server-{}", part.model))?;
        let peer = Peer::start(&mut command).wrap_err_with(|| format!("the server of {}", part.model))?;
        servers.running.push(Running::Ready(peer));
        servers.addresses.push((part, address));
    }
    Ok(servers)
}

fn naive(setup: &Setup, scene: Scene, part: &Part, address: &str, kind: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
    let robots = scene.askers(setup.capacity).iter().map(|asker| asker.robots).max().unwrap_or(1);
    command.args(["peer-server", kind, "--endpoint", address, "--robots", &robots.to_string()]);
    let folder = setup.models.join(part.model);
    command.args(part.tasks.iter().map(|task| format!("{task}={}", folder.display())));
    Ok(command)
}

/// One server, which runs each model in a process of its own.
fn triton(setup: &Setup, scene: Scene, folder: &Path, queue: &str) -> Result<Servers> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).into_diagnostic()?;
    let work = folder.join("triton");
    fs::create_dir(&work).into_diagnostic()?;
    let mut command = Command::new(&setup.python);
    command.arg(setup.scripts.join("triton.py")).arg(&work).args([&address.port().to_string(), queue]);
    for part in scene.parts() {
        let file = setup.models.join(part.model).join("model.onnx");
        let seat = setup.peers_seats(scene).part(part);
        let place = if part.beside { format!("@{}:{}", seat.core, seat.priority.unwrap_or(0)) } else { String::new() };
        command.arg(format!("{}={}{place}", part.model, file.display()));
    }
    setup.peers_seats(scene).server().give(&mut command);
    log(&mut command, folder, "server")?;
    let process = Process::start_family(&mut command).into_diagnostic()?;
    let addresses = scene.parts().iter().map(|part| (part, address.to_string())).collect();
    Ok(Servers { running: vec![Running::Family(process)], addresses })
}

/// A control loop wants the newest observation alone; all else has dora's own queue.
fn dora_input(task: &str) -> String {
    let queue = if task == CONTROL { ", queue_size: 1" } else { "" };
    format!("{task}: {{ source: {task}/observation{queue} }}")
}

/// One dataflow: a node for each part and one for each client.
fn dora(setup: &Setup, scene: Scene, folder: &Path) -> Result<Servers> {
    let mut flow = "nodes:\n".to_owned();
    let askers = scene.askers(setup.capacity);
    for asker in &askers {
        let part = scene.parts().iter().find(|part| part.tasks.contains(&asker.task)).expect("every task is served");
        let options =
            [vec!["--way".to_owned(), "dora".to_owned()], setup.asking(scene, asker, folder), setup.seated(asker)];
        let _ = writeln!(
            flow,
            "- id: {task}\n  path: {}\n  args: {}\n  inputs: {{ action: {{ source: {}/{task}, queue_size: 1000 }} }}\n  outputs: [observation]",
            setup.scripts.join("client.py").display(),
            options.concat().join(" "),
            part.model,
            task = asker.task,
        );
    }
    for part in scene.parts() {
        let seat = setup.peers_seats(scene).part(part);
        let place = if part.beside { format!(" {} {}", seat.core, seat.priority.unwrap_or(0)) } else { String::new() };
        // A dataflow has no input from a node that is not there.
        let tasks: Vec<&str> = askers.iter().map(|asker| asker.task).filter(|task| part.tasks.contains(task)).collect();
        let inputs: Vec<String> = tasks.iter().map(|task| dora_input(task)).collect();
        let _ = writeln!(
            flow,
            "- id: {}\n  path: {}\n  args: {}{place}\n  inputs: {{ {} }}\n  outputs: [{}]",
            part.model,
            setup.scripts.join("dora_policy.py").display(),
            setup.models.join(part.model).join("model.onnx").display(),
            inputs.join(", "),
            tasks.join(", "),
        );
    }
    let path = folder.join("flow.yml");
    fs::write(&path, flow).into_diagnostic()?;
    let binaries = setup.python.parent().ok_or_else(|| miette!("the Python interpreter has no folder"))?;
    let mut command = Command::new(binaries.join("dora"));
    command.arg("run").arg(&path).current_dir(folder);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = [binaries.to_owned()].into_iter().chain(std::env::split_paths(&paths));
    command.env("PATH", std::env::join_paths(paths).into_diagnostic()?);
    setup.peers_seats(scene).server().give(&mut command);
    log(&mut command, folder, "server")?;
    command.stdin(Stdio::null());
    let process = Process::start_family(&mut command).into_diagnostic()?;
    Ok(Servers { running: vec![Running::Family(process)], addresses: Vec::new() })
}
