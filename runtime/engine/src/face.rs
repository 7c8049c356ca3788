//! The engine's face: what happens to it, what it wants done, when it wants to be woken.

use message::{Header, Stamp};

use crate::{
    hand_off::Failed,
    joined::InputId,
    reason::Reason,
    reply::Reply,
    respond::{Notify, Send, Ticket},
    task::{ClientId, ConnectionId, MAX_BATCH, ModelId, SlotId, WorkerId},
    time::{Duration, Instant, WallClock},
};

/// Something happened.
#[derive(Debug)]
pub enum Event<'e> {
    /// A frame of this connection arrived; its bytes are lent for this call.
    Frame {
        /// Whose key it came on.
        connection: ConnectionId,
        /// When it reached our code.
        arrival: Instant,
        /// The whole frame.
        bytes: &'e [u8],
    },
    /// A frame arrived that is larger than any observation of its task; nobody looked into it.
    Oversize {
        /// Whose key it came on.
        connection: ConnectionId,
        /// When it reached our code.
        arrival: Instant,
    },
    /// A frame arrived when its queue was full.
    Shed {
        /// Whose key it came on.
        connection: ConnectionId,
        /// When it reached our code.
        arrival: Instant,
        /// What a refusal echoes, if it could be read.
        header: Option<Header>,
    },
    /// So many frames were shed without even a place to remember them: counted as refused, nobody can be told.
    ShedUnseen {
        /// Whose key they came on; `None`: no connection's.
        connection: Option<ConnectionId>,
        /// How many.
        count: u64,
    },
    /// An observation for a robot or task that this box does not have.
    Stray {
        /// When it reached our code.
        arrival: Instant,
        /// The frame, lent for this call; empty where it is too large for anything that we have.
        bytes: &'e [u8],
    },
    /// A query on a topic's key.
    Query,
    /// So many queries were dropped unanswered.
    QueriesUnseen {
        /// How many.
        count: u64,
    },
    /// A one-off request of this client arrived; its bytes are lent for this call. Exactly one [`Action::Reply`] leaves
    /// for it, now or later.
    Request {
        /// Whose key it came on.
        client: ClientId,
        /// When it reached our code.
        arrival: Instant,
        /// The whole frame.
        bytes: &'e [u8],
    },
    /// A one-off request arrived that is larger than any of its task; nobody looked into it.
    RequestOversize {
        /// Whose key it came on.
        client: ClientId,
        /// When it reached our code.
        arrival: Instant,
    },
    /// So many one-off requests of this client were dropped before anybody looked: counted as refused.
    RequestsUnseen {
        /// Whose key they came on.
        client: ClientId,
        /// How many.
        count: u64,
    },
    /// A sample of a joined input arrived; its bytes are lent for this call. Nobody is answered.
    Sample {
        /// Whose key it came on.
        input: InputId,
        /// When it reached our code.
        arrival: Instant,
        /// The box's wall clock.
        wall: WallClock,
        /// The whole frame.
        bytes: &'e [u8],
    },
    /// A picture of a joined input was looked at; the tensor that it became waits for [`Action::StoreSample`].
    Picture {
        /// Whose key it came on.
        input: InputId,
        /// When it reached our code.
        arrival: Instant,
        /// The box's wall clock.
        wall: WallClock,
        /// Its stamp, or why it became no tensor.
        picture: Result<Stamp, Reason>,
    },
    /// A sample arrived that is larger than any of its input; nobody looked into it.
    SampleOversize {
        /// Whose key it came on.
        input: InputId,
    },
    /// So many samples of this input were replaced by newer ones before anybody looked.
    SamplesUnseen {
        /// Whose key they came on.
        input: InputId,
        /// How many.
        count: u64,
    },
    /// A controller demands that its connection's state begins anew; the bytes are lent for this call.
    Reset {
        /// Whose key it came on.
        connection: ConnectionId,
        /// The whole frame; `None`: it is larger than any demand, and nobody looked into it.
        bytes: Option<&'e [u8]>,
    },
    /// So many demands found their queue full: counted as refused.
    ResetsShed {
        /// Whose key they came on.
        connection: ConnectionId,
        /// How many.
        count: u64,
    },
    /// A worker is free again.
    Finished {
        /// Which.
        worker: WorkerId,
        /// The model's action for each member, in the order of the slots that were started, lent for this call: empty
        /// where it failed; or why there is none, for all of them.
        outputs: Result<&'e [&'e [f32]], Failed>,
        /// How long the model ran, measured by the worker itself: once for all members.
        execution: Duration,
    },
    /// A worker's timing records no longer hold, for a cause outside its inferences.
    RecordVoid {
        /// Whose.
        worker: WorkerId,
        /// Why.
        cause: VoidCause,
    },
    /// A send or a reply was handed to the link, at this time.
    Sent {
        /// Which.
        ticket: Ticket,
        /// The clock just before the put.
        at: Instant,
    },
    /// A send or a reply did not leave.
    Withheld {
        /// Which.
        ticket: Ticket,
        /// Why.
        why: Withheld,
    },
    /// The instant of [`poll_timeout`](crate::Engine::poll_timeout) was reached.
    Timeout,
    /// The box is to shut down: new observations are refused, open ones answered.
    Drain,
}

/// The slots of one inference.
pub type Slots = heapless::Vec<SlotId, MAX_BATCH>;

/// What voids a worker's timing records beside its inferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidCause {
    /// The device lowered its clock.
    Throttled,
    /// A setting is another than the record was taken with.
    SettingChanged,
}

/// Why a send did not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withheld {
    /// The clock, read just before the put, had reached the deadline.
    Deadline,
    /// The link refused to take it.
    Link,
}

/// Something must be done. The caller takes actions until there is none before it hands in the next event.
#[derive(Debug)]
pub enum Action {
    /// Copy the values of the frame that was just handled into this slot; of a request, keep its query there too.
    Store {
        /// The slot, free until now.
        slot: SlotId,
    },
    /// Keep the values of the sample that was just handled as this input's newest.
    StoreSample {
        /// Which input.
        input: InputId,
    },
    /// Run this model once, on the values of all these slots, and report [`Event::Finished`].
    /// Each connection's joined inputs contribute the samples that were kept last.
    /// [`Engine::members`](crate::Engine::members) and [`Engine::client_on`](crate::Engine::client_on) say whose they are,
    /// [`Engine::memories`](crate::Engine::memories) what state they begin with, and
    /// [`Engine::committed_on`](crate::Engine::committed_on) what a plan has to continue.
    StartInference {
        /// Which worker.
        worker: WorkerId,
        /// Which of its sessions.
        model: ModelId,
        /// On which values: at least one slot, at most the largest batch of the model's timing record.
        slots: Slots,
    },
    /// The action that was computed in this slot left: the state that was computed with it is this connection's from now
    /// on. The slot is free with the next action.
    Advance {
        /// Whose state.
        connection: ConnectionId,
        /// Where it was computed.
        slot: SlotId,
    },
    /// Put a response before its deadline or withhold it, and report which if it has a ticket.
    Send(Send),
    /// Put the reply to a one-off request before its deadline or withhold it, and report which if it has a ticket.
    Reply(Reply),
    /// Tell a controller something outside the response topic.
    Notify(Notify),
    /// A worker was taken out of service; `spare` took its place.
    Quarantine {
        /// Which worker.
        worker: WorkerId,
        /// Why.
        reason: Reason,
        /// Which spare took over, if one did.
        spare: Option<WorkerId>,
    },
    /// A model's timing record on a worker no longer holds: its tasks go on as they declare. Said once for each record.
    RecordVoid {
        /// On which worker.
        worker: WorkerId,
        /// Which model's.
        model: ModelId,
        /// Why.
        reason: Reason,
    },
    /// No worker is left for a model: end the process non-zero.
    Exit {
        /// Why.
        reason: Reason,
    },
    /// After [`Event::Drain`]: nothing is in flight and every controller got its farewell.
    Drained,
}

/// Which timer fires next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// The fallback of an observation of this connection falls due.
    FallbackDue(ConnectionId),
    /// A one-off request of this client expires.
    RequestDue(ClientId),
    /// This worker's inference counts as hung.
    Hang(WorkerId),
}

/// When the engine wants to be woken, and why.
pub type Timeout = (Instant, Timer);
