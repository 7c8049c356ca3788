//! An event that owns what the engine's [`Event`] only borrows, so that it can wait in a queue.

use engine::{
    ClientId, ConnectionId, Duration, Event, Failed, InputId, Instant, Reason, Ticket, VoidCause, WallClock, Withheld,
    WorkerId,
};
use message::{Address, ContractDigest, Header, Stamp};

#[derive(Debug)]
pub(crate) enum Input {
    Frame {
        connection: usize,
        arrival: u64,
        bytes: Vec<u8>,
    },
    Oversize {
        connection: usize,
        arrival: u64,
    },
    Shed {
        connection: usize,
        arrival: u64,
        header: Option<Header>,
    },
    ShedUnseen {
        connection: Option<usize>,
        count: u64,
    },
    Stray {
        arrival: u64,
        bytes: Vec<u8>,
    },
    Query,
    QueriesUnseen {
        count: u64,
    },
    /// `None`: larger than any.
    Reset {
        connection: usize,
        bytes: Option<Vec<u8>>,
    },
    ResetsShed {
        connection: usize,
        count: u64,
    },
    Finished {
        worker: usize,
        outputs: Result<Vec<Vec<f32>>, Failed>,
        execution: u64,
    },
    RecordVoid {
        worker: usize,
        cause: VoidCause,
    },
    Sent {
        ticket: Ticket,
        at: u64,
    },
    Withheld {
        ticket: Ticket,
        why: Withheld,
    },
    Request {
        client: usize,
        arrival: u64,
        bytes: Vec<u8>,
    },
    RequestOversize {
        client: usize,
        arrival: u64,
    },
    RequestsUnseen {
        client: usize,
        count: u64,
    },
    Replied {
        client: usize,
        ticket: Ticket,
        at: u64,
    },
    ReplyWithheld {
        client: usize,
        ticket: Ticket,
        why: Withheld,
    },
    /// `wall`: the Unix time at the origin of the box's clock.
    Sample {
        input: usize,
        arrival: u64,
        wall: u64,
        bytes: Vec<u8>,
    },
    Picture {
        input: usize,
        arrival: u64,
        wall: u64,
        picture: Result<u64, Reason>,
    },
    SampleOversize {
        input: usize,
    },
    SamplesUnseen {
        input: usize,
        count: u64,
    },
    Timeout,
    Drain,
}

impl Input {
    /// The event as the engine takes it; `outputs` holds the list that it lends.
    pub(crate) fn lend<'e>(&'e self, outputs: &'e mut Vec<&'e [f32]>) -> Event<'e> {
        match self {
            Self::Frame { connection, arrival, bytes } => {
                Event::Frame { connection: connection_id(*connection), arrival: Instant::from_nanos(*arrival), bytes }
            }
            Self::Oversize { connection, arrival } => {
                Event::Oversize { connection: connection_id(*connection), arrival: Instant::from_nanos(*arrival) }
            }
            Self::Shed { connection, arrival, header } => Event::Shed {
                connection: connection_id(*connection),
                arrival: Instant::from_nanos(*arrival),
                header: *header,
            },
            Self::ShedUnseen { connection, count } => {
                Event::ShedUnseen { connection: connection.map(connection_id), count: *count }
            }
            Self::Stray { arrival, bytes } => Event::Stray { arrival: Instant::from_nanos(*arrival), bytes },
            Self::Query => Event::Query,
            Self::QueriesUnseen { count } => Event::QueriesUnseen { count: *count },
            Self::Reset { connection, bytes } => {
                Event::Reset { connection: connection_id(*connection), bytes: bytes.as_deref() }
            }
            Self::ResetsShed { connection, count } => {
                Event::ResetsShed { connection: connection_id(*connection), count: *count }
            }
            Self::Finished { worker, outputs: computed, execution } => {
                outputs.extend(computed.iter().flatten().map(Vec::as_slice));
                Event::Finished {
                    worker: worker_id(*worker),
                    outputs: computed.as_ref().map(|_| &outputs[..]).map_err(|failed| *failed),
                    execution: Duration::from_nanos(*execution),
                }
            }
            Self::RecordVoid { worker, cause } => Event::RecordVoid { worker: worker_id(*worker), cause: *cause },
            Self::Sent { ticket, at } | Self::Replied { ticket, at, .. } => {
                Event::Sent { ticket: *ticket, at: Instant::from_nanos(*at) }
            }
            Self::Withheld { ticket, why } | Self::ReplyWithheld { ticket, why, .. } => {
                Event::Withheld { ticket: *ticket, why: *why }
            }
            Self::Request { client, arrival, bytes } => {
                Event::Request { client: client_id(*client), arrival: Instant::from_nanos(*arrival), bytes }
            }
            Self::RequestOversize { client, arrival } => {
                Event::RequestOversize { client: client_id(*client), arrival: Instant::from_nanos(*arrival) }
            }
            Self::RequestsUnseen { client, count } => {
                Event::RequestsUnseen { client: client_id(*client), count: *count }
            }
            Self::Sample { input, arrival, wall, bytes } => Event::Sample {
                input: input_id(*input),
                arrival: Instant::from_nanos(*arrival),
                wall: WallClock::from_unix_at_origin(*wall),
                bytes,
            },
            Self::Picture { input, arrival, wall, picture } => Event::Picture {
                input: input_id(*input),
                arrival: Instant::from_nanos(*arrival),
                wall: WallClock::from_unix_at_origin(*wall),
                picture: picture.map(Stamp::new),
            },
            Self::SampleOversize { input } => Event::SampleOversize { input: input_id(*input) },
            Self::SamplesUnseen { input, count } => Event::SamplesUnseen { input: input_id(*input), count: *count },
            Self::Timeout => Event::Timeout,
            Self::Drain => Event::Drain,
        }
    }
}

/// A well-formed frame, as the sender meant it.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub(crate) key: Key,
    pub(crate) address: Address,
    pub(crate) contract: ContractDigest,
    pub(crate) stamp: u64,
    pub(crate) budget: u64,
    pub(crate) values: Vec<f32>,
}

/// Names one observation of a boot: an epoch and a sequence are never accepted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) connection: usize,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

pub(crate) fn connection_id(place: usize) -> ConnectionId {
    ConnectionId(u16::try_from(place).expect("a scenario has few connections"))
}

pub(crate) fn client_id(place: usize) -> ClientId {
    ClientId(u16::try_from(place).expect("a scenario has few clients"))
}

pub(crate) fn input_id(place: usize) -> InputId {
    InputId(u16::try_from(place).expect("a scenario has few inputs"))
}

pub(crate) fn worker_id(place: usize) -> WorkerId {
    WorkerId(u16::try_from(place).expect("a scenario has few workers"))
}

/// Whose response this ticket is of, which is no reply's.
pub(crate) fn connection_of(ticket: Ticket) -> usize {
    usize::from(ticket.connection().expect("a response's ticket names its connection").0)
}
