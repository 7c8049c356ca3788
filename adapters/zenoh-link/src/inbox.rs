//! The receiving side of whoever works with the engine.

use message::Header;
use zenoh::bytes::ZBytes;

use crate::client::ClientId;
use crate::input::InputId;
use crate::intake::{Arrived, Asked, Content, LARGEST_STRAY, Outlets, RouteOutlet, Sampled, Stray, Topic};
use crate::overflow::Overflowed;
use crate::query::PendingQuery;
use crate::route::RouteId;

/// What reached the box. All times are nanoseconds of the clock given to [`open`](crate::open()),
/// taken first thing when zenoh handed it over.
#[derive(Debug, Clone, Copy)]
pub enum Arrival<'a> {
    /// A complete frame, not larger than its route allows.
    Frame {
        /// Whose it is.
        route: RouteId,
        /// When it arrived.
        at_ns: u64,
        /// The frame, lent for this call.
        bytes: &'a [u8],
    },
    /// A frame larger than its route allows. Nobody looked at its bytes.
    Oversize {
        /// Whose it is.
        route: RouteId,
        /// When it arrived.
        at_ns: u64,
    },
    /// A frame that found its route's queue full.
    Shed {
        /// Whose it is.
        route: RouteId,
        /// When it arrived.
        at_ns: u64,
        /// What a refusal echoes; `None` where it could not be read cheaply and surely.
        header: Option<Header>,
    },
    /// A controller's demand that its state begins anew.
    Reset {
        /// Whose it is.
        route: RouteId,
        /// The frame, lent for this call; `None`: it is larger than any, and nobody looked at its bytes.
        bytes: Option<&'a [u8]>,
    },
    /// A frame on a key that is no route's: a robot or task that is not configured, or a key with a
    /// wildcard.
    Stray {
        /// Where it was published.
        key: &'a str,
        /// When it arrived.
        at_ns: u64,
        /// The frame, lent for this call; empty where it is larger than 64 KiB.
        bytes: &'a [u8],
    },
}

/// A one-off request. Whoever takes it gets its query as well.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose it is.
    pub client: ClientId,
    /// When it arrived.
    pub at_ns: u64,
    /// The frame, lent for this call; `None`: it is larger than its client may send, and nobody looked at its bytes.
    pub bytes: Option<&'a [u8]>,
}

/// The newest sample of a joined input.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Whose it is.
    pub input: InputId,
    /// When it arrived.
    pub at_ns: u64,
    /// The frame, lent for this call; `None`: it is larger than any of its input, and nobody looked at its bytes.
    pub bytes: Option<&'a [u8]>,
}

/// The deciding end of every queue: wait-free, and without an allocation for a frame.
pub struct Inbox {
    outlets: Outlets,
    /// Where a frame in fragments is put together.
    assembly: Vec<u8>,
}

impl Inbox {
    pub(crate) fn new(outlets: Outlets, largest_frame: usize) -> Self {
        let assembly = Vec::with_capacity(largest_frame.max(LARGEST_STRAY));
        Self { outlets, assembly }
    }

    /// One fair round: of every route at most one frame and four sheds, then at most one stray. Returns whether
    /// anything may be left.
    pub fn poll(&mut self, mut each: impl FnMut(Arrival<'_>)) -> bool {
        let Self { outlets, assembly } = self;
        let mut left = false;
        for (route, outlet) in (0..).map(RouteId::new).zip(&mut outlets.routes) {
            left |= poll_route(route, outlet, assembly, &mut each);
        }
        outlets.strays.receive(|Stray { at_ns, key, payload }| {
            let bytes = whole(payload, assembly);
            each(Arrival::Stray { key: key.as_str(), at_ns: *at_ns, bytes });
        });
        left || !outlets.strays.is_empty()
    }

    /// Of this route at most one frame and four sheds. Returns whether anything of it may be left.
    pub fn poll_route(&mut self, route: RouteId, mut each: impl FnMut(Arrival<'_>)) -> bool {
        let Self { outlets, assembly } = self;
        outlets.routes.get_mut(route.index()).is_some_and(|outlet| poll_route(route, outlet, assembly, &mut each))
    }

    /// The oldest request of this client, if there is one, lent to `each`. Returns whether another one is left.
    ///
    /// Whoever takes it must keep the query, or hand it to a thread that may block: see [`PendingQuery`]. One that
    /// nobody takes stays.
    pub fn poll_client(&mut self, client: ClientId, each: impl FnOnce(Request<'_>, PendingQuery)) -> bool {
        let Self { outlets, assembly } = self;
        let Some(requests) = outlets.clients.get_mut(client.index()) else {
            return false;
        };
        requests.take(|Asked { at_ns, content, query }| {
            let bytes = match &content {
                Content::Bytes(payload) => Some(whole(payload, assembly)),
                Content::Oversize => None,
            };
            each(Request { client, at_ns, bytes }, query);
            (content, ())
        });
        !requests.is_empty()
    }

    /// The newest sample of this joined input, if one waits, lent to `each`.
    pub fn poll_input(&mut self, input: InputId, each: impl FnOnce(Sample<'_>)) {
        let Self { outlets, assembly } = self;
        if let Some(place) = outlets.inputs.get_mut(input.index()) {
            place.receive(|Sampled { at_ns, content }| {
                let bytes = match content {
                    Content::Bytes(payload) => Some(whole(payload, assembly)),
                    Content::Oversize => None,
                };
                each(Sample { input, at_ns: *at_ns, bytes });
            });
        }
    }

    /// How many joined inputs there are.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.outlets.inputs.len()
    }

    /// The oldest query on a topic's key. Whoever takes it must hand it to a thread that may block: see
    /// [`PendingQuery`]. One that nobody takes stays, and those beyond 31 overflow.
    pub fn take_query(&mut self) -> Option<PendingQuery> {
        self.outlets.queries.dequeue()
    }

    /// How many frames, queries and requests reached the box since the last call, but found their queues full and could only
    /// be counted. Reports no zeros.
    pub fn take_overflow(&mut self, report: impl FnMut(Overflowed, u64)) {
        self.outlets.overflow.take(report);
    }
}

const SHEDS_PER_ROUND: usize = 4;

fn poll_route(
    route: RouteId,
    outlet: &mut RouteOutlet,
    assembly: &mut Vec<u8>,
    each: &mut impl FnMut(Arrival<'_>),
) -> bool {
    outlet.frames.receive(|Arrived { at_ns, topic, content }| {
        let bytes = match content {
            Content::Bytes(payload) => Some(whole(payload, assembly)),
            Content::Oversize => None,
        };
        each(match (topic, bytes) {
            (Topic::Observation, Some(bytes)) => Arrival::Frame { route, at_ns: *at_ns, bytes },
            (Topic::Observation, None) => Arrival::Oversize { route, at_ns: *at_ns },
            (Topic::Reset, bytes) => Arrival::Reset { route, bytes },
        });
    });
    for _ in 0..SHEDS_PER_ROUND {
        let Some(shed) = outlet.sheds.dequeue() else {
            break;
        };
        each(Arrival::Shed { route, at_ns: shed.at_ns, header: shed.header });
    }
    !outlet.frames.is_empty() || !outlet.sheds.is_empty()
}

/// The payload in one piece: as it lies, or put together in `assembly`, which has room for it.
pub(crate) fn whole<'a>(payload: &'a ZBytes, assembly: &'a mut Vec<u8>) -> &'a [u8] {
    let mut slices = payload.slices();
    let first = slices.next().unwrap_or_default();
    if first.len() == payload.len() {
        return first;
    }
    assembly.clear();
    assembly.extend_from_slice(first);
    for slice in slices {
        assembly.extend_from_slice(slice);
    }
    assembly
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contiguous_payload_is_not_copied() {
        let payload = ZBytes::from(vec![7; 100]);
        let mut assembly = Vec::new();
        assert_eq!(whole(&payload, &mut assembly), [7; 100]);
        assert_eq!(assembly.capacity(), 0);
        assert_eq!(whole(&ZBytes::new(), &mut assembly), [0; 0]);
    }

    #[test]
    fn fragments_are_put_together_in_place() {
        let mut writer = ZBytes::writer();
        for byte in 0..10 {
            writer.append(ZBytes::from(vec![byte; 10]));
        }
        let payload = writer.finish();
        assert!(payload.slices().count() > 1);

        let mut assembly = Vec::with_capacity(100);
        let place = assembly.as_ptr();
        let bytes = whole(&payload, &mut assembly);
        assert_eq!(bytes, payload.to_bytes().as_ref());
        assert_eq!(bytes.as_ptr(), place, "the buffer was not allocated anew");
    }
}
