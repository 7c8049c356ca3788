//! Why something was not handed off. Each says what to do.

use std::{error::Error, fmt, net::SocketAddr, sync::Arc};

use crate::{config::SpiffeId, tensor::TensorError};

/// Why a hand-off has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandOffError<R: Error> {
    /// Policy or journal said no.
    #[error("nothing was sent: {0}")]
    Refused(R),
    /// As many as are allowed are on their way.
    #[error("{most} hand-offs are in flight: raise `max_in_flight`, or ask less often")]
    TooManyInFlight {
        /// The bound that was reached.
        most: usize,
    },
    /// Two inputs share a name, or a body would be larger than the protocol allows.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The breaker of each endpoint is open.
    #[error("no endpoint answers its probe{}", Because(last.as_ref()))]
    NoEndpoint {
        /// Why the preferred one's breaker is open.
        last: Option<AttemptError>,
    },
    /// The deadline passed, or is too near for any endpoint's usual round trip.
    #[error("no time left after {attempts} attempts{}", Because(last.as_ref()))]
    Expired {
        /// How many attempts were made.
        attempts: u32,
        /// The last of them that failed, if one did.
        last: Option<AttemptError>,
    },
    /// The last attempt failed, and no other one is allowed.
    #[error("attempt {attempts}, the last: {last}")]
    Failed {
        /// How many attempts were made.
        attempts: u32,
        /// The last one.
        last: AttemptError,
    },
    /// An attempt may have arrived and was not answered, and none after it was sent.
    #[error("an attempt was sent and not answered; after {attempts}: {why}")]
    InDoubt {
        /// How many attempts were made.
        attempts: u32,
        /// Why there was no other.
        why: Box<Self>,
    },
    /// The thread that drives the link has ended.
    #[error("the link is closed: the box is going down")]
    Closed,
}

struct Because<'e>(Option<&'e AttemptError>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |last| write!(to, "; the last failed: {last}"))
    }
}

/// Why one attempt failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{endpoint}: {why}")]
pub struct AttemptError {
    /// Who it was meant for.
    pub endpoint: SocketAddr,
    /// Why it failed.
    pub why: AttemptFailure,
}

/// Before or after the first byte of the payload.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AttemptFailure {
    /// Not one byte of the payload was sent.
    #[error("nothing was sent: {0}")]
    NotSent(#[from] NotSent),
    /// The payload was sent, wholly or in part.
    #[error(transparent)]
    Sent(#[from] Failure),
}

/// Why nothing was sent.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotSent {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended between the proof of identity and the send.
    #[error("the connection ended before the send")]
    Lost,
    /// The policy changed between rule and send.
    #[error("the policy changed before the send")]
    Revoked,
    /// The deadline passed between rule and send.
    #[error("the deadline passed before the send")]
    Expired,
    /// Nobody waited any longer.
    #[error("it was given up before the send")]
    Cancelled,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens, or no way there.
    #[error("cannot connect ({0}): is the server up, and the address right?")]
    Unreachable(std::io::ErrorKind),
    /// Connecting took too long.
    #[error("connecting took longer than allowed: is the network cut?")]
    TimedOut,
    /// The box's own certificate, key or pinned CA.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Who listens is not who must.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It does not speak HTTP/2.
    #[error("does not speak HTTP/2 over this connection")]
    NotHttp2,
}

/// Why a server's identity is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Its chain does not end at the pinned CA.
    #[error("its certificate is not from the pinned CA: wrong server, or wrong `ca`?")]
    WrongCa,
    /// Its certificate's time is over.
    #[error("its certificate has expired: renew it, and look at both clocks")]
    Expired,
    /// Its certificate's time has not come.
    #[error("its certificate is not valid yet: look at both clocks")]
    NotYetValid,
    /// Its certificate is not for servers.
    #[error("its certificate is not for server authentication: it needs that extended key usage")]
    NotForServers,
    /// Its certificate is not for the declared name.
    #[error("its certificate is not for the declared `server_name`")]
    WrongName,
    /// Its certificate names no URI.
    #[error("its certificate has no URI: it needs exactly one, a SPIFFE id")]
    NoUri,
    /// Its certificate names several URIs.
    #[error("its certificate has {0} URIs: it needs exactly one, a SPIFFE id")]
    SeveralUris(usize),
    /// Its URI is not in the allow-list.
    #[error("{0} is not in the cluster's `allow`: another jurisdiction's server, or a missing entry?")]
    NotAllowed(ShownUri),
    /// It is no certificate that can be read.
    #[error("its certificate cannot be read")]
    Unreadable,
    /// It did not answer in TLS.
    #[error("it speaks no TLS: is that the plain-text port?")]
    PlainText,
    /// It wants no TLS 1.3, or no key or cipher of ours.
    #[error("the TLS handshake failed ({0}): TLS 1.3 is required, and the box's certificate must suit the server")]
    Handshake(Arc<str>),
}

/// What a certificate claims to be: at most 256 printable characters of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownUri(pub(crate) String);

impl fmt::Display for ShownUri {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

/// Why the box's own credentials cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("{path}: {kind}")]
    File {
        /// Which.
        path: Arc<str>,
        /// Why.
        kind: std::io::ErrorKind,
    },
    /// A file holds no certificate or key in PEM.
    #[error("{path} holds no {what} in PEM")]
    Pem {
        /// Which.
        path: Arc<str>,
        /// What it should hold.
        what: &'static str,
    },
    /// What a file holds in PEM is no certificate.
    #[error("{0}: a certificate in it cannot be read")]
    Unreadable(Arc<str>),
    /// Certificate and key are not each other's, or of a kind that is not supported.
    #[error("`certificate` and `key` do not fit: {0}")]
    Mismatch(Arc<str>),
}

/// What came of a payload that was sent, wholly or in part.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The server ended the connection, or this call, before the whole answer.
    #[error("the server ended the connection or the call before the answer: does it trust the box's certificate?")]
    Lost,
    /// It answered with a redirect, which is not followed.
    #[error("it answered with a redirect (HTTP {0}), which is never followed")]
    Redirect(u16),
    /// It answered with another HTTP status.
    #[error("it answered with HTTP {0}: is that a gRPC server?")]
    Http(u16),
    /// It answered with something that is not gRPC.
    #[error("it did not answer in gRPC")]
    NotGrpc,
    /// It answered with a gRPC status.
    #[error("it refused: {code}{}", Said(said))]
    Status {
        /// Which.
        code: Code,
        /// At most 256 printable characters of what it said.
        said: Arc<str>,
    },
    /// It answered with something that was not declared.
    #[error("a bad answer: {0}")]
    BadAnswer(#[from] BadAnswer),
    /// The policy changed while it was sent.
    #[error("the policy changed, and the connection was cut")]
    Revoked,
}

struct Said<'s>(&'s str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(to, " ({})", self.0) }
    }
}

/// A gRPC status other than OK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "gRPC's own names")]
pub enum Code {
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The status with this number; numbers that gRPC does not have are `Unknown`, as it asks for.
    pub(crate) fn numbered(number: u32) -> Self {
        Self::ALL.into_iter().find(|code| u32::from(*code as u8) == number).unwrap_or(Self::Unknown)
    }

    /// Whether the same request would be refused again, here and elsewhere in the cluster.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        match self {
            Self::InvalidArgument
            | Self::AlreadyExists
            | Self::PermissionDenied
            | Self::FailedPrecondition
            | Self::OutOfRange
            | Self::Unauthenticated => true,
            // A model that one endpoint does not have, another one may.
            Self::NotFound
            | Self::Unimplemented
            | Self::Cancelled
            | Self::Unknown
            | Self::DeadlineExceeded
            | Self::ResourceExhausted
            | Self::Aborted
            | Self::Internal
            | Self::Unavailable
            | Self::DataLoss => false,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{self:?}")
    }
}

/// What is wrong with an answer. It counts against the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Longer than `max_answer_bytes`. Nothing was kept of it.
    #[error("{announced} bytes, and at most {most} are allowed")]
    TooLong {
        /// What it announced.
        announced: u64,
        /// What is allowed.
        most: usize,
    },
    /// It ended early, goes on behind its end, or is compressed, which nobody asked for.
    #[error("it is not one gRPC message")]
    Framing,
    /// It is no answer of the protocol.
    #[error("it cannot be decoded")]
    Undecodable,
    /// It is of another request, model or version.
    #[error("its {0} is not the request's")]
    OfAnother(&'static str),
    /// An output is missing, or there twice, or was not asked for.
    #[error("its outputs are not those that were declared")]
    Outputs,
    /// An output has another type.
    #[error("`{0}` has another type than declared")]
    Datatype(String),
    /// An output has another shape.
    #[error("`{0}` has another shape than declared")]
    Shape(String),
    /// An output's values are not what its type and shape say.
    #[error("`{name}`: {why}")]
    Values {
        /// The output.
        name: String,
        /// What is wrong.
        why: TensorError,
    },
    /// An output's values stand in the fields of another type, or in both places.
    #[error("`{0}` has its values in a place that is not its type's")]
    Place(String),
}

/// Why a cluster cannot be declared so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not an address.
    #[error("`{0}` is not an IP address and a port: names are not looked up, so that nobody else decides who is asked")]
    Endpoint(String),
    /// No endpoint, or the same twice.
    #[error("a cluster needs at least one endpoint, and each once")]
    Endpoints,
    /// Not a host name.
    #[error("`{0}` is no host name")]
    ServerName(String),
    /// Plain text over a network.
    #[error("`insecure` is for loopback only, and {0} is not")]
    InsecureAddress(SocketAddr),
    /// Not a SPIFFE id.
    #[error("`{0}` is no SPIFFE id: spiffe://TRUST-DOMAIN/PATH")]
    SpiffeId(String),
    /// Nobody is allowed.
    #[error("`allow` is empty: nobody could ever be asked")]
    NobodyAllowed,
    /// A bound that does not work.
    #[error("`{field}` must be {must}")]
    Bound {
        /// Which.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
    /// A probe that does not work.
    #[error("the probe: {0}")]
    Probe(&'static str),
    /// The box's own credentials.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl From<&SpiffeId> for ShownUri {
    fn from(id: &SpiffeId) -> Self {
        Self(id.as_str().to_owned())
    }
}
