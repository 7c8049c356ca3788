//! What waits for the writer: bounded, and with a place for the outcome of every attempt that was let in, so that an
//! outcome always finds room. For threads of the default class only: it takes a lock.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    error::Refusal,
    receipt::Promise,
    record::{Intent, PolicyChange, Record},
    stamp::Stamp,
};

/// What the writer is asked for.
pub(super) enum Item {
    /// To be on the disk before the slot is answered.
    Intent { at: Stamp, intent: Box<Intent>, slot: Promise },
    /// Likewise.
    Policy { at: Stamp, change: PolicyChange, slot: Promise },
    /// An outcome or a refusal: nobody waits.
    Note { at: Stamp, record: Record },
}

pub(super) struct Queue {
    inner: Mutex<Inner>,
    wake: Condvar,
    capacity: usize,
}

struct Inner {
    items: VecDeque<Item>,
    /// Places of outcomes that are to come.
    reserved: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let inner = Inner { items: VecDeque::with_capacity(capacity), reserved: 0, closed: false };
        Self { inner: Mutex::new(inner), wake: Condvar::new(), capacity }
    }

    /// An intent takes a place, and one for its outcome.
    pub(super) fn push_intent(&self, item: Item) -> Result<(), Refusal> {
        let mut inner = self.room(2)?;
        inner.reserved += 1;
        self.push(inner, item);
        Ok(())
    }

    /// A refusal or a policy takes a place.
    pub(super) fn push_other(&self, item: Item) -> Result<(), Refusal> {
        let inner = self.room(1)?;
        self.push(inner, item);
        Ok(())
    }

    /// An outcome takes the place that its intent reserved. Of a closed journal it comes too late.
    pub(super) fn push_outcome(&self, item: Item) {
        let mut inner = self.lock();
        inner.reserved = inner.reserved.checked_sub(1).expect("each intent reserves one place for one outcome");
        if !inner.closed {
            self.push(inner, item);
        }
    }

    /// The intent was refused, so no outcome comes.
    pub(super) fn release(&self) {
        let mut inner = self.lock();
        inner.reserved = inner.reserved.checked_sub(1).expect("each intent reserves one place for one outcome");
    }

    /// Nothing is taken from here on. What waits is still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Nobody writes any more: what waits is answered so.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        let items = std::mem::take(&mut inner.items);
        drop(inner);
        drop(items);
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().items.len()
    }

    pub(super) fn open_attempts(&self) -> usize {
        self.lock().reserved
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// For the writer: moves up to `most` items to `out`; waits for the first up to `patience`. False once closed and empty.
    pub(super) fn take(&self, out: &mut Vec<Item>, most: usize, patience: Option<Duration>) -> bool {
        let idle = |inner: &mut Inner| inner.items.is_empty() && !inner.closed;
        let inner = self.lock();
        let mut inner = match patience {
            Some(patience) => {
                self.wake.wait_timeout_while(inner, patience, idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.wake.wait_while(inner, idle).unwrap_or_else(PoisonError::into_inner),
        };
        let count = inner.items.len().min(most);
        out.extend(inner.items.drain(..count));
        !(inner.closed && out.is_empty())
    }

    fn room(&self, places: usize) -> Result<MutexGuard<'_, Inner>, Refusal> {
        let inner = self.lock();
        if inner.closed {
            return Err(Refusal::Closed);
        }
        if inner.items.len() + inner.reserved + places > self.capacity {
            return Err(Refusal::Full { capacity: self.capacity });
        }
        Ok(inner)
    }

    fn push(&self, mut inner: MutexGuard<'_, Inner>, item: Item) {
        inner.items.push_back(item);
        drop(inner);
        self.wake.notify_one();
    }

    /// Nothing that is done under the lock can leave it half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::stamp::ClockQuality;

    fn note() -> Item {
        let clock = ClockQuality { synchronised: false, error_us: None };
        let at = Stamp { wall_ns: 0, monotonic_ns: 0, clock };
        Item::Note { at, record: Record::Closed(crate::chain::record::Closed {}) }
    }

    #[test]
    fn an_outcome_finds_room_however_full_it_is() {
        let queue = Queue::new(4);
        queue.push_intent(note()).expect("room for an intent and its outcome");
        queue.push_other(note()).expect("room");
        assert_eq!(queue.push_intent(note()), Err(Refusal::Full { capacity: 4 }));
        queue.push_other(note()).expect("the last place");
        assert_eq!(queue.push_other(note()), Err(Refusal::Full { capacity: 4 }));
        queue.push_outcome(note());

        let mut out = Vec::new();
        assert!(queue.take(&mut out, 3, None));
        assert_eq!((out.len(), queue.waiting(), queue.open_attempts()), (3, 1, 0));
    }

    #[test]
    fn what_waits_when_it_is_closed_is_still_taken() {
        let queue = Queue::new(4);
        queue.push_other(note()).expect("room");
        queue.close();
        assert_eq!(queue.push_other(note()), Err(Refusal::Closed));
        let mut out = Vec::new();
        assert!(queue.take(&mut out, 8, None));
        out.clear();
        assert!(!queue.take(&mut out, 8, None));
    }
}
