//! The robot's own monotonic clock, and sleeping on it.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on `CLOCK_MONOTONIC`, which the box does not share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The moment with this many nanoseconds; also how a stamp comes back.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds, for a stamp.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        #[allow(unsafe_code, reason = "std's Instant cannot be slept until")]
        // SAFETY: `time` is a timespec that lives through the call.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
        assert_eq!(failed, 0, "every Linux has a monotonic clock");
        let part = |value: libc::c_long| u64::try_from(value).expect("the monotonic clock starts at 0");
        Self(part(time.tv_sec) * NANOS_PER_S + part(time.tv_nsec))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Sleeps until this moment; not at all if it has passed.
    pub fn sleep(self) {
        let part = |value: u64| libc::c_long::try_from(value).expect("a moment fits a timespec");
        let until = libc::timespec { tv_sec: part(self.0 / NANOS_PER_S), tv_nsec: part(self.0 % NANOS_PER_S) };
        loop {
            #[allow(unsafe_code, reason = "std sleeps for a time, not until one: the loop would drift")]
            // SAFETY: `until` lives through the call, and an absolute sleep writes no remainder.
            let result = unsafe {
                libc::clock_nanosleep(
                    libc::CLOCK_MONOTONIC,
                    libc::TIMER_ABSTIME,
                    &raw const until,
                    std::ptr::null_mut(),
                )
            };
            match result {
                libc::EINTR => {}
                _ => return,
            }
        }
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        let nanos = u64::try_from(later.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        let nanos = u64::try_from(earlier.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

const NANOS_PER_S: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_never_ends_early() {
        let due = Moment::now() + Duration::from_millis(2);
        due.sleep();
        assert!(Moment::now() >= due);
        due.sleep();
    }

    #[test]
    fn nothing_is_before_the_past() {
        let (early, late) = (Moment::from_nanos(5), Moment::from_nanos(9));
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early - Duration::from_secs(1), Moment::from_nanos(0));
    }
}
