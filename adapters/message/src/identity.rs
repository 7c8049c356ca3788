//! Who sent what, to whom, and under which contract: the newtypes that name things on the wire.

use core::fmt;
use core::num::NonZeroU64;

use crate::layout::CRC32C;

/// The robot and task that a message belongs to: the CRC-32C of `<robot>/<task>`, or of `<robot>/<task>/<input>`.
///
/// It tells a stray frame from a proper one; it is no secret and authenticates nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(u32);

impl Address {
    /// The address of a robot's task.
    #[must_use]
    pub const fn of(robot: &str, task: &str) -> Self {
        let mut digest = CRC32C.digest();
        digest.update(robot.as_bytes());
        digest.update(b"/");
        digest.update(task.as_bytes());
        Self(digest.finalize())
    }

    /// The address of a joined input of a robot's task.
    #[must_use]
    pub const fn of_input(robot: &str, task: &str, input: &str) -> Self {
        let mut digest = CRC32C.digest();
        digest.update(robot.as_bytes());
        digest.update(b"/");
        digest.update(task.as_bytes());
        digest.update(b"/");
        digest.update(input.as_bytes());
        Self(digest.finalize())
    }

    /// The address with this number on the wire.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// A digest of a task's contract: the names, order, units and limits of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractDigest([u8; 16]);

impl ContractDigest {
    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for ContractDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// The SHA-256 of a model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelDigest([u8; 32]);

impl ModelDigest {
    /// No model ran.
    pub const NONE: Self = Self([0; 32]);

    /// The digest with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// One start of a controller: a random number that the controller chose. It has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// One start of a joined input's sender: a random number that the sender chose. It has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(u64);

impl Source {
    /// The source with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// One start of the box: a number that the box chose. It has no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Boot(u64);

impl Boot {
    /// The boot with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// An observation's place in its epoch or a sample's in its source, at least 1. On the wire 0 says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(NonZeroU64);

impl Sequence {
    /// The sequence with this number, none for 0.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        match NonZeroU64::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number on the wire, at least 1.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0.get()
    }
}

/// The sender's own monotonic clock in nanoseconds. Opaque to everyone else, so it has no order
/// here; it is echoed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// The stamp with this number of nanoseconds.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number of nanoseconds on the wire.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
