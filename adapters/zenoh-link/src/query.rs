//! A query on a topic's key, where only observations and responses belong.

use zenoh::query::Query;

use crate::route::RouteId;

/// Somebody waits for a reply.
///
/// Give it to [`Link::refuse_query`](crate::Link::refuse_query). Dropped, it ends without a reply.
pub struct PendingQuery {
    query: Query,
    route: RouteId,
    at_ns: u64,
}

impl PendingQuery {
    pub(crate) fn new(query: Query, route: RouteId, at_ns: u64) -> Self {
        Self {
            query,
            route,
            at_ns,
        }
    }

    /// The route whose observation or response key was queried.
    #[must_use]
    pub fn route(&self) -> RouteId {
        self.route
    }

    /// Which of its keys it was.
    #[must_use]
    pub fn key(&self) -> &str {
        self.query.key_expr().as_str()
    }

    /// When it arrived, in nanoseconds of the box's clock.
    #[must_use]
    pub fn at_ns(&self) -> u64 {
        self.at_ns
    }

    pub(crate) fn into_inner(self) -> Query {
        self.query
    }
}
