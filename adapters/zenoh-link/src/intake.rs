//! What zenoh's threads do with an arrival: take the time, enqueue, wake. Nothing else.
//!
//! Allocates nothing: a payload moves into its queue by reference count.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heapless::spsc::{Consumer, Producer, Queue};
use message::{Header, Reset};
use zenoh::bytes::ZBytes;
use zenoh::key_expr::KeyExpr;
use zenoh::query::Query;
use zenoh::sample::{Sample, SampleFields};

use crate::camera::CameraId;
use crate::client::{CLIENT_SLACK, ClientId, MAX_CLIENT_QUEUE};
use crate::input::InputId;
use crate::lane::{Receiver, Sender, lane};
use crate::mailbox::{Collect, Post, mailbox};
use crate::overflow::{Overflow, Overflowed};
use crate::query::PendingQuery;
use crate::route::{ROUTE_CAPACITY, RouteId};
use crate::subjects::Subjects;

/// The largest stray whose bytes are kept.
pub(crate) const LARGEST_STRAY: usize = 64 << 10;

/// The largest shed frame that is read for its sequence: a CRC over 4 KiB takes microseconds.
const LARGEST_PEEK: usize = 4 << 10;

const ROUTE_SLOTS: usize = ROUTE_CAPACITY + 1;
/// Sheds of one route that wait to be refused one by one: four times what made it overflow.
const SHED_SLOTS: usize = 64;
const STRAY_SLOTS: usize = 32;
const QUERY_SLOTS: usize = 32;
const CLIENT_SLOTS: usize = MAX_CLIENT_QUEUE + CLIENT_SLACK + 1;

/// A frame on one of a route's keys.
pub(crate) struct Arrived {
    pub(crate) at_ns: u64,
    pub(crate) topic: Topic,
    pub(crate) content: Content,
}

/// What a route's controller publishes on the key. Both wait in one queue, so that a demand concerns what comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Observation,
    Reset,
}

/// A route's keys and its largest observation.
pub(crate) struct RouteQueue {
    pub(crate) observation: String,
    pub(crate) reset: Option<String>,
    pub(crate) max_frame_bytes: usize,
}

/// A sample on a joined input's key.
pub(crate) struct Sampled {
    pub(crate) at_ns: u64,
    pub(crate) content: Content,
}

/// What is kept of a frame.
pub(crate) enum Content {
    Bytes(ZBytes),
    /// Larger than its route allows.
    Oversize,
}

/// A one-off request. Its payload travels beside the query: it is freed on the way back.
pub(crate) struct Asked {
    pub(crate) at_ns: u64,
    pub(crate) content: Content,
    pub(crate) query: PendingQuery,
}

/// A frame that found its route's queue full.
pub(crate) struct Shed {
    pub(crate) at_ns: u64,
    pub(crate) header: Option<Header>,
}

/// A frame on a key that belongs to no route.
pub(crate) struct Stray {
    pub(crate) at_ns: u64,
    pub(crate) key: KeyExpr<'static>,
    pub(crate) payload: ZBytes,
}

/// The engine thread's ends of one route's queues.
pub(crate) struct RouteOutlet {
    pub(crate) frames: Receiver<Arrived>,
    pub(crate) sheds: Consumer<'static, Shed>,
}

/// The engine thread's ends of all queues.
pub(crate) struct Outlets {
    pub(crate) routes: Vec<RouteOutlet>,
    pub(crate) clients: Vec<Receiver<Asked, Content>>,
    pub(crate) inputs: Vec<Collect<Sampled>>,
    pub(crate) cameras: Vec<Collect<Sampled>>,
    pub(crate) strays: Receiver<Stray>,
    pub(crate) queries: Consumer<'static, PendingQuery>,
    pub(crate) overflow: Arc<Overflow>,
}

/// What an arrival is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A frame of this route.
    Route(RouteId),
    /// A one-off request of this client.
    Client(ClientId),
    /// A sample of this joined input.
    Input(InputId),
    /// A picture of this camera.
    Camera(CameraId),
    /// A stray, a query on a topic's key, or what overflowed: nothing that is urgent.
    Other,
}

/// Told after each arrival.
pub(crate) type Wake = Box<dyn Fn(Source) + Send + Sync>;

/// zenoh's threads' ends of all queues. A lock is shared by zenoh's threads only.
pub(crate) struct Intake {
    clock: fn() -> u64,
    wake: Wake,
    subjects: Subjects,
    by_key: HashMap<String, Owner>,
    routes: Vec<Mutex<RouteInlet>>,
    clients: Vec<Mutex<ClientInlet>>,
    inputs: Vec<Mutex<InputInlet>>,
    cameras: Vec<Mutex<InputInlet>>,
    strays: Mutex<Sender<Stray>>,
    queries: Mutex<Producer<'static, PendingQuery>>,
    overflow: Arc<Overflow>,
}

struct RouteInlet {
    max_frame_bytes: usize,
    frames: Sender<Arrived>,
    sheds: Producer<'static, Shed>,
}

/// Whose key it is.
#[derive(Debug, Clone, Copy)]
enum Owner {
    Route(RouteId, Topic),
    Input(InputId),
    Camera(CameraId),
}

struct InputInlet {
    max_frame_bytes: usize,
    newest: Post<Sampled>,
}

struct ClientInlet {
    max_frame_bytes: usize,
    most: usize,
    requests: Sender<Asked, Content>,
}

impl Intake {
    /// The queues of these routes, of clients with these largest frames and queues, and the places of inputs and
    /// cameras with these keys and largest frames.
    pub(crate) fn new(
        routes: &[RouteQueue],
        clients: &[(usize, usize)],
        inputs: &[(String, usize)],
        cameras: &[(String, usize)],
        subjects: Subjects,
        clock: fn() -> u64,
        wake: Wake,
    ) -> (Self, Outlets) {
        let (inlets, outlets) = routes.iter().map(|route| route_queues(route.max_frame_bytes)).unzip();
        let (client_inlets, client_outlets) = clients.iter().map(|&(max, queue)| client_queue(max, queue)).unzip();
        let (stray_in, stray_out) = lane::<Stray, Stray, STRAY_SLOTS, { 2 * STRAY_SLOTS }>();
        let (query_in, query_out) = Box::leak(Box::new(Queue::<PendingQuery, QUERY_SLOTS>::new())).split();
        let (input_inlets, input_outlets) = inputs.iter().map(|&(_, max)| input_place(max)).unzip();
        let (camera_inlets, camera_outlets) = cameras.iter().map(|&(_, max)| input_place(max)).unzip();
        let overflow = Arc::new(Overflow::new(routes.len(), clients.len(), inputs.len(), cameras.len()));
        let routes = (0..).map(RouteId::new).zip(routes).flat_map(keys_of);
        let inputs = inputs.iter().map(|(key, _)| key.clone()).zip((0..).map(InputId::new).map(Owner::Input));
        let cameras = cameras.iter().map(|(key, _)| key.clone()).zip((0..).map(CameraId::new).map(Owner::Camera));
        let intake = Self {
            clock,
            wake,
            subjects,
            by_key: routes.chain(inputs).chain(cameras).collect(),
            routes: inlets,
            clients: client_inlets,
            inputs: input_inlets,
            cameras: camera_inlets,
            strays: Mutex::new(stray_in),
            queries: Mutex::new(query_in),
            overflow: Arc::clone(&overflow),
        };
        let outlets = Outlets {
            routes: outlets,
            clients: client_outlets,
            inputs: input_outlets,
            cameras: camera_outlets,
            strays: stray_out,
            queries: query_out,
            overflow,
        };
        (intake, outlets)
    }

    pub(crate) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    /// The callback of the subscription to `subject`.
    pub(crate) fn on_sample(&self, subject: usize, sample: Sample) {
        let at_ns = (self.clock)();
        let SampleFields { key_expr: key, payload, .. } = sample.into();
        if !self.subjects.takes(subject, &key) {
            return;
        }
        let source = match self.by_key.get(key.as_str()).copied() {
            Some(Owner::Route(route, topic)) => {
                self.frame(route, topic, at_ns, payload);
                Source::Route(route)
            }
            Some(Owner::Input(input)) => {
                self.sample(&self.inputs[input.index()], Overflowed::Input(input), at_ns, payload);
                Source::Input(input)
            }
            Some(Owner::Camera(camera)) => {
                self.sample(&self.cameras[camera.index()], Overflowed::Camera(camera), at_ns, payload);
                Source::Camera(camera)
            }
            None => {
                self.stray(Stray { at_ns, key, payload });
                Source::Other
            }
        };
        (self.wake)(source);
    }

    /// The callback of the queryable on `key`, a topic's.
    pub(crate) fn on_query(&self, key: &str, query: Query) {
        if query.key_expr().as_str() != key {
            // A search over many keys: it ends without a reply, since nothing is stored here.
            return;
        }
        // A refused one is dropped, which sends, after the lock is free again.
        let refused = lock(&self.queries).enqueue(PendingQuery::new(query));
        if refused.is_err() {
            self.overflow.add(Overflowed::Queries);
        }
        (self.wake)(Source::Other);
    }

    /// The callback of the queryable on `key`, this client's.
    pub(crate) fn on_request(&self, client: ClientId, key: &str, query: Query) {
        let at_ns = (self.clock)();
        // As above: a search is nobody's request.
        if query.key_expr().as_str() != key {
            return;
        }
        let Some(inlet) = self.clients.get(client.index()) else {
            return;
        };
        let (query, payload) = PendingQuery::parted(query);
        let taken = {
            let mut inlet = lock(inlet);
            let content =
                if payload.len() > inlet.max_frame_bytes { Content::Oversize } else { Content::Bytes(payload) };
            let most = inlet.most;
            inlet.requests.send_within(most, Asked { at_ns, content, query })
        };
        match taken {
            Ok(()) => (self.wake)(Source::Client(client)),
            // It is dropped, which sends, now that the lock is free again. Nobody need hurry to count it.
            Err(_newest) => self.overflow.add(Overflowed::Client(client)),
        }
    }

    fn frame(&self, route: RouteId, topic: Topic, at_ns: u64, payload: ZBytes) {
        let Some(inlet) = self.routes.get(route.index()) else {
            return;
        };
        let mut inlet = lock(inlet);
        let most = match topic {
            Topic::Observation => inlet.max_frame_bytes,
            Topic::Reset => Reset::MAX_FRAME,
        };
        let content = if payload.len() > most { Content::Oversize } else { Content::Bytes(payload) };
        let Err(newest) = inlet.frames.send(Arrived { at_ns, topic, content }) else {
            return;
        };
        if topic == Topic::Reset {
            self.overflow.add(Overflowed::Resets(route));
            return;
        }
        // Only this end fills the queue, so what is ready stays ready.
        if inlet.sheds.ready() {
            let shed = Shed { at_ns, header: newest.content.header() };
            assert!(inlet.sheds.enqueue(shed).is_ok(), "a queue that is ready takes an item");
        } else {
            self.overflow.add(Overflowed::Route(route));
        }
    }

    /// Takes the place of the one that waits, if one does.
    fn sample(&self, inlet: &Mutex<InputInlet>, whose: Overflowed, at_ns: u64, payload: ZBytes) {
        let mut inlet = lock(inlet);
        let content = if payload.len() > inlet.max_frame_bytes { Content::Oversize } else { Content::Bytes(payload) };
        if inlet.newest.send(Sampled { at_ns, content }) {
            self.overflow.add(whose);
        }
    }

    fn stray(&self, mut stray: Stray) {
        if stray.payload.len() > LARGEST_STRAY {
            stray.payload = ZBytes::new();
        }
        if lock(&self.strays).send(stray).is_err() {
            self.overflow.add(Overflowed::Strays);
        }
    }
}

impl Content {
    /// What a refusal echoes, where it is cheap to find out.
    fn header(&self) -> Option<Header> {
        match self {
            Self::Oversize => None,
            Self::Bytes(payload) => {
                let mut slices = payload.slices();
                let only = slices.next().filter(|first| first.len() == payload.len())?;
                (only.len() <= LARGEST_PEEK).then(|| message::peek(only)).flatten()
            }
        }
    }
}

fn keys_of((id, route): (RouteId, &RouteQueue)) -> impl Iterator<Item = (String, Owner)> {
    let observation = (route.observation.clone(), Owner::Route(id, Topic::Observation));
    let reset = route.reset.clone().map(|key| (key, Owner::Route(id, Topic::Reset)));
    [observation].into_iter().chain(reset)
}

fn route_queues(max_frame_bytes: usize) -> (Mutex<RouteInlet>, RouteOutlet) {
    let (frames_in, frames_out) = lane::<Arrived, Arrived, ROUTE_SLOTS, { 2 * ROUTE_SLOTS }>();
    let (sheds_in, sheds_out) = Box::leak(Box::new(Queue::<Shed, SHED_SLOTS>::new())).split();
    (
        Mutex::new(RouteInlet { max_frame_bytes, frames: frames_in, sheds: sheds_in }),
        RouteOutlet { frames: frames_out, sheds: sheds_out },
    )
}

fn input_place(max_frame_bytes: usize) -> (Mutex<InputInlet>, Collect<Sampled>) {
    let (newest, outlet) = mailbox();
    (Mutex::new(InputInlet { max_frame_bytes, newest }), outlet)
}

fn client_queue(max_frame_bytes: usize, queue: usize) -> (Mutex<ClientInlet>, Receiver<Asked, Content>) {
    let (requests, outlet) = lane::<Asked, Content, CLIENT_SLOTS, { 2 * CLIENT_SLOTS }>();
    (Mutex::new(ClientInlet { max_frame_bytes, most: queue + CLIENT_SLACK, requests }), outlet)
}

/// A callback that panicked left its queue whole: each operation on it is one step.
fn lock<T>(end: &Mutex<T>) -> MutexGuard<'_, T> {
    end.lock().unwrap_or_else(PoisonError::into_inner)
}
