//! The box's one clock: `CLOCK_MONOTONIC`, in nanoseconds; and the wall clock beside it, for stamps only.

use engine::{Instant, WallClock};

/// The box's monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::from_nanos(nanos())
}

/// The box's wall clock beside it, as of now.
pub(crate) fn wall() -> WallClock {
    // Read between two readings of the other, and held against their middle.
    let before = nanos();
    let unix = read(libc::CLOCK_REALTIME);
    let middle = before + (nanos() - before) / 2;
    WallClock::from_unix_at_origin(unix.saturating_sub(middle))
}

/// The monotonic clock, for those who must not know the engine.
pub(crate) fn nanos() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

#[allow(unsafe_code, reason = "std's Instant does not give its nanoseconds")]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; both clocks exist on every Linux.
    let result = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert!(result == 0, "CLOCK_MONOTONIC and CLOCK_REALTIME can be read on every Linux");
    // A wall clock that was set to before 1970 is as good as none: what it dates is too old.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).expect("nanoseconds are not negative");
    seconds * 1_000_000_000 + nanos
}
