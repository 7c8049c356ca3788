//! The moment of a record: wall clock, monotonic clock, and how good the kernel says that the wall clock is.

use std::{mem, time};

use journal::chain::{ClockQuality, Stamp};

use crate::clock;

/// Now.
pub(super) fn now() -> Stamp {
    let wall = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap_or_default();
    Stamp {
        wall_ns: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
        monotonic_ns: clock::nanos(),
        clock: quality(),
    }
}

#[allow(unsafe_code, reason = "std does not know what disciplines the clock")]
fn quality() -> ClockQuality {
    // SAFETY: a timex is plain numbers, and with no mode set the call only reads.
    let mut state: libc::timex = unsafe { mem::zeroed() };
    // SAFETY: `state` lives through the call.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    if result < 0 {
        return ClockQuality { synchronised: false, error_us: None };
    }
    let synchronised = result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0;
    ClockQuality { synchronised, error_us: u64::try_from(state.maxerror).ok() }
}
