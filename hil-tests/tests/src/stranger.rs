//! A stranger: a session that publishes whatever bytes it likes and reads every response whole.

use std::{
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use message::{Body, Notice, Response};
use rig::Site;
use zenoh::{Config, Session, Wait, pubsub::Publisher, qos::CongestionControl, sample::Locality};

use crate::genba::{Genba, PATIENCE, eventually};

/// Somebody on one robot's keys.
pub struct Stranger {
    session: Session,
    publisher: Publisher<'static>,
    responses: Receiver<Vec<u8>>,
    notices: Receiver<Vec<u8>>,
}

/// One response, with what the rig's controller passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The box's boot.
    pub boot: u64,
    /// The epoch that it answers.
    pub epoch: u64,
    /// The sequence that it answers.
    pub sequence: Option<u64>,
    /// What it is.
    pub said: Said,
    /// What it is marked with.
    pub marks: message::Status,
}

/// What a response is, with its reason's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the terms of the design")]
pub enum Said {
    Action,
    Fallback(u16),
    Refusal(u16),
}

impl Stranger {
    /// Opens a session of its own to the box.
    ///
    /// # Panics
    /// If the box does not listen.
    #[must_use]
    pub fn connect(genba: &Genba, site: &Site) -> Self {
        let this = Self::open(genba.endpoint(), site);
        eventually("the box listens", || this.publisher.matching_status().wait().ok()?.matching().then_some(()));
        this
    }

    fn open(endpoint: &str, site: &Site) -> Self {
        let session = zenoh::open(config(endpoint)).wait().expect("a session opens");
        let publisher = session
            .declare_publisher(site.observation_key.clone())
            .congestion_control(CongestionControl::Block)
            .allowed_destination(Locality::Remote)
            .wait()
            .expect("a publisher is declared");
        let responses = listen(&session, &site.response_key);
        let notices = listen(&session, &site.notice_key);
        Self { session, publisher, responses, notices }
    }

    /// Publishes these bytes as an observation.
    ///
    /// # Panics
    /// If the session is closed.
    pub fn send(&self, bytes: impl Into<zenoh::bytes::ZBytes>) {
        self.publisher.put(bytes).wait().expect("an open session takes everything");
    }

    /// The next response.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn hear(&self) -> Heard {
        self.hear_within(PATIENCE).expect("the box answers")
    }

    /// The next response, if one comes within this time.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn hear_within(&self, at_most: Duration) -> Option<Heard> {
        self.responses.recv_timeout(at_most).ok().map(|frame| read(&frame))
    }

    /// The values of the next response; none of a refusal.
    ///
    /// # Panics
    /// If none comes, or it is none.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        let frame = self.responses.recv_timeout(PATIENCE).expect("the box answers");
        message::floats(Response::decode(&frame).expect("the box sends responses").body.values()).collect()
    }

    /// The next response's whole frame, if one comes within this time.
    #[must_use]
    pub fn response(&self, at_most: Duration) -> Option<Vec<u8>> {
        self.responses.recv_timeout(at_most).ok()
    }

    /// The next response with its values.
    ///
    /// # Panics
    /// If none comes, or it is none.
    #[must_use]
    pub fn answer(&self) -> (Heard, Vec<f32>) {
        let frame = self.responses.recv_timeout(PATIENCE).expect("the box answers");
        let values = Response::decode(&frame).expect("the box sends responses").body.values();
        (read(&frame), message::floats(values).collect())
    }

    /// Publishes these bytes on another key, behind what was sent before.
    ///
    /// # Panics
    /// If the session is closed.
    pub fn put(&self, key: &str, bytes: impl Into<zenoh::bytes::ZBytes>) {
        let put = self.session.put(key, bytes).congestion_control(CongestionControl::Block);
        put.allowed_destination(Locality::Remote).wait().expect("an open session takes everything");
    }

    /// The next notice.
    ///
    /// # Panics
    /// If none comes, or it is none.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let frame = self.notices.recv_timeout(PATIENCE).expect("the box says farewell");
        Notice::decode(&frame).expect("it is a notice")
    }

    /// Whether a notice has come.
    #[must_use]
    pub fn has_notice(&self) -> bool {
        self.notices.try_recv().is_ok()
    }

    /// Asks on a key as one asks a service.
    ///
    /// # Errors
    /// What the box says where it replies with an error.
    ///
    /// # Panics
    /// If no reply comes.
    pub fn query(&self, key: &str) -> Result<(), Heard> {
        let replies = self.session.get(key).wait().expect("a query is sent");
        let reply = replies.recv_timeout(PATIENCE).expect("the session is open").expect("the box replies");
        reply.into_result().map(drop).map_err(|error| read(&error.payload().to_bytes()))
    }
}

fn read(frame: &[u8]) -> Heard {
    let response = Response::decode(frame).expect("the box sends responses");
    let said = match response.body {
        Body::Action { .. } => Said::Action,
        Body::Fallback { reason, .. } => Said::Fallback(reason.value()),
        Body::Refusal { reason } => Said::Refusal(reason.value()),
    };
    let sequence = response.sequence.map(message::Sequence::value);
    Heard { boot: response.boot.value(), epoch: response.epoch.value(), sequence, said, marks: response.status }
}

fn listen(session: &Session, key: &str) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    session
        .declare_subscriber(key.to_owned())
        // A test that has ended listens no more.
        .callback(move |sample| drop(sender.send(sample.payload().to_bytes().into_owned())))
        .background()
        .wait()
        .expect("a subscriber is declared");
    receiver
}

/// Of a session that connects at once or fails, and then knows what the box serves.
pub(crate) fn client_config(endpoint: &str) -> Config {
    let mut config = config(endpoint);
    for (key, value) in [("mode", "\"client\""), ("connect/timeout_ms", "10000"), ("connect/exit_on_failure", "true")] {
        config.insert_json5(key, value).expect("zenoh knows these settings");
    }
    config
}

pub(crate) fn config(endpoint: &str) -> Config {
    let mut config = Config::default();
    let endpoints = format!("[{endpoint:?}]");
    for (key, value) in [
        ("mode", "\"peer\""),
        ("listen/endpoints", "[]"),
        ("connect/endpoints", &endpoints),
        // In the background, again and again.
        ("connect/timeout_ms", "0"),
        ("connect/exit_on_failure", "false"),
        ("connect/retry", "{ period_init_ms: 100, period_max_ms: 100, period_increase_factor: 1 }"),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
    ] {
        config.insert_json5(key, value).expect("zenoh knows these settings");
    }
    config
}
