//! A query: a one-off request, or one on a topic's key, where only observations and responses belong.

use std::mem;

use zenoh::bytes::ZBytes;
use zenoh::query::Query;

/// Somebody waits for a reply.
///
/// Give it to [`Link::reply`](crate::Link::reply) or [`Link::refuse_query`](crate::Link::refuse_query). Dropped, it
/// ends without a reply. All of them send and free, so none belongs on the engine thread.
pub struct PendingQuery(Query);

impl PendingQuery {
    pub(crate) fn new(query: Query) -> Self {
        Self(query)
    }

    /// The query and its payload apart, so that each can be freed where it may be, and the payload early.
    pub(crate) fn parted(mut query: Query) -> (Self, ZBytes) {
        let payload = query.payload_mut().map(mem::take).unwrap_or_default();
        (Self(query), payload)
    }

    pub(crate) fn into_inner(self) -> Query {
        self.0
    }
}
