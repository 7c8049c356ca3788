//! Rests. Without them the kernel takes the processor from busy real-time threads for 50 ms of each second, so that
//! others may live: a pause of its own that no box meets whose controllers leave gaps.

use std::time::Duration;

/// Less than the kernel's default period of 1 s.
const WORK: Duration = Duration::from_millis(700);
/// More than what the kernel would take of a second.
const REST: Duration = Duration::from_millis(70);

/// Work since the last rest.
pub(super) struct Breath {
    /// The clock's nanoseconds at the end of the last rest.
    since: u64,
    worked: u64,
    inferences: u32,
}

impl Breath {
    pub(super) fn new(now: u64) -> Self {
        Self { since: now, worked: 0, inferences: 0 }
    }

    /// After an inference, and so much work since the last one: until when to rest now.
    pub(super) fn after(&mut self, now: u64, worked: u64) -> Option<u64> {
        self.worked += worked;
        self.inferences += 1;
        let passed = Duration::from_nanos(now - self.since);
        // What follows a rest is not counted: of two long inferences one must be.
        if passed < WORK || self.inferences < 2 {
            return None;
        }
        let idle = passed.saturating_sub(Duration::from_nanos(self.worked));
        let rested = idle >= REST;
        let until = if rested { now } else { now + nanos(REST) };
        *self = Self::new(until);
        (!rested).then_some(until)
    }
}

/// In the clock's nanoseconds.
pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// When it rested, of so many inferences of one length, each this long after the last.
    fn rests(inferences: u64, length: u64, pause: u64) -> Vec<u64> {
        let (mut now, mut breath, mut rests) = (0, Breath::new(0), Vec::new());
        for _ in 0..inferences {
            now += length;
            if let Some(until) = breath.after(now, length) {
                rests.push(now);
                now = until;
            }
            now += pause;
        }
        rests
    }

    #[test]
    fn busy_threads_rest_in_every_second() {
        assert_eq!(rests(2_400, MS, 0), [700 * MS, 1_470 * MS, 2_240 * MS]);
    }

    #[test]
    fn pauses_are_rests() {
        assert!(rests(200, MS, 10 * MS).is_empty());
    }

    #[test]
    fn every_second_long_inference_counts() {
        assert_eq!(rests(4, 800 * MS, 0), [1_600 * MS, 3_270 * MS]);
    }
}
