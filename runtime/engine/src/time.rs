//! The engine's own time: nanoseconds on the box's monotonic clock, always handed in, never read.

use core::time::Duration as StdDuration;

const NANOS_PER_MICRO: u64 = 1_000;
const NANOS_PER_SECOND: f32 = 1e9;

/// A point on the box's monotonic clock, in nanoseconds since an origin that never changes within a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin: before anything that happens.
    pub(crate) const ORIGIN: Self = Self(0);
    /// Later than anything that happens: "no timer".
    pub const NEVER: Self = Self(u64::MAX);

    /// From nanoseconds on the box's monotonic clock.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds on the box's monotonic clock.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// This instant and `span` later; saturates at [`Instant::NEVER`].
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// `span` before this instant; saturates at the origin.
    #[must_use]
    pub const fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; zero if it is not later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

/// The box's wall clock beside its monotonic one, as of one moment. Handed in with what needs it, never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    unix_at_origin: u64,
}

impl WallClock {
    /// From the Unix time in nanoseconds at the monotonic clock's origin: the wall clock less the monotonic one.
    #[must_use]
    pub const fn from_unix_at_origin(nanos: u64) -> Self {
        Self { unix_at_origin: nanos }
    }

    /// The Unix time in nanoseconds at this instant.
    #[must_use]
    pub(crate) const fn at(self, instant: Instant) -> u64 {
        self.unix_at_origin.saturating_add(instant.0)
    }
}

/// A length of time, in nanoseconds.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From microseconds; saturates.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(NANOS_PER_MICRO))
    }

    /// This span and another; saturates.
    #[must_use]
    pub(crate) const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// This span less another; zero if that is longer.
    #[must_use]
    pub(crate) const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// This span so many times over; saturates.
    #[must_use]
    pub(crate) const fn times(self, factor: u16) -> Self {
        Self(self.0.saturating_mul(factor as u64))
    }

    /// Whole nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole microseconds, saturating at the 71 minutes that the wire's fields hold.
    #[must_use]
    pub fn wire_micros(self) -> u32 {
        u32::try_from(self.0 / NANOS_PER_MICRO).unwrap_or(u32::MAX)
    }

    /// Seconds, for rates.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a step is at most seconds: 24 bits of nanoseconds is finer than any rate limit"
    )]
    pub const fn seconds(self) -> f32 {
        self.0 as f32 / NANOS_PER_SECOND
    }
}

impl From<Duration> for StdDuration {
    fn from(span: Duration) -> Self {
        Self::from_nanos(span.0)
    }
}
