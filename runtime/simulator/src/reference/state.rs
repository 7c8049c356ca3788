//! The reference model's state: what a connection remembers since when, and when it begins anew.

/// What the last sends of an epoch leave behind.
#[derive(Debug, Default)]
pub(super) struct State {
    /// When the first observation arrived since it was fresh, and when the last action left.
    remembers: Option<(u64, u64)>,
    pub(super) demanded: Option<u64>,
}

/// From what an inference started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) fresh: bool,
    since: u64,
}

impl State {
    pub(super) fn start(&mut self, now: u64, max_gap: u64, (sequence, arrival): (u64, u64)) -> Start {
        if self.demanded.is_some_and(|from| from <= sequence) {
            *self = Self::default();
        }
        self.remembers = self.remembers.filter(|(_, last)| *last + max_gap >= now);
        Start { fresh: self.remembers.is_none(), since: self.remembers.map_or(arrival, |(since, _)| since) }
    }

    pub(super) fn advance(&mut self, start: Start, at: u64) {
        self.remembers = Some((start.since, at));
    }
}
