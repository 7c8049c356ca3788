//! The one client: a closed loop over zenoh, from before its put to its waiting thread's waking.
//!
//! The same settings towards every server: one zenoh worker, observations real-time, express and dropped rather
//! than waited for. A callback copies nothing and wakes the waiting thread through a bounded channel.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use manifest::Manifest;
use miette::{Result, miette};
use zenoh::bytes::ZBytes;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::SampleFields;
use zenoh::{Config, Session, Wait};

use crate::measure::{BURST, PAUSE, Round, Tally};
use crate::subject::Subject;
use crate::traffic::{Answer, Controller, lengths};

/// A connection to one server.
pub(crate) struct Client {
    subject: Subject,
    session: Session,
    publisher: Publisher<'static>,
    _receiving: Subscriber<()>,
    responses: Receiver<ZBytes>,
    controller: Controller,
    /// What an echo is as long as.
    response_length: usize,
}

/// An answer that takes longer will not come.
const PATIENCE: Duration = Duration::from_secs(5);
/// A box measures its margin for 2 s before it serves; a busy machine takes its time.
const START: Duration = Duration::from_mins(1);

impl Client {
    pub(crate) fn connect(subject: Subject, endpoint: &str, manifest: &Manifest) -> Result<Self> {
        Self::open(subject, endpoint, manifest).map_err(|error| miette!("the client of {subject}: {error}"))
    }

    fn open(subject: Subject, endpoint: &str, manifest: &Manifest) -> zenoh::Result<Self> {
        let session = zenoh::open(config(endpoint)?).wait()?;
        let keys = subject.route(0);
        let (arrived, responses) = sync_channel(16);
        let receiving = session
            .declare_subscriber(keys.response)
            .callback(move |sample| {
                let SampleFields { payload, .. } = sample.into();
                // One answer is waited for at a time; a second one would show as an answer to nothing.
                let _ = arrived.try_send(payload);
            })
            .wait()?;
        let publisher = session
            .declare_publisher(keys.observation)
            .priority(Priority::RealTime)
            .congestion_control(CongestionControl::Drop)
            .express(true)
            .wait()?;
        let controller = Controller::new(manifest).map_err(|error| error.to_string())?;
        let (_, response_length) = lengths(manifest);
        Ok(Self { subject, session, publisher, _receiving: receiving, responses, controller, response_length })
    }

    /// Asks until the server answers as it should. `check` says why it never will.
    pub(crate) fn until_served(&mut self, mut check: impl FnMut() -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            check()?;
            if self.publisher.matching_status().wait().is_ok_and(|status| status.matching())
                && self.round_trip(Duration::from_millis(500)).is_some_and(|(_, answer)| answer == Answer::Model)
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(miette!("{} did not answer within {} s", self.subject, START.as_secs()))
    }

    /// So many counted round trips, one after another.
    pub(crate) fn round(&mut self, count: usize) -> Round {
        let mut round = Round::default();
        let mut burst: Option<Instant> = None;
        // What came too late for an earlier wait is nobody's.
        while self.responses.try_recv().is_ok() {}
        while round.times.len() < count && round.tally.unanswered < MOST_UNANSWERED {
            if burst.is_none_or(|begun| begun.elapsed() >= BURST) {
                thread::sleep(PAUSE);
                round.tally.count(self.round_trip(PATIENCE).map(|(_, answer)| answer));
                burst = Some(Instant::now());
            }
            let arrived = self.round_trip(PATIENCE);
            round.tally.count(arrived.map(|(_, answer)| answer));
            if let Some((nanos, _)) = arrived {
                round.times.push(nanos);
            }
        }
        round
    }

    /// Closes the session in order.
    pub(crate) fn close(self) {
        // The servers end next; whether they were told does not matter to any figure.
        let _ = self.session.close().wait();
    }

    /// One round trip in nanoseconds and what came back; `None`: nothing did.
    fn round_trip(&mut self, patience: Duration) -> Option<(u64, Answer)> {
        let frame = self.controller.next();
        let begun = Instant::now();
        if self.publisher.put(frame).wait().is_err() {
            return None;
        }
        loop {
            let response = match self.responses.recv_timeout(patience.checked_sub(begun.elapsed())?) {
                Ok(response) => response,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            };
            let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            match self.read(&response.to_bytes()) {
                // An older observation's, which was given up.
                Answer::Other => {}
                answer @ (Answer::Model | Answer::Fallback | Answer::Refusal) => return Some((nanos, answer)),
            }
        }
    }

    fn read(&self, response: &[u8]) -> Answer {
        match self.subject {
            Subject::Echo | Subject::EchoHops => {
                if self.controller.last().get(..self.response_length) == Some(response) {
                    Answer::Model
                } else {
                    Answer::Other
                }
            }
            Subject::HopsRun | Subject::Bare | Subject::NaiveDefault | Subject::NaiveTuned | Subject::Box => {
                self.controller.read(response)
            }
        }
    }
}

impl Tally {
    fn count(&mut self, answer: Option<Answer>) {
        match answer {
            Some(Answer::Model) => self.model += 1,
            Some(Answer::Fallback) => self.fallback += 1,
            Some(Answer::Refusal) => self.refusal += 1,
            Some(Answer::Other) | None => self.unanswered += 1,
        }
    }
}

/// A server that died is not waited for again and again.
const MOST_UNANSWERED: u64 = 3;

/// Peer to peer over the one link, and nothing looked for.
pub(crate) fn config(endpoint: &str) -> zenoh::Result<Config> {
    let mut config = Config::default();
    for (key, value) in [
        ("mode", "\"peer\""),
        ("listen/endpoints", "[]"),
        ("connect/endpoints", &format!("{:?}", [endpoint])),
        // Again and again until the server listens.
        ("connect/timeout_ms", &START.as_millis().to_string()),
        ("connect/exit_on_failure", "true"),
        ("connect/retry", "{ period_init_ms: 100, period_max_ms: 100, period_increase_factor: 1 }"),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        ("timestamping/enabled", "false"),
        ("transport/shared_memory/enabled", "false"),
    ] {
        config.insert_json5(key, value)?;
    }
    Ok(config)
}
