//! What a link knows of its endpoints: plain data, for whoever shows it.

use std::{net::SocketAddr, time::Duration};

use crate::{
    error::{AttemptFailure, Code, ConnectError, Failure, NotSent},
    identity::Peer,
};

/// One endpoint, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointStatus {
    /// Its address.
    pub endpoint: SocketAddr,
    /// Whether it is asked.
    pub breaker: Breaker,
    /// Who listens there; `None`: no connection.
    pub peer: Option<Peer>,
    /// Attempts on their way.
    pub in_flight: usize,
    /// Attempts since the link was opened, probes included.
    pub attempts: u64,
    /// Those with an answer as it was declared.
    pub answered: u64,
    /// Those without, by kind. Probes and what was given up are included.
    pub failures: Vec<(Kind, u64)>,
    /// Why the last one failed.
    pub last_failure: Option<AttemptFailure>,
    /// From the send to the whole answer, of those with one.
    pub round_trip: RoundTrip,
    /// Payload that was let go: the journalled lengths of those attempts that were begun to be sent.
    pub payload_bytes: u64,
    /// What was written to this endpoint's sockets, encryption and protocol included.
    pub socket_bytes: u64,
}

/// Whether an endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    Closed,
    /// It is not, until a probe is answered.
    Open,
    /// A probe is on its way to see whether it may be asked again.
    HalfOpen,
}

/// The distribution of round trips. A quantile is there with at least ten samples beyond it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    /// How many.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: Option<Duration>,
    /// 99 % of them took no longer.
    pub p99: Option<Duration>,
    /// 99.9 % of them took no longer.
    pub p999: Option<Duration>,
}

/// What kind of failure an attempt ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Nobody listened, or it took too long.
    Unreachable,
    /// Who listened was not who must.
    Identity,
    /// The box's own credentials could not be used.
    Credentials,
    /// The connection ended.
    Lost,
    /// A status of HTTP, a redirect, or no gRPC.
    NotGrpc,
    /// A status of gRPC that would come again.
    Rejected,
    /// Another status of gRPC.
    Unavailable,
    /// An answer that was not as declared.
    BadAnswer,
    /// The policy changed.
    Revoked,
    /// The deadline passed.
    Expired,
    /// Nobody waited any longer.
    Cancelled,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unreachable,
        Self::Identity,
        Self::Credentials,
        Self::Lost,
        Self::NotGrpc,
        Self::Rejected,
        Self::Unavailable,
        Self::BadAnswer,
        Self::Revoked,
        Self::Expired,
        Self::Cancelled,
    ];

    /// Its name, as metrics spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Identity => "identity",
            Self::Credentials => "credentials",
            Self::Lost => "lost",
            Self::NotGrpc => "not-grpc",
            Self::Rejected => "rejected",
            Self::Unavailable => "unavailable",
            Self::BadAnswer => "bad-answer",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<&AttemptFailure> for Kind {
    fn from(why: &AttemptFailure) -> Self {
        match why {
            AttemptFailure::NotSent(why) => why.into(),
            AttemptFailure::Sent(why) => why.into(),
        }
    }
}

impl From<&NotSent> for Kind {
    fn from(why: &NotSent) -> Self {
        match why {
            NotSent::Connect(ConnectError::Unreachable(_) | ConnectError::TimedOut) => Self::Unreachable,
            NotSent::Connect(ConnectError::Credentials(_)) => Self::Credentials,
            NotSent::Connect(ConnectError::Identity(_)) => Self::Identity,
            NotSent::Connect(ConnectError::NotHttp2) => Self::NotGrpc,
            NotSent::Lost => Self::Lost,
            NotSent::Revoked => Self::Revoked,
            NotSent::Expired => Self::Expired,
            NotSent::Cancelled => Self::Cancelled,
        }
    }
}

impl From<&Failure> for Kind {
    fn from(why: &Failure) -> Self {
        match why {
            Failure::Lost => Self::Lost,
            Failure::Redirect(_) | Failure::Http(_) | Failure::NotGrpc => Self::NotGrpc,
            Failure::Status { code: Code::DeadlineExceeded, .. } => Self::Expired,
            Failure::Status { code, .. } if code.is_permanent() => Self::Rejected,
            Failure::Status { .. } => Self::Unavailable,
            Failure::BadAnswer(_) => Self::BadAnswer,
            Failure::Revoked => Self::Revoked,
        }
    }
}
