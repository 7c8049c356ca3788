//! A client of one-off requests that keeps its own books.

use std::{cell::Cell, collections::BTreeMap};

use engine::{Reason, ReasonKind};
use manifest::{Contract, Manifest};
use message::{Address, ContractDigest, InferBody, InferReply, InferRequest, Place, Stamp, Status, put_floats};
use rig::Moment;
use zenoh::{Session, Wait, handlers::FifoChannelHandler, qos::CongestionControl, query::Reply, sample::Locality};

use crate::{
    config::{BoxConfig, INSPECT, PREFIX},
    controller::HOME,
    genba::{Genba, PATIENCE, repository},
    status::Requests,
    stranger,
};

/// One client's session.
pub struct Asker {
    session: Session,
    key: String,
    name: &'static str,
    contract: ContractDigest,
    next: Cell<u64>,
}

/// A request to be.
#[derive(Debug, Clone)]
pub struct Question {
    /// Client and task.
    pub address: Address,
    /// The contract.
    pub contract: ContractDigest,
    /// Its number, which is echoed.
    pub request: u64,
    /// In microseconds; 0 for the task's deadline.
    pub budget_us: u32,
    /// The elements.
    pub values: Vec<f32>,
}

/// A request on its way.
pub struct Asked {
    replies: FifoChannelHandler<Reply>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the terms of the design")]
pub enum Outcome {
    Result { request: u64, values: Vec<f32> },
    Refused { request: u64, reason: u16 },
    Dropped,
}

/// A reply, with all that a client may want to know of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// What it says.
    pub outcome: Outcome,
    /// Where the model ran; none did for a refusal.
    pub place: Option<Place>,
    /// Its marks.
    pub status: Status,
}

/// What a client sent and heard: sent = answered + refused + expired + dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the terms of the design")]
pub struct Books {
    pub sent: u64,
    pub answered: u64,
    pub expired: u64,
    pub dropped: u64,
    /// By reason number.
    pub refused: BTreeMap<u16, u64>,
}

impl Asker {
    /// Opens a session of its own for this client of the box.
    ///
    /// # Panics
    /// If the box has no such model.
    #[must_use]
    pub fn connect(genba: &Genba, config: &BoxConfig, name: &'static str) -> Self {
        let manifest = Manifest::load(&repository().join("models").join(config.model)).expect("the model is good");
        let contract = Contract::new(INSPECT, &manifest).expect("the task's name is good");
        let session = zenoh::open(stranger::client_config(genba.endpoint())).wait().expect("a session opens");
        let key = format!("{PREFIX}/{name}/{INSPECT}/infer");
        Self { session, key, name, contract: ContractDigest::new(contract.digest()), next: Cell::new(1) }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its next valid request.
    #[must_use]
    pub fn question(&self) -> Question {
        let request = self.next.replace(self.next.get() + 1);
        let mut values = HOME.to_vec();
        values.push(0.0);
        Question { address: Address::of(self.name, INSPECT), contract: self.contract, request, budget_us: 0, values }
    }

    /// Its next valid request, on which the model hangs for so many iterations.
    ///
    /// # Panics
    /// If there are no values.
    #[must_use]
    pub fn hanging(&self, iterations: f32) -> Question {
        let mut question = self.question();
        *question.values.last_mut().expect("the model has inputs") = iterations;
        question
    }

    /// Sends these bytes as a request.
    ///
    /// # Panics
    /// If the session is closed.
    #[must_use]
    pub fn send(&self, bytes: Vec<u8>) -> Asked {
        let get = self.session.get(&self.key).payload(bytes).timeout(PATIENCE);
        let get = get.congestion_control(CongestionControl::Block).allowed_destination(Locality::Remote);
        Asked { replies: get.wait().expect("an open session takes everything") }
    }

    /// Sends a request and waits for what becomes of it.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Outcome {
        self.send(question.bytes()).outcome()
    }

    /// Goes away without a word.
    ///
    /// # Panics
    /// If the session cannot be closed.
    pub fn leave(self) {
        self.session.close().wait().expect("an open session can be closed");
    }
}

impl Question {
    /// Its bytes.
    ///
    /// # Panics
    /// Never: there is room.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut values = vec![0; self.values.len() * size_of::<f32>()];
        put_floats(&self.values, &mut values).expect("as many bytes as are needed");
        let request = InferRequest {
            address: self.address,
            contract: self.contract,
            request: self.request,
            stamp: Stamp::new(Moment::now().as_nanos()),
            budget_us: self.budget_us,
            values: &values,
        };
        let mut bytes = vec![0; InferRequest::OVERHEAD + values.len()];
        request.encode(&mut bytes).expect("as many bytes as are needed");
        bytes
    }
}

impl Asked {
    /// Waits for what becomes of it.
    ///
    /// # Panics
    /// If it neither is replied to nor ends, or a reply is none.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        self.told().map_or(Outcome::Dropped, |told| told.outcome)
    }

    /// Waits for the reply; `None`: it was dropped.
    ///
    /// # Panics
    /// As above.
    #[must_use]
    pub fn told(self) -> Option<Told> {
        let reply = self.replies.recv_timeout(PATIENCE).ok()?;
        let told = read(&reply.expect("a request ends in time"));
        let end = self.replies.recv_timeout(PATIENCE);
        assert!(end.is_err(), "there is one reply");
        Some(told)
    }
}

fn read(reply: &Reply) -> Told {
    let payload = match reply.result() {
        Ok(sample) => sample.payload(),
        Err(error) => error.payload(),
    };
    let bytes = payload.to_bytes();
    let said = InferReply::decode(&bytes).expect("the box sends replies");
    let (outcome, place) = match said.body {
        InferBody::Result { place, values } => {
            assert!(reply.result().is_ok(), "a result is no error");
            (Outcome::Result { request: said.request, values: message::floats(values).collect() }, Some(place))
        }
        InferBody::Refusal { reason } => {
            assert!(reply.result().is_err(), "a refusal is an error to zenoh as well");
            (Outcome::Refused { request: said.request, reason: reason.value() }, None)
        }
    };
    Told { outcome, place, status: said.status }
}

impl Books {
    /// Counts what became of a request.
    pub fn note(&mut self, outcome: &Outcome) {
        self.sent += 1;
        match outcome {
            Outcome::Result { .. } => self.answered += 1,
            Outcome::Refused { reason, .. } if is_a_miss(*reason) => self.expired += 1,
            Outcome::Refused { reason, .. } => *self.refused.entry(*reason).or_default() += 1,
            Outcome::Dropped => self.dropped += 1,
        }
    }

    /// The box counted the same; what was dropped unread it counts as refused.
    ///
    /// # Panics
    /// If it did not.
    pub fn assert_equal(&self, of_box: &Requests) {
        let refused = self.refused.values().sum::<u64>() + self.dropped;
        let ours = (self.sent, self.answered, refused, self.expired, 0);
        let theirs = (of_box.received, of_box.answered, of_box.refused, of_box.expired, of_box.in_flight);
        assert_eq!(ours, theirs, "received, answered, refused, expired, in flight: {self:?} here, {of_box:?} there");
    }
}

fn is_a_miss(number: u16) -> bool {
    Reason::from_number(number).is_some_and(|reason| reason.row().kind == ReasonKind::Miss)
}
