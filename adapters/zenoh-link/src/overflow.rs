//! What reached the box but found no room even among the refusals: it is counted, by route.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::route::RouteId;

/// Counters that zenoh's threads raise and the engine thread takes.
pub(crate) struct Uncounted {
    routes: Box<[AtomicU64]>,
    others: AtomicU64,
}

impl Uncounted {
    pub(crate) fn new(routes: usize) -> Self {
        Self {
            routes: (0..routes).map(|_| AtomicU64::new(0)).collect(),
            others: AtomicU64::new(0),
        }
    }

    /// One more, of a route, or a stray or query.
    pub(crate) fn add(&self, route: Option<RouteId>) {
        let counter = route.and_then(|route| self.routes.get(route.index()));
        counter.unwrap_or(&self.others).fetch_add(1, Relaxed);
    }

    /// Reports every count that is not 0 and sets it to 0.
    pub(crate) fn take(&self, mut report: impl FnMut(Option<RouteId>, u64)) {
        let routes = (0..).map(RouteId::new).map(Some).zip(&self.routes);
        for (route, counter) in routes.chain([(None, &self.others)]) {
            let count = counter.swap(0, Relaxed);
            if count > 0 {
                report(route, count);
            }
        }
    }
}
