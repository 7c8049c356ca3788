//! respond: guarded values or a refusal -> [`Send`], a notice -> [`Notify`].
//!
//! A `Send` takes a [`Guarded`] or a [`Refusal`], a `Notify` a notice that cannot hold an action. It carries its
//! deadline; the caller reads the clock just before the put, puts or withholds, and reports which.

use message::{
    Address, Body, Boot, ContractDigest, Epoch, ModelDigest, Notice, NoticeKind, Response, Sequence, Stamp, Status,
};

use crate::{
    guard::{Guarded, Origin},
    joined::Sampled,
    plan::Provenance,
    reason::Reason,
    task::{ClientId, ConnectionId, MAX_ACTION},
    time::Instant,
};

/// A refusal and why; it cannot carry an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
}

impl Refusal {
    pub(crate) const fn new(reason: Reason) -> Self {
        Self { reason }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

/// What a response says.
#[derive(Debug)]
pub enum Answer {
    /// An action or a fallback, through the guard.
    Guarded(Guarded),
    /// A refusal.
    Refusal(Refusal),
}

/// To whom a response goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// To this connection's controller.
    Connection(ConnectionId),
    /// To whoever sent the stray that was just handled.
    Stray,
    /// To whoever sent the query that was just handled.
    Query,
}

/// Names one send of an action or a result, so that its outcome can be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) of: Party,
    pub(crate) serial: u64,
}

/// Whose send it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Connection(ConnectionId),
    Client(ClientId),
}

impl Ticket {
    /// The connection whose response it is, if it is one's.
    #[must_use]
    pub const fn connection(self) -> Option<ConnectionId> {
        match self.of {
            Party::Connection(connection) => Some(connection),
            Party::Client(_) => None,
        }
    }

    /// The client whose result it is, if it is one's.
    #[must_use]
    pub const fn client(self) -> Option<ClientId> {
        match self.of {
            Party::Connection(_) => None,
            Party::Client(client) => Some(client),
        }
    }
}

/// What a response echoes of its observation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Echo {
    pub(crate) epoch: Epoch,
    pub(crate) sequence: Option<Sequence>,
    pub(crate) stamp: Stamp,
    pub(crate) arrival: Option<Instant>,
}

impl Echo {
    /// Nothing could be read.
    pub(crate) const UNREADABLE: Self =
        Self { epoch: Epoch::new(0), sequence: None, stamp: Stamp::new(0), arrival: None };

    pub(crate) fn of(header: message::Header) -> Self {
        Self { epoch: header.epoch, sequence: Some(header.sequence), stamp: header.stamp, arrival: None }
    }
}

/// What every response of a connection carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) address: Address,
    pub(crate) contract: ContractDigest,
    pub(crate) boot: Boot,
    pub(crate) model: ModelDigest,
    pub(crate) status: Status,
}

/// A response to be put before its deadline or withheld.
#[derive(Debug)]
pub struct Send {
    pub(crate) target: Target,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) identity: Identity,
    pub(crate) echo: Echo,
    /// The oldest joined sample behind it.
    pub(crate) oldest: Option<Sampled>,
    /// Where an action was computed, and of which plan it is a step.
    pub(crate) provenance: Provenance,
    pub(crate) answer: Answer,
}

impl Send {
    /// To whom it goes.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// The connection it goes to, if it goes to one.
    #[must_use]
    pub const fn connection(&self) -> Option<ConnectionId> {
        match self.target {
            Target::Connection(connection) => Some(connection),
            Target::Stray | Target::Query => None,
        }
    }

    /// What to report its outcome with; a refusal's outcome need not be reported.
    #[must_use]
    pub const fn ticket(&self) -> Option<Ticket> {
        self.ticket
    }

    /// From when on it must be withheld; a refusal may leave at any time.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What it is marked with, beside that the rate limit changed it.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.identity.status
    }

    /// What it says.
    #[must_use]
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The sequence that it echoes; `None`: the refused frame's could not be read.
    #[must_use]
    pub const fn sequence(&self) -> Option<Sequence> {
        self.echo.sequence
    }

    /// Writes it as a frame, its age as of `now`, and returns the frame's length.
    ///
    /// # Panics
    /// Never: an action has at most [`MAX_ACTION`] values, for which the buffer has room.
    pub fn encode(&self, now: Instant, out: &mut [u8; Response::MAX_FRAME]) -> usize {
        let mut bytes = [0; MAX_ACTION * size_of::<f32>()];
        let sampled_us = self.oldest.map_or(0, |sample| sample.age(now).wire_micros());
        let age_us = self.echo.arrival.map_or(0, |arrival| now.since(arrival).wire_micros());
        let Identity { address, contract, boot, model, status } = self.identity;
        let (body, model, clamped) = match &self.answer {
            Answer::Guarded(guarded) => {
                let length = message::put_floats(guarded.values(), &mut bytes).expect("MAX_ACTION values have room");
                let values = bytes.get(..length).expect("as many bytes as were written");
                match guarded.origin() {
                    Origin::Model { clamped } => {
                        (Body::Action { place: self.provenance.place, values }, model, clamped)
                    }
                    Origin::Fallback(reason) => {
                        (Body::Fallback { reason: reason.number(), values }, ModelDigest::NONE, false)
                    }
                }
            }
            Answer::Refusal(refusal) => (Body::Refusal { reason: refusal.reason().number() }, ModelDigest::NONE, false),
        };
        let step = self.provenance.step.filter(|_| matches!(body, Body::Action { .. }));
        let planned_us = step.map_or(0, |step| now.since(step.origin).wire_micros());
        let response = Response {
            address,
            contract,
            boot,
            epoch: self.echo.epoch,
            sequence: self.echo.sequence,
            stamp: self.echo.stamp,
            model,
            plan: step.map_or(0, |step| step.plan),
            plan_step: step.map_or(0, |step| step.place),
            age_us,
            input_age_us: age_us.max(sampled_us).max(planned_us),
            status: if clamped { status.with(Status::CLAMPED) } else { status },
            body,
        };
        response.encode(out).expect("MAX_FRAME has room for the longest response, and an action has a sequence")
    }
}

/// A notice to be put on the controller's notice key.
#[derive(Debug)]
pub struct Notify {
    pub(crate) connection: ConnectionId,
    pub(crate) notice: Notice,
}

impl Notify {
    pub(crate) fn farewell(connection: ConnectionId, address: Address, boot: Boot, epoch: Epoch) -> Self {
        let reason = Reason::Farewell.number();
        Self { connection, notice: Notice { address, boot, epoch, reason, kind: NoticeKind::Farewell } }
    }

    /// To whom it goes.
    #[must_use]
    pub const fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Writes it as a frame and returns the frame's length.
    ///
    /// # Panics
    /// Never: the buffer has room for the longest notice.
    pub fn encode(&self, out: &mut [u8; Notice::MAX_FRAME]) -> usize {
        self.notice.encode(out).expect("MAX_FRAME has room for the longest notice")
    }
}
