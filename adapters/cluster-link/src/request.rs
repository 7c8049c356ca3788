//! What is handed off, and what comes back.

use std::{
    fmt,
    net::SocketAddr,
    num::NonZeroU8,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::tensor::{Output, Tensor};

/// The id of a hand-off. It stays the same over all its attempts, so that a server can tell a repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HandOffId(pub u128);

impl fmt::Display for HandOffId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:032x}", self.0)
    }
}

/// Why a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A task asked for it.
    Task {
        /// The sequence of the observation or request that it is computed from.
        parent: u64,
    },
    /// To see whether an endpoint answers: declared values, nobody's data.
    Probe,
}

/// One hand-off.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its own id.
    pub id: HandOffId,
    /// The task it is for; for a probe the name of the cluster.
    pub task: Arc<str>,
    /// Why it is sent.
    pub purpose: Purpose,
    /// The model's name at the cluster.
    pub model: Arc<str>,
    /// Its version there; empty: what the server chooses.
    pub version: Arc<str>,
    /// 1 is the highest; servers without priorities ignore it.
    pub priority: Option<NonZeroU8>,
    /// Nothing of it is on its way after that.
    pub deadline: Instant,
    /// The values, each name once.
    pub inputs: Vec<Tensor>,
    /// What an answer must hold, in this order.
    pub outputs: Arc<[Output]>,
}

/// What a cluster answered, checked against what was declared.
#[derive(Clone, Debug)]
pub struct Answer {
    /// In the order of [`Request::outputs`].
    pub tensors: Vec<Tensor>,
    /// The version of the model that the server named; empty if it named none.
    pub version: String,
    /// Who answered.
    pub endpoint: SocketAddr,
    /// From the send to the whole answer, of the attempt that was answered.
    pub round_trip: Duration,
    /// How many attempts it took.
    pub attempts: u32,
}
