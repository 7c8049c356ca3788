//! `genba-bench peer-client`: one client process, the same loop for every server. `peers/client.py` is its twin.
//!
//! It asks until it is answered once, leaves `NAME.ready` in its folder, begins when `go` is there, and leaves
//! `NAME.json`. It times from before a request's put to the callback that has its answer.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use manifest::{Contract, Manifest};
use message::{Address, Body, ContractDigest, Epoch, Observation, Response, Sequence, Stamp, floats, put_floats};
use miette::{IntoDiagnostic, Result, miette};
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::{Session, Wait};

use super::grpc::{Channel, Ended, Input};
use super::ledger::{Arrival, Kept, Ledger, Said};
use super::site;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Way {
    /// zenoh and genba's messages; a newer response answers older observations too.
    Genba,
    /// zenoh and genba's messages; each is answered by itself.
    Naive,
    /// zenoh; an 8-byte number, then the values.
    Raw,
    /// Open Inference Protocol over gRPC; a robot is a connection.
    Grpc,
}

/// One client.
#[derive(Debug, Args)]
pub(crate) struct Client {
    #[arg(long)]
    pub(crate) way: Way,
    /// Of the files that it leaves.
    #[arg(long)]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) folder: PathBuf,
    #[arg(long)]
    pub(crate) address: String,
    #[arg(long)]
    pub(crate) task: String,
    /// The model's folder.
    #[arg(long)]
    pub(crate) model: PathBuf,
    #[arg(long)]
    pub(crate) robots: usize,
    /// Connections, over which the robots are spread.
    #[arg(long)]
    pub(crate) links: usize,
    /// Requests a second of all robots together; 0: one after another.
    #[arg(long)]
    pub(crate) rate: f64,
    /// All robots ask at the same moments, not one after another.
    #[arg(long)]
    pub(crate) in_step: bool,
    #[arg(long)]
    pub(crate) delay_s: f64,
    #[arg(long)]
    pub(crate) seconds: f64,
    #[arg(long)]
    pub(crate) deadline_us: u64,
    /// The model's name in an inference server.
    #[arg(long, default_value = "")]
    pub(crate) served_as: String,
    /// Triton's priority of each request.
    #[arg(long)]
    pub(crate) priority: Option<u64>,
}

/// What has not come so long after the last request will not come.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two requests before the first answer; longer than any inference takes.
const WARM: Duration = Duration::from_millis(500);
/// Between two attempts to connect.
const AGAIN: Duration = Duration::from_millis(50);
/// Until the first answer; a box measures its margin first, and a busy machine takes its time.
const START: Duration = Duration::from_mins(1);

impl Client {
    pub(crate) fn run(&self) -> Result<()> {
        zenoh_link::prepare_process(true).into_diagnostic()?;
        let (arrived, arrivals) = channel();
        let mut line = match self.way {
            Way::Genba | Way::Naive | Way::Raw => {
                let open = ZenohLine::open(self, &arrived);
                Line::Zenoh(Box::new(open.map_err(|error| miette!("zenoh: {error}"))?))
            }
            Way::Grpc => Line::Grpc(GrpcLine::open(self, &arrived)?),
        };
        warm(&mut line, &arrivals)?;
        fs::write(self.folder.join(format!("{}.ready", self.name)), "").into_diagnostic()?;
        while !self.folder.join("go").exists() {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_secs_f64(self.delay_s));
        let kept = self.ask(&mut line, &arrivals)?;
        let part = self.folder.join(format!("{}.part", self.name));
        fs::write(&part, serde_json::to_string(&kept).into_diagnostic()?).into_diagnostic()?;
        fs::rename(part, self.folder.join(format!("{}.json", self.name))).into_diagnostic()
    }

    fn ask(&self, line: &mut Line, arrivals: &Receiver<Arrival>) -> Result<Kept> {
        let mut ledger = Ledger::new(self.robots, Duration::from_micros(self.deadline_us), self.way == Way::Genba);
        let begun = Instant::now();
        let length = Duration::from_secs_f64(self.seconds);
        let mut turn = 0_u32;
        let mut last = begun;
        while last - begun < length {
            let robot = turn as usize % self.robots;
            let sequence = line.prepare(robot);
            if self.rate > 0.0 {
                let due = if self.in_step { turn - u32::try_from(robot).into_diagnostic()? } else { turn };
                take(&mut ledger, arrivals, begun + Duration::from_secs_f64(f64::from(due) / self.rate), false);
            }
            last = Instant::now();
            ledger.sent(robot, sequence, last);
            line.send(robot)?;
            turn += 1;
            if self.rate <= 0.0 {
                take(&mut ledger, arrivals, last + PATIENCE, true);
            }
        }
        take(&mut ledger, arrivals, Instant::now() + PATIENCE, true);
        Ok(ledger.close((last - begun).as_secs_f64()))
    }
}

/// Asks until there is an answer by the model.
fn warm(line: &mut Line, arrivals: &Receiver<Arrival>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < START {
        line.prepare(0);
        line.send(0)?;
        if let Ok(Arrival { said: Said::Model { .. }, .. }) = arrivals.recv_timeout(WARM) {
            // Answers to what was asked before belong to the warming up.
            while arrivals.recv_timeout(WARM).is_ok() {}
            return Ok(());
        }
    }
    Err(miette!("no answer within {} s", START.as_secs()))
}

/// Takes what arrives, until then; `once`: or until nothing is waited for.
fn take(ledger: &mut Ledger, arrivals: &Receiver<Arrival>, end: Instant, once: bool) {
    while !once || ledger.waits() {
        let arrived = match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => arrivals.recv_timeout(left),
            _ => return,
        };
        match arrived {
            Ok(arrival) => ledger.arrived(arrival),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

enum Line {
    Zenoh(Box<ZenohLine>),
    Grpc(GrpcLine),
}

impl Line {
    /// Makes the robot's next request ready and gives its sequence.
    fn prepare(&mut self, robot: usize) -> u64 {
        match self {
            Self::Zenoh(line) => line.prepare(robot),
            Self::Grpc(line) => line.called[robot] + 1,
        }
    }

    fn send(&mut self, robot: usize) -> Result<()> {
        match self {
            Self::Zenoh(line) => {
                let ZenohRobot { publisher, frame, .. } = &line.robots[robot];
                publisher.put(frame.as_slice()).wait().map_err(|error| miette!("zenoh: {error}"))
            }
            Self::Grpc(line) => {
                line.called[robot] = line.channels[robot].call().into_diagnostic()?;
                Ok(())
            }
        }
    }
}

struct ZenohLine {
    way: Way,
    contract: ContractDigest,
    epoch: Epoch,
    robots: Vec<ZenohRobot>,
    values: Vec<u8>,
    /// Kept open.
    _sessions: Vec<Session>,
}

struct ZenohRobot {
    address: Address,
    sequence: u64,
    frame: Vec<u8>,
    publisher: Publisher<'static>,
    _receiving: Subscriber<()>,
}

impl ZenohLine {
    fn open(client: &Client, arrived: &Sender<Arrival>) -> zenoh::Result<Self> {
        let manifest = Manifest::load(&client.model)?;
        let contract = ContractDigest::new(Contract::new(&client.task, &manifest)?.digest());
        let epoch = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
        let open = || zenoh::open(crate::client::config(&client.address)?).wait();
        let sessions: Vec<Session> = (0..client.links).map(|_| open()).collect::<Result<_, _>>()?;
        let mut values = vec![0; site::INPUTS * size_of::<f32>()];
        put_floats(&site::observation(), &mut values).map_err(|error| error.to_string())?;
        let robot = |robot: usize| {
            let session = &sessions[robot % sessions.len()];
            let (way, arrived) = (client.way, arrived.clone());
            let receiving = session
                .declare_subscriber(site::key(robot, &client.task, "response"))
                .callback(move |sample| {
                    let at = Instant::now();
                    if let Some((sequence, said)) = read(way, epoch, &sample.payload().to_bytes()) {
                        // The client has ended: nobody waits any more.
                        let _ = arrived.send(Arrival { at, robot, sequence, said });
                    }
                })
                .wait()?;
            let publisher = session
                .declare_publisher(site::key(robot, &client.task, "observation"))
                .priority(Priority::RealTime)
                .congestion_control(CongestionControl::Drop)
                .express(true)
                .wait()?;
            let address = Address::of(&site::robot(robot), &client.task);
            Ok(ZenohRobot { address, sequence: 0, frame: Vec::new(), publisher, _receiving: receiving })
        };
        let robots = (0..client.robots).map(robot).collect::<zenoh::Result<_>>()?;
        Ok(Self { way: client.way, contract, epoch: Epoch::new(epoch), robots, values, _sessions: sessions })
    }

    fn prepare(&mut self, robot: usize) -> u64 {
        let ZenohRobot { address, sequence, frame, .. } = &mut self.robots[robot];
        let last_response = Sequence::new(*sequence);
        *sequence += 1;
        match self.way {
            Way::Raw => {
                frame.clear();
                frame.extend_from_slice(&sequence.to_le_bytes());
                frame.extend_from_slice(&self.values);
            }
            Way::Genba | Way::Naive | Way::Grpc => {
                let observation = Observation {
                    address: *address,
                    contract: self.contract,
                    epoch: self.epoch,
                    sequence: Sequence::new(*sequence).expect("it was counted up"),
                    stamp: Stamp::new(*sequence),
                    last_response,
                    budget_us: 0,
                    values: &self.values,
                };
                frame.resize(Observation::OVERHEAD + self.values.len(), 0);
                observation.encode(frame).expect("the frame has room");
            }
        }
        *sequence
    }
}

/// A response's sequence and what it says; `None` for another client's.
fn read(way: Way, epoch: u64, frame: &[u8]) -> Option<(u64, Said)> {
    if way == Way::Raw {
        let (sequence, values) = frame.split_first_chunk()?;
        return Some((u64::from_le_bytes(*sequence), Said::Model { action: floats(values).collect(), age_us: 0 }));
    }
    let response = Response::decode(frame).ok()?;
    let sequence = response.sequence.filter(|_| response.epoch == Epoch::new(epoch))?;
    let age_us = response.age_us;
    let said = match response.body {
        Body::Action { values, .. } => Said::Model { action: floats(values).collect(), age_us },
        Body::Fallback { .. } => Said::Fallback { age_us },
        Body::Refusal { .. } => Said::Refusal,
    };
    Some((sequence.value(), said))
}

/// An output of another length is no answer: Triton's python backend gives one of no bytes beside a numpy that it was not
/// built for.
fn grpc_answer(output: &[u8]) -> Said {
    if output.len() == site::OUTPUTS * size_of::<f32>() {
        Said::Model { action: floats(output).collect(), age_us: 0 }
    } else {
        Said::Failure
    }
}

struct GrpcLine {
    channels: Vec<Channel>,
    called: Vec<u64>,
}

impl GrpcLine {
    /// Connects as soon as the server listens.
    fn open(client: &Client, arrived: &Sender<Arrival>) -> Result<Self> {
        let begun = Instant::now();
        let shape: &[u64] = &[1, site::INPUTS as u64];
        let input = Input { model: &client.served_as, shape, values: &site::observation(), priority: client.priority };
        let open = |robot: usize| {
            loop {
                let arrived = arrived.clone();
                let ended = move |Ended { at, call, output }| {
                    let said = output.as_deref().map_or(Said::Failure, grpc_answer);
                    let _ = arrived.send(Arrival { at, robot, sequence: call, said });
                };
                match Channel::open(&client.address, &input, ended) {
                    Ok(channel) => return Ok(channel),
                    Err(error) if begun.elapsed() > START => return Err(error).into_diagnostic(),
                    Err(_) => thread::sleep(AGAIN),
                }
            }
        };
        let channels = (0..client.robots).map(open).collect::<Result<_>>()?;
        Ok(Self { channels, called: vec![0; client.robots] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_of_another_length_is_no_answer() {
        let whole = [0; site::OUTPUTS * size_of::<f32>()];
        assert!(matches!(grpc_answer(&whole), Said::Model { action, .. } if action.len() == site::OUTPUTS));
        assert!(matches!(grpc_answer(&[]), Said::Failure));
        assert!(matches!(grpc_answer(&whole[1..]), Said::Failure));
    }
}
