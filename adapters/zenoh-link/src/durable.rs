//! Durable requests: queries whose requests are stored before they are answered. They wait for one thread of the default
//! class, which may block on a disk, and never for anybody who decides.
//!
//! zenoh's threads only enqueue and wake, as for everything else; the other side of each queue is wait-free.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use heapless::spsc::{Consumer, Producer, Queue};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::key_expr::KeyExpr;
use zenoh::query::{Query, Queryable};
use zenoh::sample::Locality;

use crate::error::LinkError;
use crate::inbox::whole;
use crate::link::Link;
use crate::query::PendingQuery;

/// How many requests of one client wait here; the next one ends without a reply, unread, and is counted.
const WAITING: usize = 16;

/// The key of one client's durable requests, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableKeys {
    /// Where the client asks by a query.
    pub infer: String,
    /// The largest request frame in bytes; of a larger one nobody looks at the bytes.
    pub max_frame_bytes: usize,
}

/// One durable request, lent.
pub struct Durable<'a> {
    /// The client's place in the list that was given to [`Link::serve_durables`].
    pub client: usize,
    /// The frame; `None`: it is larger than any of its client.
    pub bytes: Option<&'a [u8]>,
}

/// The receiving end of all durable requests. Dropped, nobody is listened to any more.
pub struct Durables {
    clients: Vec<Consumer<'static, Waiting>>,
    /// Who is asked first.
    turn: usize,
    assembly: Vec<u8>,
    dropped: Arc<AtomicU64>,
    _queryables: Vec<Queryable<()>>,
}

struct Waiting {
    content: Option<ZBytes>,
    query: PendingQuery,
}

impl Durables {
    /// Lends the next request to `read`, clients in turn, and gives what that says with the query to answer.
    pub fn receive<R>(&mut self, read: impl FnOnce(Durable<'_>) -> R) -> Option<(R, PendingQuery)> {
        let count = self.clients.len();
        let mut turns = (0..count).map(|step| (self.turn + step) % count);
        let (client, waiting) = turns.find_map(|client| Some((client, self.clients[client].dequeue()?)))?;
        self.turn = (client + 1) % count;
        let Waiting { content, query } = waiting;
        let bytes = content.as_ref().map(|payload| whole(payload, &mut self.assembly));
        Some((read(Durable { client, bytes }), query))
    }

    /// How many found no room to wait.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Link {
    /// Listens to clients' durable requests. `wake` is called on zenoh's threads after each arrival, so it may not block.
    ///
    /// # Errors
    ///
    /// [`LinkError`] names the key that is invalid or cannot be declared.
    pub fn serve_durables(
        &self,
        keys: &[DurableKeys],
        wake: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Result<Durables, LinkError> {
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut clients, mut queryables) = (Vec::new(), Vec::new());
        for DurableKeys { infer, max_frame_bytes } in keys {
            let key = exact(infer)?;
            let (inlet, outlet) = Box::leak(Box::new(Queue::<Waiting, { WAITING + 1 }>::new())).split();
            let inlet = Inlet {
                key: key.clone(),
                max_frame_bytes: *max_frame_bytes,
                waiting: Mutex::new(inlet),
                dropped: Arc::clone(&dropped),
            };
            let wake = wake.clone();
            let declared = self
                .session()
                .declare_queryable(&key)
                .complete(true)
                .callback(move |query| {
                    inlet.take_in(query);
                    wake();
                })
                .allowed_origin(Locality::Remote)
                .wait();
            queryables.push(declared.map_err(|source| LinkError::Declare { key: infer.clone(), source })?);
            clients.push(outlet);
        }
        Ok(Durables { clients, turn: 0, assembly: Vec::new(), dropped, _queryables: queryables })
    }
}

/// zenoh's threads' end of one client's queue. The lock is shared by zenoh's threads only.
struct Inlet {
    key: KeyExpr<'static>,
    max_frame_bytes: usize,
    waiting: Mutex<Producer<'static, Waiting>>,
    dropped: Arc<AtomicU64>,
}

impl Inlet {
    fn take_in(&self, query: Query) {
        // A search over many keys is nobody's request.
        if query.key_expr() != &self.key {
            return;
        }
        let (query, payload) = PendingQuery::parted(query);
        let content = (payload.len() <= self.max_frame_bytes).then_some(payload);
        // A refused one is dropped, which sends, after the lock is free again.
        let refused = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).enqueue(Waiting { content, query });
        if refused.is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn exact(key: &str) -> Result<KeyExpr<'static>, LinkError> {
    let parsed = KeyExpr::try_from(key).map(KeyExpr::into_owned);
    let parsed = parsed.map_err(|source| LinkError::Key { key: key.to_owned(), source })?;
    if parsed.is_wild() { Err(LinkError::Wildcard { key: key.to_owned() }) } else { Ok(parsed) }
}
