//! A client's ledger: what became of each of its requests. `peers/client.py` keeps the same.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How requests ended. They add up to `sent`; `strays` and `age_breaches` stand beside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    /// The model's actions in time, ...
    pub(crate) model: u64,
    /// ... and not.
    pub(crate) model_late: u64,
    pub(crate) fallback: u64,
    pub(crate) fallback_late: u64,
    /// Answered by an action or fallback to a newer observation.
    pub(crate) superseded: u64,
    pub(crate) superseded_late: u64,
    /// A typed refusal.
    pub(crate) refused: u64,
    /// Any other error.
    pub(crate) failed: u64,
    /// Nothing came, until well after the last request.
    pub(crate) unanswered: u64,
    /// Answers to nothing that was open.
    pub(crate) strays: u64,
    /// Answers that left the box later than the deadline, as they say themselves: the box's fault, not the link's.
    pub(crate) age_breaches: u64,
}

impl Counts {
    /// Each way in which a request ends.
    fn ends(&self) -> [u64; 9] {
        let Self { model, model_late, fallback, fallback_late, superseded, superseded_late, .. } = *self;
        let Self { refused, failed, unanswered, .. } = *self;
        [model, model_late, fallback, fallback_late, superseded, superseded_late, refused, failed, unanswered]
    }

    pub(crate) fn add_up(&self) -> bool {
        self.ends().iter().sum::<u64>() == self.sent
    }

    /// Actions and fallbacks that came.
    pub(crate) fn answers(&self) -> u64 {
        self.model + self.model_late + self.fallback + self.fallback_late
    }

    /// Actions and fallbacks that came after their deadline.
    pub(crate) fn late(&self) -> u64 {
        self.model_late + self.fallback_late + self.superseded_late
    }

    /// Requests to which an action or fallback came in time, their own or a newer one's.
    pub(crate) fn on_time(&self) -> u64 {
        self.model + self.fallback + self.superseded
    }
}

/// What a client leaves when it ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Round trips of all actions and fallbacks.
    pub(crate) times_us: Vec<f64>,
    /// The first action of the model: every server's must be the same.
    pub(crate) action: Vec<f32>,
    /// From the first to the last request.
    pub(crate) seconds: f64,
    /// Of each request that no action or fallback answered in time.
    pub(crate) not_on_time: Vec<Window>,
    /// Of each that a fallback answered in time.
    pub(crate) fell_back: Vec<Window>,
}

/// From a request to its deadline, in nanoseconds of `CLOCK_MONOTONIC`, which all processes share.
pub(crate) type Window = (u64, u64);

/// What came back.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) robot: usize,
    pub(crate) sequence: u64,
    pub(crate) said: Said,
}

/// What it says.
#[derive(Debug)]
pub(crate) enum Said {
    Model { action: Vec<f32>, age_us: u32 },
    Fallback { age_us: u32 },
    Refusal,
    Failure,
}

/// The requests that are open, and what became of the others.
pub(crate) struct Ledger {
    deadline: Duration,
    /// Whether an answer answers older requests of its robot as well.
    supersedes: bool,
    open: Vec<BTreeMap<u64, Instant>>,
    counts: Counts,
    times_us: Vec<f64>,
    action: Vec<f32>,
    not_on_time: Vec<Window>,
    fell_back: Vec<Window>,
    /// The same moment on two clocks.
    epoch: (Instant, u64),
}

impl Ledger {
    pub(crate) fn new(robots: usize, deadline: Duration, supersedes: bool) -> Self {
        let open = (0..robots).map(|_| BTreeMap::new()).collect();
        let epoch = (Instant::now(), monotonic_ns());
        let (counts, times_us, action, not_on_time, fell_back) = Default::default();
        Self { deadline, supersedes, open, counts, times_us, action, not_on_time, fell_back, epoch }
    }

    fn window(&self, sent: Instant) -> Window {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).expect("a run of less than centuries");
        let begun = self.epoch.1 + nanos(sent.saturating_duration_since(self.epoch.0));
        (begun, begun + nanos(self.deadline))
    }

    pub(crate) fn sent(&mut self, robot: usize, sequence: u64, at: Instant) {
        self.counts.sent += 1;
        self.open[robot].insert(sequence, at);
    }

    pub(crate) fn arrived(&mut self, arrival: Arrival) {
        let Arrival { at, robot, sequence, said } = arrival;
        let Some(sent) = self.open[robot].remove(&sequence) else {
            self.counts.strays += 1;
            return;
        };
        let late = at - sent > self.deadline;
        let window = self.window(sent);
        match said {
            Said::Fallback { .. } if !late => self.fell_back.push(window),
            Said::Refusal | Said::Failure => self.not_on_time.push(window),
            Said::Model { .. } | Said::Fallback { .. } if late => self.not_on_time.push(window),
            Said::Model { .. } | Said::Fallback { .. } => {}
        }
        let age_us = match said {
            Said::Refusal => {
                self.counts.refused += 1;
                return;
            }
            Said::Failure => {
                self.counts.failed += 1;
                return;
            }
            Said::Model { action, age_us } => {
                *(if late { &mut self.counts.model_late } else { &mut self.counts.model }) += 1;
                if self.action.is_empty() {
                    self.action = action;
                }
                age_us
            }
            Said::Fallback { age_us } => {
                *(if late { &mut self.counts.fallback_late } else { &mut self.counts.fallback }) += 1;
                age_us
            }
        };
        self.times_us.push((at - sent).as_secs_f64() * 1e6);
        self.counts.age_breaches += u64::from(u128::from(age_us) > self.deadline.as_micros());
        if self.supersedes {
            self.supersede(robot, sequence, at);
        }
    }

    fn supersede(&mut self, robot: usize, sequence: u64, at: Instant) {
        let newer = self.open[robot].split_off(&sequence);
        for sent in std::mem::replace(&mut self.open[robot], newer).into_values() {
            if at - sent > self.deadline {
                self.counts.superseded_late += 1;
                self.not_on_time.push(self.window(sent));
            } else {
                self.counts.superseded += 1;
            }
        }
    }

    pub(crate) fn waits(&self) -> bool {
        self.open.iter().any(|open| !open.is_empty())
    }

    pub(crate) fn close(mut self, seconds: f64) -> Kept {
        let unanswered: Vec<Window> =
            self.open.iter().flat_map(BTreeMap::values).map(|sent| self.window(*sent)).collect();
        self.counts.unanswered = unanswered.len() as u64;
        self.not_on_time.extend(unanswered);
        let Self { counts, times_us, action, not_on_time, fell_back, .. } = self;
        Kept { counts, times_us, action, seconds, not_on_time, fell_back }
    }
}

/// What every process of this machine reads alike.
#[allow(unsafe_code, reason = "std does not say what its clock reads")]
pub(crate) fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec to write to.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    let part = |value: libc::c_long| u64::try_from(value).expect("time since the boot is not negative");
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn action() -> Said {
        Said::Model { action: vec![1.0], age_us: 0 }
    }

    /// Robot 0 asks at 0, 1, 2 ms; then these arrive.
    fn ended(supersedes: bool, arrivals: Vec<(u64, u64, Said)>) -> Counts {
        let begun = Instant::now();
        let mut ledger = Ledger::new(1, ms(10), supersedes);
        for sequence in 1..=3 {
            ledger.sent(0, sequence, begun + ms(sequence - 1));
        }
        for (at, sequence, said) in arrivals {
            ledger.arrived(Arrival { at: begun + ms(at), robot: 0, sequence, said });
        }
        let Kept { counts, not_on_time, fell_back, .. } = ledger.close(1.0);
        assert!(counts.add_up(), "{counts:?}");
        assert_eq!(not_on_time.len() as u64, counts.sent - counts.on_time());
        assert_eq!(fell_back.len() as u64, counts.fallback);
        counts
    }

    #[test]
    fn an_answer_is_in_time_or_late() {
        let counts = ended(false, vec![(10, 1, action()), (12, 2, action()), (3, 3, Said::Refusal)]);
        assert_eq!((counts.model, counts.model_late, counts.refused), (1, 1, 1));
    }

    #[test]
    fn a_newer_answer_supersedes_only_where_the_server_says_so() {
        let counts = ended(true, vec![(11, 3, Said::Fallback { age_us: 0 })]);
        assert_eq!((counts.fallback, counts.superseded, counts.superseded_late), (1, 1, 1));
        let counts = ended(false, vec![(11, 3, Said::Fallback { age_us: 0 })]);
        assert_eq!((counts.fallback, counts.unanswered), (1, 2));
    }

    #[test]
    fn a_second_answer_is_a_stray_and_an_old_one_breaches() {
        let old = Said::Fallback { age_us: 10_001 };
        let counts = ended(false, vec![(1, 1, action()), (2, 1, action()), (3, 2, old)]);
        assert_eq!((counts.strays, counts.age_breaches, counts.unanswered), (1, 1, 1));
    }
}
