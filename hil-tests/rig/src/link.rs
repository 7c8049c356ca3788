//! The robot's zenoh session: observations go out, answers come in. Its callback never blocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use message::{Epoch, NoRoom, Notice, NoticeKind, Observation, Sequence, Stamp, put_floats};
use plants::OBSERVATION_ELEMENTS;
use thiserror::Error;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Sample, SampleKind};
use zenoh::{Config, Session, Wait};

use crate::answer::{Answer, Unread, read};
use crate::clock::Moment;
use crate::site::Site;

/// A robot's connection to its box.
pub struct Link {
    outbox: Outbox,
    inbox: Inbox,
    watch: Watch,
}

/// Where observations go out.
pub struct Outbox {
    site: Site,
    publisher: Publisher<'static>,
    frame: Vec<u8>,
    /// Of the frame that was sent last.
    length: usize,
}

/// Where answers come in, in the order of their arrival.
pub struct Inbox {
    arrivals: Receiver<Result<Answer, Unread>>,
    overflowed: Arc<AtomicU64>,
}

/// What the robot sees of the box besides answers.
pub struct Watch {
    session: Session,
    alive: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    farewells: Arc<AtomicU64>,
    _receiving: [Subscriber<()>; 3],
}

/// Why a robot is not connected.
#[derive(Debug, Error)]
pub enum LinkError {
    /// zenoh refused the session, a key or an endpoint.
    #[error("the robot's link: {0}")]
    Zenoh(#[from] zenoh::Error),
    /// The observation does not fit its frame.
    #[error("the robot's observation: {0}")]
    NoRoom(#[from] NoRoom),
}

impl Link {
    /// Opens the session; it connects in the background, again and again until the box is there.
    ///
    /// # Errors
    /// [`LinkError`] where zenoh refuses the endpoint or a key.
    pub fn open(endpoint: &str, site: &Site) -> Result<Self, LinkError> {
        let session = zenoh::open(config(endpoint)?).wait()?;
        let (arrivals_in, arrivals) = sync_channel(INBOX);
        let (overflowed, alive, lost, farewells) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let receiving = [
            responses(&session, site, arrivals_in, Arc::clone(&overflowed))?,
            notices(&session, site, Arc::clone(&farewells))?,
            liveliness(&session, site, Arc::clone(&alive), Arc::clone(&lost))?,
        ];
        let publisher = session
            .declare_publisher(site.observation_key.clone())
            .priority(Priority::RealTime)
            .congestion_control(CongestionControl::Drop)
            .express(true)
            .wait()?;
        Ok(Self {
            outbox: Outbox { site: site.clone(), publisher, frame: vec![0; FRAME], length: 0 },
            inbox: Inbox { arrivals, overflowed },
            watch: Watch { session, alive, lost, farewells, _receiving: receiving },
        })
    }

    /// The three parts, for their threads.
    #[must_use]
    pub fn split(self) -> (Outbox, Inbox, Watch) {
        (self.outbox, self.inbox, self.watch)
    }
}

impl Outbox {
    /// Hands one observation to the link; the moment that its stamp holds.
    ///
    /// # Errors
    /// [`LinkError`] where it was not handed over.
    pub fn send(
        &mut self,
        epoch: Epoch,
        sequence: Sequence,
        last_response: Option<Sequence>,
        elements: &[f32; OBSERVATION_ELEMENTS],
        hang_iterations: f32,
    ) -> Result<Moment, LinkError> {
        let mut values = [0; (OBSERVATION_ELEMENTS + 1) * size_of::<f32>()];
        let mut length = put_floats(elements, &mut values)?;
        if self.site.can_hang {
            length += put_floats(&[hang_iterations], &mut values[length..])?;
        }
        let now = Moment::now();
        let observation = Observation {
            address: self.site.address(),
            contract: self.site.contract,
            epoch,
            sequence,
            stamp: Stamp::new(now.as_nanos()),
            last_response,
            budget_us: 0,
            values: &values[..length],
        };
        self.length = observation.encode(&mut self.frame)?;
        self.publisher.put(self.last_frame()).wait()?;
        Ok(now)
    }

    /// Hands over bytes that need not be an observation.
    ///
    /// # Errors
    /// [`LinkError`] where they were not handed over.
    pub fn send_bytes(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        Ok(self.publisher.put(bytes).wait()?)
    }

    /// The observation that was sent last.
    #[must_use]
    pub fn last_frame(&self) -> &[u8] {
        &self.frame[..self.length]
    }

    /// Whether the box listens to this robot's observations.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.publisher.matching_status().wait().is_ok_and(|status| status.matching())
    }
}

impl Inbox {
    /// The next answer that has arrived, if there is one.
    pub fn poll(&mut self) -> Option<Result<Answer, Unread>> {
        self.arrivals.try_recv().ok()
    }

    /// The next answer, waited for at most this long.
    pub fn wait(&mut self, at_most: Duration) -> Option<Result<Answer, Unread>> {
        self.arrivals.recv_timeout(at_most).ok()
    }

    /// How many answers found no room: this robot's own loss.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Whether the box's token is there.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }

    /// How often the box's token went: the box withheld or lost it, or this robot's session dropped.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many farewells were addressed to this robot.
    #[must_use]
    pub fn farewells(&self) -> u64 {
        self.farewells.load(Ordering::Relaxed)
    }

    /// Closes the session.
    ///
    /// # Errors
    /// What zenoh said.
    pub fn close(self) -> Result<(), LinkError> {
        Ok(self.session.close().wait()?)
    }
}

/// A box's answers for two seconds at 500 a second: far more than one look's worth.
const INBOX: usize = 1024;

const FRAME: usize = Observation::OVERHEAD + (OBSERVATION_ELEMENTS + 1) * size_of::<f32>();

/// No scouting: the box's address is given.
fn config(endpoint: &str) -> Result<Config, LinkError> {
    let mut config = Config::default();
    for (key, value) in [
        ("mode", "\"peer\""),
        ("listen/endpoints", "[]"),
        ("connect/endpoints", &format!("{:?}", [endpoint])),
        // in the background, every 100 ms, for ever
        ("connect/timeout_ms", "-1"),
        ("connect/exit_on_failure", "false"),
        ("connect/retry", "{ period_init_ms: 100, period_max_ms: 100, period_increase_factor: 1 }"),
        // a put never waits: the robot's loop must go on
        ("transport/link/tx/queue/congestion_control/drop/wait_before_drop", "0"),
        ("transport/link/tx/queue/size/real_time", "16"),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        ("adminspace/enabled", "false"),
        ("timestamping/enabled", "false"),
    ] {
        config.insert_json5(key, value)?;
    }
    Ok(config)
}

fn responses(
    session: &Session,
    site: &Site,
    arrivals: SyncSender<Result<Answer, Unread>>,
    overflowed: Arc<AtomicU64>,
) -> zenoh::Result<Subscriber<()>> {
    let (address, contract) = (site.address(), site.contract);
    let taken = move |sample: Sample| {
        let at = Moment::now();
        let answer = read(&sample.payload().to_bytes(), at, address, contract);
        if arrivals.try_send(answer).is_err() {
            overflowed.fetch_add(1, Ordering::Relaxed);
        }
    };
    session.declare_subscriber(site.response_key.clone()).callback(taken).wait()
}

fn notices(session: &Session, site: &Site, farewells: Arc<AtomicU64>) -> zenoh::Result<Subscriber<()>> {
    let address = site.address();
    let taken = move |sample: Sample| match Notice::decode(&sample.payload().to_bytes()) {
        Ok(Notice { address: to, kind: NoticeKind::Farewell, .. }) if to == address => {
            farewells.fetch_add(1, Ordering::Relaxed);
        }
        Ok(_) | Err(_) => {}
    };
    session.declare_subscriber(site.notice_key.clone()).callback(taken).wait()
}

fn liveliness(
    session: &Session,
    site: &Site,
    alive: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
) -> zenoh::Result<Subscriber<()>> {
    let taken = move |sample: Sample| {
        let is_there = sample.kind() == SampleKind::Put;
        alive.store(is_there, Ordering::Relaxed);
        lost.fetch_add(u64::from(!is_there), Ordering::Relaxed);
    };
    session.liveliness().declare_subscriber(site.alive_key.clone()).history(true).callback(taken).wait()
}
