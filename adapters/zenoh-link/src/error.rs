//! What can go wrong with the link.

use crate::route::RouteId;

/// The link could not be opened, declared or closed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// An endpoint is not of the form `<protocol>/<address>`.
    #[error("the endpoint \"{endpoint}\" cannot be read: {source}")]
    Endpoint {
        /// As given.
        endpoint: String,
        /// zenoh's words.
        source: zenoh::Error,
    },
    /// An endpoint's protocol is not built in.
    #[error("the endpoint \"{endpoint}\" is of a protocol that this build does not speak; use tcp or unixsock-stream")]
    Protocol {
        /// As given.
        endpoint: String,
    },
    /// The box cannot listen on an endpoint, for instance because it is in use.
    #[error("cannot listen on \"{endpoint}\": {source}")]
    Listen {
        /// As given.
        endpoint: String,
        /// zenoh's words.
        source: zenoh::Error,
    },
    /// A client needs an endpoint to connect to, since scouting is off.
    #[error("the mode is client, but there is no endpoint to connect to")]
    NothingToConnect,
    /// The session could not be opened for another reason; a client's router may be out of reach.
    #[error("cannot open the zenoh session: {0}")]
    Open(#[source] zenoh::Error),
    /// One worker was asked for, but [`prepare_process`](crate::prepare_process) was not called.
    #[error("one worker is asked for, but ZENOH_RUNTIME is not set: call prepare_process first")]
    NotPrepared,
    /// A key or key expression is not one of zenoh's.
    #[error("\"{key}\" is not a key: {source}")]
    Key {
        /// As given.
        key: String,
        /// zenoh's words.
        source: zenoh::Error,
    },
    /// A route's key, or the liveliness key, has a wildcard.
    #[error("\"{key}\" has a wildcard, where one exact key is needed")]
    Wildcard {
        /// As given.
        key: String,
    },
    /// A key is used twice among the routes, clients and inputs.
    #[error("the key \"{key}\" is used twice")]
    Duplicate {
        /// As given.
        key: String,
    },
    /// A client's queue is empty or longer than [`MAX_CLIENT_QUEUE`](crate::MAX_CLIENT_QUEUE).
    #[error("the client on \"{key}\" has a queue of {queue}: choose between 1 and {}", crate::MAX_CLIENT_QUEUE)]
    ClientQueue {
        /// On which key.
        key: String,
        /// As given.
        queue: usize,
    },
    /// zenoh refused to declare something on a key.
    #[error("cannot declare \"{key}\": {source}")]
    Declare {
        /// On which key.
        key: String,
        /// zenoh's words.
        source: zenoh::Error,
    },
    /// The session did not close in order.
    #[error("cannot close the zenoh session: {0}")]
    Close(#[source] zenoh::Error),
}

/// A message was not handed to zenoh.
///
/// The converse does not hold: zenoh drops what it took where the receiver's queue is full.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// There is no such route.
    #[error("there is no route {}", .0.index())]
    UnknownRoute(RouteId),
    /// The key has a wildcard or its last chunk is not `observation`: no response key follows from it.
    #[error("\"{key}\" is not an observation's key")]
    NotAnObservationKey {
        /// As given.
        key: String,
    },
    /// zenoh refused it.
    #[error("zenoh took no message: {0}")]
    Zenoh(#[source] zenoh::Error),
}

/// The process has more than one thread, so its environment can no longer be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("zenoh's workers must be set before a second thread starts; there are {threads}")]
pub struct ThreadsRunning {
    /// How many there are.
    pub threads: usize,
}
