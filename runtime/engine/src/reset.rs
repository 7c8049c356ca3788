//! reset: a controller's demand that its connection's state begins anew, or the reason why it is refused.
//!
//! It is answered by nothing but the mark on the first action that follows from it. Each is counted: received is accepted
//! and refused together. It costs its connection's place in the queue, as an observation does, and holds no memory: a later demand
//! takes the place of one that has not taken effect.

use message::Reset;

use crate::{decode, engine::Engine, fault::Fault, reason::Reason, task::ConnectionId};

/// The demands on one connection since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetLedger {
    received: u64,
    accepted: u64,
    refused: u64,
    by_reason: [u64; Reason::COUNT],
}

impl Default for ResetLedger {
    fn default() -> Self {
        Self { received: 0, accepted: 0, refused: 0, by_reason: [0; Reason::COUNT] }
    }
}

impl ResetLedger {
    /// Demands that reached us, malformed and dropped ones included.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Demands that took or will take effect, or were replaced by a later one before they did.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// Demands that were refused.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Demands that were refused for this reason.
    #[must_use]
    pub fn by_reason(&self, reason: Reason) -> u64 {
        self.by_reason.get(reason.index()).copied().unwrap_or(0)
    }

    fn accept(&mut self) {
        self.received = self.received.saturating_add(1);
        self.accepted = self.accepted.saturating_add(1);
    }

    fn refuse(&mut self, reason: Reason, count: u64) {
        self.received = self.received.saturating_add(count);
        self.refused = self.refused.saturating_add(count);
        if let Some(counter) = self.by_reason.get_mut(reason.index()) {
            *counter = counter.saturating_add(count);
        }
    }
}

impl Engine<'_> {
    /// The demands on this connection.
    #[must_use]
    pub fn resets(&self, connection: ConnectionId) -> ResetLedger {
        self.peek(connection).resets
    }

    /// A demand arrived; `None`: one larger than any, which nobody looked into.
    pub(crate) fn reset(&mut self, id: ConnectionId, bytes: Option<&[u8]>) {
        match bytes.ok_or(Reason::TooLarge).and_then(|bytes| self.read_reset(id, bytes)) {
            Ok(reset) => {
                let connection = self.connection(id);
                connection.resets.accept();
                connection.state.demand(reset.from_sequence);
                connection.plans.demand(reset.from_sequence);
            }
            Err(reason) => self.connection(id).resets.refuse(reason, 1),
        }
    }

    /// So many demands found the connection's queue full.
    pub(crate) fn shed_resets(&mut self, id: ConnectionId, count: u64) {
        self.connection(id).resets.refuse(Reason::Overload, count);
    }

    fn read_reset(&self, id: ConnectionId, bytes: &[u8]) -> Result<Reset, Reason> {
        let reset = Reset::decode(bytes).map_err(decode::unreadable)?;
        let connection = self.peek(id);
        if reset.address != connection.spec.address {
            return Err(Reason::Address);
        }
        if reset.contract != self.task(id).contract() {
            return Err(Reason::Contract);
        }
        if connection.session.epoch() != Some(reset.epoch) && !self.fault.is(Fault::ResetOfAnyEpoch) {
            return Err(Reason::Epoch);
        }
        Ok(reset)
    }
}
