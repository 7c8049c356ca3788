//! What reached the box but found every queue full, that of the refusals included: only its number is kept.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::camera::CameraId;
use crate::client::ClientId;
use crate::input::InputId;
use crate::route::RouteId;

/// Where there was no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflowed {
    /// Frames of this route.
    Route(RouteId),
    /// Demands of this route's controller that its state begins anew.
    Resets(RouteId),
    /// Frames of no route.
    Strays,
    /// Queries on topics. They ended without a reply.
    Queries,
    /// One-off requests of this client. They ended without a reply, unread.
    Client(ClientId),
    /// Samples of this joined input: newer ones took their place unread.
    Input(InputId),
    /// Pictures of this camera: newer ones took their place unread.
    Camera(CameraId),
}

/// Counters that zenoh's threads raise and the engine thread takes.
pub(crate) struct Overflow {
    routes: Box<[AtomicU64]>,
    resets: Box<[AtomicU64]>,
    clients: Box<[AtomicU64]>,
    inputs: Box<[AtomicU64]>,
    cameras: Box<[AtomicU64]>,
    strays: AtomicU64,
    queries: AtomicU64,
}

impl Overflow {
    pub(crate) fn new(routes: usize, clients: usize, inputs: usize, cameras: usize) -> Self {
        let counters = |count| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            routes: counters(routes),
            resets: counters(routes),
            clients: counters(clients),
            inputs: counters(inputs),
            cameras: counters(cameras),
            strays: AtomicU64::new(0),
            queries: AtomicU64::new(0),
        }
    }

    /// One more.
    pub(crate) fn add(&self, what: Overflowed) {
        let counter = match what {
            Overflowed::Route(route) => self.routes.get(route.index()).expect("a route's id is below their number"),
            Overflowed::Resets(route) => self.resets.get(route.index()).expect("a route's id is below their number"),
            Overflowed::Client(client) => {
                self.clients.get(client.index()).expect("a client's id is below their number")
            }
            Overflowed::Input(input) => self.inputs.get(input.index()).expect("an input's id is below their number"),
            Overflowed::Camera(camera) => {
                self.cameras.get(camera.index()).expect("a camera's id is below their number")
            }
            Overflowed::Strays => &self.strays,
            Overflowed::Queries => &self.queries,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Reports every count that is not 0 and sets it to 0.
    pub(crate) fn take(&self, mut report: impl FnMut(Overflowed, u64)) {
        let routes = (0..).map(RouteId::new).map(Overflowed::Route).zip(&self.routes);
        let resets = (0..).map(RouteId::new).map(Overflowed::Resets).zip(&self.resets);
        let others = [(Overflowed::Strays, &self.strays), (Overflowed::Queries, &self.queries)];
        let clients = (0..).map(ClientId::new).map(Overflowed::Client).zip(&self.clients);
        let inputs = (0..).map(InputId::new).map(Overflowed::Input).zip(&self.inputs);
        let cameras = (0..).map(CameraId::new).map(Overflowed::Camera).zip(&self.cameras);
        for (what, counter) in routes.chain(resets).chain(others).chain(clients).chain(inputs).chain(cameras) {
            let count = counter.swap(0, Relaxed);
            if count > 0 {
                report(what, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_apart_and_taken_once() {
        let overflow = Overflow::new(2, 3, 2, 1);
        let second = Overflowed::Route(RouteId::new(1));
        let third = Overflowed::Client(ClientId::new(2));
        let sample = Overflowed::Input(InputId::new(1));
        let demand = Overflowed::Resets(RouteId::new(1));
        for what in [demand, second, Overflowed::Queries, third, second, sample, Overflowed::Strays, third] {
            overflow.add(what);
        }
        let mut taken = Vec::new();
        overflow.take(|what, count| taken.push((what, count)));
        let (strays, queries) = ((Overflowed::Strays, 1), (Overflowed::Queries, 1));
        assert_eq!(taken, [(second, 2), (demand, 1), strays, queries, (third, 2), (sample, 1)]);
        overflow.take(|what, count| panic!("{count} of {what:?} are left"));
    }
}
