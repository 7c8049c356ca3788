//! A query on a topic's key, where only observations and responses belong.

use zenoh::query::Query;

/// Somebody waits for a reply.
///
/// Give it to [`Link::refuse_query`](crate::Link::refuse_query). Dropped, it ends without a reply. Both free its
/// payload and send, so neither belongs on the engine thread.
pub struct PendingQuery(Query);

impl PendingQuery {
    pub(crate) fn new(query: Query) -> Self {
        Self(query)
    }

    pub(crate) fn into_inner(self) -> Query {
        self.0
    }
}
