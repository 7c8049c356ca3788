//! What a route is: one robot's task, by its keys.

/// How many frames of one route wait at most. The next one is shed.
///
/// Two frames would do for an engine thread that is never late. The rest is for a controller at
/// 1 kHz while the engine thread is held up for some milliseconds: it then gets refusals of its
/// oldest frames by their deadline, with a reason that says more than "shed".
pub const ROUTE_CAPACITY: usize = 15;

/// The keys of one robot's task, none of them with a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteKeys {
    /// Where the controller publishes observations.
    pub observation: String,
    /// Where the box publishes responses.
    pub response: String,
    /// Where the box publishes notices.
    pub notice: String,
    /// Where the controller demands that its state begins anew; `None`: its task's model remembers nothing.
    pub reset: Option<String>,
    /// The largest observation frame in bytes; a larger one is counted, never copied.
    pub max_frame_bytes: usize,
}

/// A route by its place in the list that was given to [`open`](crate::open()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(u32);

impl RouteId {
    /// The route at `index` of the list.
    #[must_use]
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The place in the list.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
