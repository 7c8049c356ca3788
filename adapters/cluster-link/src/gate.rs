//! Who decides what may leave, and keeps the record of it.
//!
//! The link asks at each attempt, in this order: [`Gate::rule`] before anything is serialised, [`Gate::intent`] once it
//! has proved who listens, with the digest of exactly what will be sent, and [`Gate::outcome`] for each intent, once.
//! Without a permit and an intent nothing is sent, which `attempt.rs` shows by its types.

use std::{
    error::Error,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    error::{Failure, NotSent},
    identity::Peer,
    request::Request,
};

/// The policy and the journal of a box.
pub trait Gate: Send + Sync + 'static {
    /// Why something may not leave, or cannot be recorded.
    type Refusal: Error + Clone + Send + Sync + 'static;

    /// Whether the request may go there, by which rule, and without which inputs. Called on the link's thread: it must
    /// not block.
    ///
    /// # Errors
    /// The refusal ends the hand-off: nothing is serialised.
    fn rule(&self, request: &Request, to: &Destination) -> Result<Permit, Self::Refusal>;

    /// Records what is about to be sent, and returns once that is durable. It runs to its end even if the hand-off is
    /// given up meanwhile, and must look again whether the permit still holds.
    ///
    /// # Errors
    /// The refusal ends the hand-off: nothing is sent.
    fn intent(&self, attempt: Attempt) -> impl Future<Output = Result<IntentId, Self::Refusal>> + Send;

    /// How it ended, exactly once for each intent. Where the runtime ends before an attempt does, this is called while
    /// its driver is dropped. Called on the link's thread: it must not block.
    fn outcome(&self, intent: IntentId, ended: Ended);
}

/// Where something would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The cluster's name in the config.
    pub cluster: Arc<str>,
    /// What its operator declared.
    pub jurisdiction: Arc<str>,
    /// One of its endpoints.
    pub endpoint: SocketAddr,
    /// Plain text, on loopback.
    pub insecure: bool,
}

/// That something may go there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permit {
    /// The rule's name in the policy.
    pub rule: Arc<str>,
    /// The version of the policy that it is of.
    pub policy: Arc<str>,
    /// Inputs that are to be left out.
    pub dropped: Vec<Arc<str>>,
}

/// What a connection carried, as far as a policy asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The task it was for; for a probe the name of the cluster.
    pub task: Arc<str>,
    /// Whether it was a probe.
    pub probe: bool,
    /// By which permit.
    pub permit: Permit,
    /// Where to.
    pub to: Destination,
}

/// What is about to be sent.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The hand-off, without its values.
    pub request: Summary,
    /// The number of this attempt, from 1.
    pub number: u32,
    /// Where to.
    pub to: Destination,
    /// By which permit.
    pub permit: Permit,
    /// SHA-256 of the body exactly as it will be sent: five bytes of gRPC's prefix and the message.
    pub digest: [u8; 32],
    /// That body's length in bytes.
    pub bytes: u64,
    /// Who listens at the other end of the connection that it will be sent on.
    pub peer: Peer,
    /// The time it took to connect; zero on a connection that was there.
    pub connecting: Duration,
}

/// A request without its values.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The hand-off's id.
    pub id: crate::HandOffId,
    /// The task it is for; for a probe the name of the cluster.
    pub task: Arc<str>,
    /// Why it is sent.
    pub purpose: crate::Purpose,
    /// The model's name at the cluster.
    pub model: Arc<str>,
    /// Its version there; empty: what the server chooses.
    pub version: Arc<str>,
    /// When it expires.
    pub deadline: Instant,
}

impl From<&Request> for Summary {
    fn from(request: &Request) -> Self {
        Self {
            id: request.id,
            task: Arc::clone(&request.task),
            purpose: request.purpose,
            model: Arc::clone(&request.model),
            version: Arc::clone(&request.version),
            deadline: request.deadline,
        }
    }
}

/// A durable record's number, as the journal gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntentId(pub u64);

/// How an attempt ended whose intent was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// From the request for the intent until it was durable.
    pub recording: Duration,
    /// From the send to the end; zero if nothing was sent.
    pub round_trip: Duration,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With an answer that was declared so.
    Answered {
        /// The answer's length in bytes.
        bytes: u64,
    },
    /// Not one byte of the payload was sent.
    NotSent(NotSent),
    /// It was sent, wholly or in part, and this came of it. What it did at the server is not known unless the failure
    /// says so.
    Failed(Failure),
    /// It was sent, wholly or in part, and nobody waits any longer.
    Cancelled,
    /// It was sent, wholly or in part, and its deadline passed.
    Expired,
}
