//! What else holds for a response: marks that change nothing about its meaning.

/// A set of marks on a response. Bits that are not named here are sent as 0 and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Status(u32);

impl Status {
    /// No mark.
    pub const NONE: Self = Self(0);
    /// The box's tasks together do not fit their deadlines.
    pub const UNSCHEDULABLE: Self = Self(1);
    /// The model's timing has not been measured here, or its record is void.
    pub const UNMEASURED: Self = Self(1 << 1);
    /// A link runs without proof of who the peer is.
    pub const INSECURE: Self = Self(1 << 2);
    /// The envelope limited the rate of the values.
    pub const CLAMPED: Self = Self(1 << 3);
    /// What belongs to the connection started anew: a model's action that was computed from fresh state, or the
    /// first response that was sent in an epoch.
    pub const STATE_RESET: Self = Self(1 << 4);
    /// The box works with less than it was configured with, such as a quarantined worker.
    pub const DEGRADED: Self = Self(1 << 5);

    /// The marks among these bits; the others are ignored.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & KNOWN)
    }

    /// The bits on the wire.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// These marks and the others.
    #[must_use]
    pub const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of the others are among these.
    #[must_use]
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

const KNOWN: u32 = (1 << 6) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_are_ignored() {
        assert_eq!(Status::from_bits(u32::MAX).bits(), KNOWN);
        assert_eq!(Status::from_bits(!KNOWN), Status::NONE);
    }

    #[test]
    fn a_set_contains_what_it_was_given() {
        let status = Status::INSECURE.with(Status::CLAMPED);
        assert!(status.contains(Status::INSECURE));
        assert!(status.contains(Status::NONE));
        assert!(!status.contains(Status::INSECURE.with(Status::DEGRADED)));
    }
}
