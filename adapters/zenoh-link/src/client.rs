//! What a client is: one asker of one task's one-off requests, by its key.

/// The longest queue that a client may have.
pub const MAX_CLIENT_QUEUE: usize = 16;

/// How many of one client's requests wait here at most beyond its declared queue. Whoever decides takes them at once
/// unless it is busy, so this is for those that come in between.
pub const CLIENT_SLACK: usize = 2;

/// The key of one client's one-off requests, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKeys {
    /// Where the client asks by a query.
    pub infer: String,
    /// The largest request frame in bytes; a larger one is counted, never copied.
    pub max_frame_bytes: usize,
    /// How many requests wait at most, besides [`CLIENT_SLACK`]. At most [`MAX_CLIENT_QUEUE`]. The next one ends
    /// without a reply, unread.
    pub queue: usize,
}

/// A client by its place in the list that was given to [`open`](crate::open()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u32);

impl ClientId {
    /// The client at `index` of the list.
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
