//! The margin: how long before its deadline a fallback must fall due.
//!
//! Not less than the p99 of wake-up plus send, measured in the scheduling class that the engine runs in.

use std::{thread, time};

use engine::Duration;

use crate::clock;

/// How long is measured at each start and by `check`.
pub(crate) const MEASURED_FOR: time::Duration = time::Duration::from_secs(2);
const PERIOD: time::Duration = time::Duration::from_millis(1);

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) samples: usize,
}

/// Sleeps and sends on the calling thread, as the engine will, and times both together.
pub(crate) fn measure(mut send: impl FnMut()) -> Measured {
    let mut lateness = Vec::with_capacity(4096);
    let end = clock::nanos() + nanos(MEASURED_FOR);
    while clock::nanos() < end {
        let wanted = clock::nanos() + nanos(PERIOD);
        loop {
            let now = clock::nanos();
            if now >= wanted {
                break;
            }
            thread::park_timeout(time::Duration::from_nanos(wanted - now));
        }
        send();
        lateness.push(clock::nanos() - wanted);
    }
    lateness.sort_unstable();
    let quantile = |percent: usize| {
        let place = (lateness.len() * percent / 100).min(lateness.len().saturating_sub(1));
        Duration::from_nanos(lateness.get(place).copied().unwrap_or(0))
    };
    Measured { p50: quantile(50), p99: quantile(99), samples: lateness.len() }
}

fn nanos(span: time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
