//! Open Inference Protocol v2 over gRPC, to the endpoints of a cluster that proved who they are.
//!
//! It never sends a byte of a payload without a permit and a durable intent of its [`Gate`], never follows a redirect,
//! looks up no name, reads no proxy variable, and reconnects nothing behind a caller's back: an attempt is sent on the
//! very connection whose peer the intent names, or not at all.
#![forbid(unsafe_code)]

mod config;
mod request;
mod tensor;

mod gate;
mod link;

mod attempt;
mod revocation;
mod wire;

mod answer;
mod exchange;

mod connection;
mod credentials;
mod identity;
mod inspection;
mod socket;

mod endpoint;
mod probe;
mod vitals;

mod driver;
mod error;
mod status;

/// The messages of `proto/open_inference.proto`.
mod proto {
    #![allow(clippy::all, clippy::pedantic, unreachable_pub, reason = "written by a program")]
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}

pub use config::{Bounds, Config, Endpoint, Mutual, Probe, Retry, Security, SpiffeId};
pub use driver::{Driver, Runtime, runtime};
pub use error::{
    AttemptError, AttemptFailure, BadAnswer, Code, ConfigError, ConnectError, CredentialsError, Failure, HandOffError,
    IdentityError, NotSent, ShownUri,
};
pub use gate::{Attempt, Carried, Destination, Ended, Gate, IntentId, Outcome, Permit, Summary};
pub use identity::Peer;
pub use inspection::{Inspection, Own, Validity};
pub use link::Link;
pub use request::{Answer, HandOffId, Purpose, Request};
pub use status::{Breaker, EndpointStatus, Kind, RoundTrip};
pub use tensor::{Datatype, Extent, Output, Tensor, TensorError};
