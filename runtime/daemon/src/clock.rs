//! The box's one clock: `CLOCK_MONOTONIC`, in nanoseconds.

use engine::Instant;

/// The box's monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(nanos())
}

/// The same, for those who must not know the engine.
#[allow(unsafe_code, reason = "std's Instant does not give its nanoseconds")]
pub(crate) fn nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; CLOCK_MONOTONIC exists on every Linux.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert!(result == 0, "CLOCK_MONOTONIC can be read on every Linux");
    let seconds = u64::try_from(time.tv_sec).expect("monotonic time is not negative");
    let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are not negative");
    seconds * 1_000_000_000 + nanos
}
