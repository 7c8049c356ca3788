//! A camera: one topic whose newest picture joins the observations of one robot or of several. Its pictures are large and
//! take long to read, so a thread of its own receives them.

use crate::inbox::whole;
use crate::intake::{Content, Sampled};
use crate::mailbox::Collect;

/// The key of one camera, without a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraKeys {
    /// Where its pictures are published.
    pub pictures: String,
    /// The largest message in bytes; a larger one is counted, never copied.
    pub max_frame_bytes: usize,
}

/// A camera by its place in the list that was given to [`open`](crate::open()).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CameraId(u32);

impl CameraId {
    /// The camera at `index` of the list.
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

/// The newest picture of a camera.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// When it arrived.
    pub at_ns: u64,
    /// The message, lent for this call; `None`: it is larger than any of its camera, and nobody looked at its bytes.
    pub bytes: Option<&'a [u8]>,
}

/// The receiving end of one camera: wait-free. It belongs to a thread that may take its time.
pub struct Pictures {
    newest: Collect<Sampled>,
    /// Where a message in fragments is put together.
    assembly: Vec<u8>,
}

impl Pictures {
    pub(crate) fn new(newest: Collect<Sampled>) -> Self {
        Self { newest, assembly: Vec::new() }
    }

    /// Lends the newest picture to `read`, if one waits. Where there is none, the next one's arrival is told.
    pub fn receive<R>(&mut self, read: impl FnOnce(Picture<'_>) -> R) -> Option<R> {
        let Self { newest, assembly } = self;
        newest.receive(|Sampled { at_ns, content }| {
            let bytes = match content {
                Content::Bytes(payload) => Some(whole(payload, assembly)),
                Content::Oversize => None,
            };
            read(Picture { at_ns: *at_ns, bytes })
        })
    }
}
