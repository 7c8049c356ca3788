//! One mode, in a process of its own: the way in this process, then all servers side by side, round by round.

use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use manifest::Manifest;
use miette::{IntoDiagnostic, Result, WrapErr};

use crate::client::Client;
use crate::findings::{Books, Outcome, Rounds};
use crate::genba::{Genba, Status};
use crate::process::{Peer, Process, free_endpoint};
use crate::progress::Progress;
use crate::scheduling::{BOX_PRIORITY, Mode, Place};
use crate::server::load_model;
use crate::subject::Subject;
use crate::way;

/// Real-time threads must leave their core for a twentieth of each second or the kernel takes it away for
/// longer: before each slice and after so much of round trips in it, ...
pub(crate) const BURST: Duration = Duration::from_millis(100);
/// ... so much of nothing, and one round trip that does not count. In every mode alike.
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// So many round trips of one subject, then it is the next one's turn.
const SLICE: usize = 1_000;

/// The fewest rounds that say anything about their spread.
pub(crate) const FEWEST_ROUNDS: usize = 3;

/// Measures one mode and prints what was found as JSON.
#[derive(Debug, Args)]
pub(crate) struct Measure {
    #[arg(long)]
    pub(crate) mode: Mode,
    #[arg(long)]
    pub(crate) rounds: usize,
    #[arg(long)]
    pub(crate) round_trips: usize,
    /// No round is begun that would end later than this.
    #[arg(long)]
    pub(crate) budget_s: u64,
    #[arg(long)]
    pub(crate) model: PathBuf,
    #[arg(long)]
    pub(crate) genba: PathBuf,
}

/// One subject's part of one round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Of counted round trips, in nanoseconds.
    pub(crate) times: Vec<u64>,
    /// Of all.
    pub(crate) tally: Tally,
    /// The CPU time that the server's process used.
    pub(crate) cpu_ns: u64,
}

/// How requests ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) model: u64,
    pub(crate) fallback: u64,
    pub(crate) refusal: u64,
    pub(crate) unanswered: u64,
}

impl Tally {
    pub(crate) fn answered(self) -> u64 {
        self.model + self.fallback + self.refusal
    }

    pub(crate) fn add(&mut self, other: Self) {
        let Self { model, fallback, refusal, unanswered } = other;
        self.model += model;
        self.fallback += fallback;
        self.refusal += refusal;
        self.unanswered += unanswered;
    }
}

impl Measure {
    pub(crate) fn run(&self) -> Result<Outcome> {
        let begun = Instant::now();
        let place = match Place::of(self.mode) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Outcome::Skipped { reason: "no real-time rights".to_owned() });
            }
            Err(error) => return Err(error).into_diagnostic(),
        };
        zenoh_link::prepare_process(true).into_diagnostic()?;
        let manifest = Manifest::load(&self.model).into_diagnostic()?;
        let mut progress = Progress::new(self.mode, self.steps());
        let session = load_model(&manifest)?;
        let way = place.during(|| way::walk(session, &manifest)).into_diagnostic()??;

        let mut contacts = self.contacts(place, &manifest)?;
        let mut books = Books { way, rounds: Rounds::default(), before: status(&contacts)?, after: None };
        let mut longest = Duration::ZERO;
        for round in 0..=self.rounds {
            let round_begun = Instant::now();
            if round > FEWEST_ROUNDS && begun.elapsed() + longest > Duration::from_secs(self.budget_s) {
                break;
            }
            self.round(round, place, &mut contacts, &mut books.rounds, &mut progress)?;
            longest = longest.max(round_begun.elapsed());
            if round == 0 {
                books.before = status(&contacts)?;
            }
        }
        progress.end();
        books.after = Some(status(&contacts)?);
        contacts.into_iter().for_each(Contact::close);
        Ok(Outcome::Measured(Box::new(books.found(place, self.round_trips))))
    }

    /// How many slices there are.
    fn steps(&self) -> usize {
        let slices = |round_trips: usize| round_trips.div_ceil(SLICE) * Subject::ALL.len();
        slices(self.round_trips.div_ceil(4)) + slices(self.round_trips) * self.rounds
    }

    /// Everybody's turn, again and again until each has had all its round trips: what is compared is never far apart
    /// in time. In each round another one is first. Round 0 warms up and is forgotten.
    fn round(
        &self,
        round: usize,
        place: Place,
        contacts: &mut [Contact],
        rounds: &mut Rounds,
        progress: &mut Progress,
    ) -> Result<()> {
        let count = if round == 0 { self.round_trips.div_ceil(4) } else { self.round_trips };
        let mut done: Vec<Round> = contacts.iter().map(|_| Round::default()).collect();
        for begun in (0..count).step_by(SLICE) {
            for turn in 0..contacts.len() {
                let turn = (turn + round) % contacts.len();
                let (contact, done) = (&mut contacts[turn], &mut done[turn]);
                let before = contact.process().cpu_ns()?;
                let slice = place.during(|| contact.round(SLICE.min(count - begun))).into_diagnostic()?;
                let slice = slice.wrap_err_with(|| format!("{}", contact.subject))?;
                done.cpu_ns += contact.process().cpu_ns()?.saturating_sub(before);
                done.times.extend(slice.times);
                done.tally.add(slice.tally);
                progress.step();
            }
        }
        if round > 0 {
            for (contact, done) in contacts.iter().zip(&done) {
                rounds.add(contact.subject, done);
            }
        }
        Ok(())
    }

    fn contacts(&self, place: Place, manifest: &Manifest) -> Result<Vec<Contact>> {
        Subject::ALL.iter().map(|subject| self.contact(*subject, place, manifest)).collect()
    }

    /// Starts a server and waits for its first answer.
    fn contact(&self, subject: Subject, place: Place, manifest: &Manifest) -> Result<Contact> {
        let endpoint = free_endpoint()?;
        let server = match subject {
            Subject::Box => Server::Box(
                place.during(|| Genba::start(&self.genba, &self.model, &endpoint, place)).into_diagnostic()??,
            ),
            Subject::Echo
            | Subject::EchoHops
            | Subject::HopsRun
            | Subject::Bare
            | Subject::NaiveDefault
            | Subject::NaiveTuned => {
                Server::Peer(place.during(|| self.peer(subject, &endpoint, place)).into_diagnostic()??)
            }
        };
        let mut contact = Contact { subject, server, client: None };
        if subject != Subject::Bare {
            // zenoh's threads are started here and inherit the class.
            let connecting = || Client::connect(subject, &endpoint, manifest);
            let mut client = place.during(connecting).into_diagnostic()??;
            client.until_served(|| contact.is_running())?;
            contact.client = Some(client);
        }
        Ok(contact)
    }

    fn peer(&self, subject: Subject, endpoint: &str, place: Place) -> Result<Peer> {
        let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
        command.args(["server", subject.name(), "--endpoint", endpoint, "--model"]).arg(&self.model);
        if let Place::FifoOn(_) = place {
            command.args(["--fifo-priority", &BOX_PRIORITY.to_string()]);
        }
        Peer::start(&mut command).wrap_err_with(|| format!("{subject}"))
    }
}

/// A server and the way to ask it.
struct Contact {
    subject: Subject,
    server: Server,
    /// `None`: asked over its standard input.
    client: Option<Client>,
}

#[allow(clippy::large_enum_variant, reason = "there are seven")]
enum Server {
    Peer(Peer),
    Box(Genba),
}

impl Contact {
    fn round(&mut self, count: usize) -> Result<Round> {
        match (&mut self.client, &mut self.server) {
            (Some(client), _) => Ok(client.round(count)),
            (None, Server::Peer(peer)) => peer.round(count),
            (None, Server::Box(_)) => unreachable!("the box has a client"),
        }
    }

    fn process(&self) -> &Process {
        match &self.server {
            Server::Peer(peer) => &peer.process,
            Server::Box(genba) => &genba.process,
        }
    }

    fn is_running(&mut self) -> Result<()> {
        match &mut self.server {
            Server::Peer(peer) => peer.process.is_running().wrap_err_with(|| format!("{}", self.subject)),
            Server::Box(genba) => genba.is_running(),
        }
    }

    /// The link before the server, so that nobody connects again.
    fn close(self) {
        if let Some(client) = self.client {
            client.close();
        }
    }
}

/// What the box says about itself.
fn status(contacts: &[Contact]) -> Result<Status> {
    let genba = contacts.iter().find_map(|contact| match &contact.server {
        Server::Box(genba) => Some(genba),
        Server::Peer(_) => None,
    });
    genba.expect("the box is among the subjects").status()
}
