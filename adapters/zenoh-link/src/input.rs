//! What a joined input is: one topic whose newest sample joins a robot's observations, by its key.

/// The key of one joined input of one robot's task, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputKeys {
    /// Where its samples are published.
    pub samples: String,
    /// The largest sample's frame in bytes; a larger one is counted, never copied.
    pub max_frame_bytes: usize,
}

/// A joined input by its place in the list that was given to [`open`](crate::open()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputId(u32);

impl InputId {
    /// The input at `index` of the list.
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
