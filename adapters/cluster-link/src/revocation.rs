//! A policy that changes while something is on its way. Between a rule and its send lies a handshake and a write to disk:
//! what was ruled before a change is not sent after it, and what is being sent against the new policy is cut.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::{connection::Cargo, gate::Carried};

/// How often the policy had changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// The policy changed since the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed;

/// What all connections of a link carried, and the epoch.
#[derive(Default)]
pub(crate) struct Revocation {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    epoch: u64,
    cargoes: Vec<Weak<Cargo>>,
}

impl Revocation {
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.lock().epoch)
    }

    /// From now on a connection can be cut.
    pub(crate) fn know(&self, cargo: &Arc<Cargo>) {
        let mut inner = self.lock();
        inner.cargoes.retain(|known| known.strong_count() > 0);
        inner.cargoes.push(Arc::downgrade(cargo));
    }

    /// Sends by `send`, unless the policy changed since `epoch`. No change comes in between.
    pub(crate) fn begin<T>(
        &self,
        epoch: Epoch,
        cargo: &Cargo,
        carried: &Carried,
        send: impl FnOnce() -> T,
    ) -> Result<T, Changed> {
        let inner = self.lock();
        if inner.epoch != epoch.0 {
            return Err(Changed);
        }
        cargo.carry(carried);
        Ok(send())
    }

    /// Cuts each connection that ever carried something that no longer holds, and says how many.
    pub(crate) fn revoke(&self, mut holds: impl FnMut(&Carried) -> bool) -> usize {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.cargoes.iter().filter_map(Weak::upgrade).filter(|cargo| cargo.revoke(&mut holds)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
