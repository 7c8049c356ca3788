//! One-off requests between their arrival and their reply, and queries on topics: whose they are, and how many are open.
//!
//! A query is kept under its request's slot until the engine answers it, then handed to the main thread with the encoded
//! frame: a reply, and the query's memory, are zenoh's business. A client's open requests are counted from the time that
//! they are taken until their reply was sent, and bounded: what is beyond stays in the client's own queue in the link. So
//! every request that is taken has room for its reply, and no client takes another one's.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::thread::Thread;

use engine::SlotId;
use heapless::spsc::{Consumer, Producer, Queue};
use message::{InferReply, Response};
use zenoh_link::{ClientId, Link, PendingQuery, PutError};

/// How many one-off requests of all clients may be open at once.
pub(crate) const OPEN: usize = 240;

/// How many queries on topics may await their refusal. Further ones wait in the link, which drops and counts those that
/// find no room there.
const ON_TOPICS: usize = 8;

/// Room for every reply; such a queue holds one less than its size.
const REPLIES: usize = 256;

const _: () = assert!(OPEN + ON_TOPICS < REPLIES, "every request that is taken has room for its reply");

const _: () = assert!(engine::MAX_QUEUE == zenoh_link::MAX_CLIENT_QUEUE, "a client's queue is as long here as there");

/// How many requests of a client with such a queue are open at most: two beyond it, so that one that runs and one that is
/// being refused leave the queue to those that wait.
pub(crate) const fn open_at_most(queue: usize) -> usize {
    queue.saturating_add(2)
}

/// Who waits for a reply.
pub(crate) struct Asker {
    pub(crate) query: PendingQuery,
    /// `None`: it asked on a topic's key.
    pub(crate) client: Option<ClientId>,
}

/// A query and the encoded reply that it gets, for a thread that may block.
pub(crate) struct Reply {
    asker: Asker,
    is_result: bool,
    frame: Frame,
}

/// An encoded reply.
#[expect(clippy::large_enum_variant, reason = "a short one is copied, so that nothing is allocated for it")]
pub(crate) enum Frame {
    /// So many of these bytes.
    Short([u8; LONGEST], usize),
    /// Results, for which there is no bound that would do for all.
    Long(Vec<u8>),
}

impl Frame {
    /// A copy of a reply of at most [`LONGEST`] bytes.
    pub(crate) fn short(bytes: &[u8]) -> Self {
        let mut frame = [0; LONGEST];
        frame[..bytes.len()].copy_from_slice(bytes);
        Self::Short(frame, bytes.len())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..*length],
            Self::Long(bytes) => bytes,
        }
    }
}

/// The longest reply in bytes, but for results.
const LONGEST: usize =
    if InferReply::MAX_FRAME > Response::MAX_FRAME { InferReply::MAX_FRAME } else { Response::MAX_FRAME };

/// How many requests are open, and how many may be.
struct Open {
    now: AtomicUsize,
    most: usize,
}

/// The side of whoever works with the engine.
pub(crate) struct Requests {
    /// By slot.
    kept: Vec<Option<Asker>>,
    clients: Arc<[Open]>,
    on_topics: Arc<Open>,
    replies: Producer<'static, Reply>,
    /// Woken by each reply.
    replier: Thread,
}

/// The main thread's side.
pub(crate) struct Replier {
    replies: Consumer<'static, Reply>,
    clients: Arc<[Open]>,
    on_topics: Arc<Open>,
}

/// Both sides, for so many slots and clients with these queues; `replier` is the thread of the second one.
pub(crate) fn exchange(slots: usize, queues: impl Iterator<Item = usize>, replier: Thread) -> (Requests, Replier) {
    let open = |most| Open { now: AtomicUsize::new(0), most };
    let clients: Arc<[Open]> = queues.map(|queue| open(open_at_most(queue))).collect();
    let on_topics = Arc::new(open(ON_TOPICS));
    let (producer, consumer) = Box::leak(Box::new(Queue::<Reply, REPLIES>::new())).split();
    let requests = Requests {
        kept: std::iter::repeat_with(|| None).take(slots).collect(),
        clients: Arc::clone(&clients),
        on_topics: Arc::clone(&on_topics),
        replies: producer,
        replier,
    };
    (requests, Replier { replies: consumer, clients, on_topics })
}

impl Requests {
    /// How many clients there are.
    pub(crate) fn clients(&self) -> impl Iterator<Item = ClientId> + use<> {
        let clients = u32::try_from(self.clients.len()).expect("each has a queue, and all of them fit into OPEN");
        (0..clients).map(ClientId::new)
    }

    /// Whether a further query of this client, or on a topic, may be taken.
    pub(crate) fn may_take(&self, client: Option<ClientId>) -> bool {
        let open = open(&self.clients, &self.on_topics, client);
        open.now.load(Ordering::Acquire) < open.most
    }

    /// One was taken.
    pub(crate) fn taken(&self, client: Option<ClientId>) {
        let before = open(&self.clients, &self.on_topics, client).now.fetch_add(1, Ordering::AcqRel);
        assert!(before < open(&self.clients, &self.on_topics, client).most, "a query is taken only where it may be");
    }

    /// Keeps a query under its request's slot.
    pub(crate) fn keep(&mut self, slot: SlotId, asker: Asker) {
        let before = self.kept[usize::from(slot.0)].replace(asker);
        assert!(before.is_none(), "a slot that was free had no query");
    }

    /// Takes the query of a slot out again.
    pub(crate) fn release(&mut self, slot: SlotId) -> Asker {
        self.kept[usize::from(slot.0)].take().expect("an admitted request's query is kept")
    }

    /// Hands a reply to the main thread.
    pub(crate) fn reply(&mut self, asker: Asker, frame: Frame, is_result: bool) {
        let handed_on = self.replies.enqueue(Reply { asker, is_result, frame });
        assert!(handed_on.is_ok(), "a query is taken only with room for its reply");
        self.replier.unpark();
    }
}

impl Replier {
    /// Sends the oldest reply, if there is one; it may block. Whether it could be sent.
    pub(crate) fn send(&mut self, link: &Link) -> Option<Result<(), PutError>> {
        let Reply { asker: Asker { query, client }, is_result, frame } = self.replies.dequeue()?;
        let bytes = frame.bytes();
        let sent = if is_result { link.reply(query, bytes) } else { link.refuse_query(query, bytes) };
        open(&self.clients, &self.on_topics, client).now.fetch_sub(1, Ordering::AcqRel);
        Some(sent)
    }
}

fn open<'o>(clients: &'o [Open], on_topics: &'o Open, client: Option<ClientId>) -> &'o Open {
    client.map_or(on_topics, |client| &clients[client.index()])
}
