//! Who works with the engine, and on what: whoever has something for it takes the lock and sees it through.
//!
//! zenoh's threads let it decide upon what they brought, so that a deadline counts at once and a free worker starts at
//! once. They never put: what must be sent they leave to the engine's thread. A worker brings its result and puts what
//! follows. The engine's thread does everything that has its time, and all that nobody else did.

use engine::{Event, Instant, VoidCause, WorkerId};
use heapless::spsc::Consumer;
use zenoh_link::{Arrival, ClientId, Inbox, InputId, Overflowed, RouteId};

use crate::{
    cameras::{self, Seen},
    clock,
    perform::{Adoption, Current, Performer, client_id, connection},
    requests::Asker,
    snapshot::Desk as SnapshotDesk,
    worker::Done,
};

/// What is behind the lock.
pub(crate) struct Turn {
    pub(crate) inbox: Inbox,
    pub(crate) performer: Performer,
    pub(crate) snapshots: SnapshotDesk,
    /// Who reads cameras' pictures, each with its inputs.
    cameras: Vec<cameras::Desk>,
    /// Which of the engine's inputs each of the link's is.
    received: Vec<engine::InputId>,
    /// Workers whose conditions have changed.
    voids: Consumer<'static, (WorkerId, VoidCause)>,
    /// Until when the engine's thread sleeps, unless it is woken.
    pub(crate) asleep_until: Instant,
    draining: bool,
}

impl Turn {
    /// Nobody has worked with it.
    pub(crate) fn new(
        inbox: Inbox,
        performer: Performer,
        snapshots: SnapshotDesk,
        cameras: Vec<cameras::Desk>,
        received: Vec<engine::InputId>,
        voids: Consumer<'static, (WorkerId, VoidCause)>,
    ) -> Self {
        Self {
            inbox,
            performer,
            snapshots,
            cameras,
            received,
            voids,
            asleep_until: Instant::from_nanos(0),
            draining: false,
        }
    }

    /// What one of zenoh's threads brought; whether the engine's thread must be woken.
    pub(crate) fn arrived(&mut self, route: RouteId) -> bool {
        let Self { inbox, performer, .. } = self;
        performer.may_put = false;
        while performer.held.is_empty() && inbox.poll_route(route, |arrival| arrive(performer, arrival)) {}
        !performer.held.is_empty() || self.next().is_some_and(|at| at < self.asleep_until)
    }

    /// The same for a request of this client.
    pub(crate) fn asked(&mut self, client: ClientId) -> bool {
        let Self { inbox, performer, .. } = self;
        performer.may_put = false;
        while performer.held.is_empty() && take_request(inbox, performer, client) {}
        !performer.held.is_empty() || self.next().is_some_and(|at| at < self.asleep_until)
    }

    /// The same for a sample of this joined input.
    pub(crate) fn sampled(&mut self, input: InputId) -> bool {
        let Self { inbox, performer, received, .. } = self;
        performer.may_put = false;
        if performer.held.is_empty() {
            take_sample(inbox, performer, (input, received));
        }
        !performer.held.is_empty() || self.next().is_some_and(|at| at < self.asleep_until)
    }

    /// A worker's result.
    pub(crate) fn finished(&mut self, worker: WorkerId, done: Done) {
        self.performer.may_put = true;
        self.performer.finished(worker, done);
    }

    /// Everything that waits or has its time; whether more may wait.
    pub(crate) fn everything(&mut self) -> bool {
        self.performer.may_put = true;
        // Before any frame, however many wait: a deadline does not queue behind them.
        if self.next().is_some_and(|at| at <= clock::now()) {
            self.performer.event(Event::Timeout, Current::default());
        }
        self.performer.put_held();
        if !self.draining && self.performer.shared.is_draining() {
            self.draining = true;
            self.performer.event(Event::Drain, Current::default());
        }
        let Self { inbox, performer, snapshots, cameras, received, voids, .. } = self;
        if let Some((worker, cause)) = voids.dequeue() {
            performer.event(Event::RecordVoid { worker, cause }, Current::default());
        }
        // Before the frames that would be run with it.
        for input in (0..inbox.inputs()).filter_map(|place| u32::try_from(place).ok()) {
            take_sample(inbox, performer, (InputId::new(input), received));
        }
        for desk in &mut *cameras {
            take_picture(desk, performer);
        }
        let mut more = inbox.poll(|arrival| arrive(performer, arrival));
        for client in performer.requests.clients() {
            more |= take_request(inbox, performer, client);
        }
        more |= take_query(inbox, performer);
        inbox.take_overflow(|what, count| overflow(performer, (cameras, received), what, count));
        snapshots.serve(&performer.engine);
        more || voids.ready()
    }

    /// When the next deadline falls due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.performer.engine.poll_timeout().map(|(at, _)| at)
    }
}

fn arrive(performer: &mut Performer, arrival: Arrival<'_>) {
    match arrival {
        Arrival::Frame { route, at_ns, bytes } => {
            let event = Event::Frame { connection: connection(route), arrival: Instant::from_nanos(at_ns), bytes };
            performer.event(event, Current { frame: Some(bytes), ..Current::default() });
        }
        Arrival::Oversize { route, at_ns } => {
            let event = Event::Oversize { connection: connection(route), arrival: Instant::from_nanos(at_ns) };
            performer.event(event, Current::default());
        }
        Arrival::Shed { route, at_ns, header } => {
            let event = Event::Shed { connection: connection(route), arrival: Instant::from_nanos(at_ns), header };
            performer.event(event, Current::default());
        }
        Arrival::Reset { route, bytes } => {
            performer.event(Event::Reset { connection: connection(route), bytes }, Current::default());
        }
        Arrival::Stray { key, at_ns, bytes } => {
            let event = Event::Stray { arrival: Instant::from_nanos(at_ns), bytes };
            performer.event(event, Current { stray: Some(key), ..Current::default() });
        }
    }
}

/// At most one query, and only if it can be handed on: nobody here frees one. Returns whether one was taken.
fn take_query(inbox: &mut Inbox, performer: &mut Performer) -> bool {
    if !performer.requests.may_take(None) {
        return false;
    }
    let Some(query) = inbox.take_query() else { return false };
    performer.requests.taken(None);
    performer.event(Event::Query, Current { asker: Some(Asker { query, client: None }), ..Current::default() });
    true
}

/// At most one request of this client, and only if its reply has room. Returns whether another one can be taken.
fn take_request(inbox: &mut Inbox, performer: &mut Performer, client: ClientId) -> bool {
    if !performer.requests.may_take(Some(client)) {
        return false;
    }
    inbox.poll_client(client, |request, query| {
        performer.requests.taken(Some(client));
        let (id, arrival) = (client_id(client), Instant::from_nanos(request.at_ns));
        let event = match request.bytes {
            Some(bytes) => Event::Request { client: id, arrival, bytes },
            None => Event::RequestOversize { client: id, arrival },
        };
        let asker = Some(Asker { query, client: Some(client) });
        performer.event(event, Current { request: request.bytes, asker, ..Current::default() });
    }) && performer.requests.may_take(Some(client))
}

/// The newest sample of this input, if one waits.
fn take_sample(inbox: &mut Inbox, performer: &mut Performer, (input, received): (InputId, &[engine::InputId])) {
    inbox.poll_input(input, |sample| {
        let (id, arrival) = (received[input.index()], Instant::from_nanos(sample.at_ns));
        let event = match sample.bytes {
            Some(bytes) => Event::Sample { input: id, arrival, wall: clock::wall(), bytes },
            None => Event::SampleOversize { input: id },
        };
        performer.event(event, Current { sample: sample.bytes, ..Current::default() });
    });
}

/// The newest picture that this camera's thread has looked at, if there is one.
fn take_picture(desk: &mut cameras::Desk, performer: &mut Performer) {
    let Some(Seen { at_ns, picture, mut tensor }) = desk.take() else { return };
    let (arrival, wall) = (Instant::from_nanos(at_ns), clock::wall());
    let mut first = Some(Adoption::First(&mut tensor));
    for input in &desk.inputs {
        let event = Event::Picture { input: *input, arrival, wall, picture };
        let tensor = Some(first.take().unwrap_or(Adoption::Shared));
        performer.event(event, Current { tensor, ..Current::default() });
    }
    desk.give_back(tensor);
}

fn overflow(
    performer: &mut Performer,
    (cameras, received): (&[cameras::Desk], &[engine::InputId]),
    what: Overflowed,
    count: u64,
) {
    let event = match what {
        Overflowed::Route(route) => Event::ShedUnseen { connection: Some(connection(route)), count },
        Overflowed::Resets(route) => Event::ResetsShed { connection: connection(route), count },
        Overflowed::Strays => Event::ShedUnseen { connection: None, count },
        Overflowed::Queries => Event::QueriesUnseen { count },
        Overflowed::Input(input) => Event::SamplesUnseen { input: received[input.index()], count },
        Overflowed::Camera(camera) => {
            let desks = cameras.iter().filter(|desk| desk.camera == camera);
            for input in desks.flat_map(|desk| &desk.inputs) {
                performer.event(Event::SamplesUnseen { input: *input, count }, Current::default());
            }
            return;
        }
        Overflowed::Client(client) => Event::RequestsUnseen { client: client_id(client), count },
    };
    performer.event(event, Current::default());
}
