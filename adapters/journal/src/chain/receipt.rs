//! What an attempt gets for its intent: first a promise, then, once the intent is on the disk, the right to send.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use super::{
    error::Refusal,
    queue::{Item, Queue},
    record::{Ended, Latency, Outcome, Record},
    stamp::Clock,
};

/// Where the writer leaves its answer.
#[derive(Default)]
pub(super) struct Slot {
    inner: Mutex<Inner>,
    answered: Condvar,
}

#[derive(Default)]
struct Inner {
    answer: Option<Result<u64, Refusal>>,
    waker: Option<Waker>,
    answered: bool,
    /// Whoever waited does so no longer.
    gone: bool,
}

/// The writer's side of a slot. Whatever becomes of the writer, who waits is answered.
pub(super) struct Promise(pub(super) Arc<Slot>);

/// An intent on its way to the disk. A future, or [`wait`](Self::wait) for it. If it is dropped, nothing may be sent, and
/// the attempt ends as [`Outcome::NotSent`].
#[must_use = "nothing may be sent before the intent is on the disk"]
pub struct Pending {
    slot: Arc<Slot>,
    queue: Arc<Queue>,
    clock: Clock,
    taken: bool,
}

/// The intent is on the disk. Ends in exactly one outcome: if it is dropped, in [`Outcome::Abandoned`].
#[must_use = "an attempt ends in an outcome"]
pub struct Receipt {
    intent: u64,
    queue: Arc<Queue>,
    clock: Clock,
    ended: bool,
}

impl Slot {
    fn answer(&self, answer: Result<u64, Refusal>) -> bool {
        let mut inner = self.lock();
        let first = !std::mem::replace(&mut inner.answered, true);
        if inner.gone || !first {
            return false;
        }
        inner.answer = Some(answer);
        let waker = inner.waker.take();
        drop(inner);
        self.answered.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    pub(super) fn wait(&self) -> Result<u64, Refusal> {
        let inner = self.answered.wait_while(self.lock(), |inner| inner.answer.is_none());
        let answer = inner.unwrap_or_else(PoisonError::into_inner).answer.take();
        answer.expect("the condition is that there is an answer")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promise {
    /// Leaves the answer. False if nobody waits for it.
    pub(super) fn answer(self, answer: Result<u64, Refusal>) -> bool {
        self.0.answer(answer)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.answer(Err(Refusal::Closed));
    }
}

impl Pending {
    pub(super) fn new(slot: Arc<Slot>, queue: Arc<Queue>, clock: Clock) -> Self {
        Self { slot, queue, clock, taken: false }
    }

    /// Blocks until the intent is on the disk, or is refused.
    ///
    /// # Errors
    ///
    /// Every [`Refusal`]: then nothing may be sent.
    pub fn wait(mut self) -> Result<Receipt, Refusal> {
        let answer = self.slot.wait();
        self.take(answer)
    }

    fn take(&mut self, answer: Result<u64, Refusal>) -> Result<Receipt, Refusal> {
        self.taken = true;
        let intent = answer?;
        Ok(Receipt { intent, queue: Arc::clone(&self.queue), clock: Arc::clone(&self.clock), ended: false })
    }
}

impl Future for Pending {
    type Output = Result<Receipt, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.slot.lock();
        let Some(answer) = inner.answer.take() else {
            inner.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(inner);
        Poll::Ready(self.take(answer))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut inner = self.slot.lock();
        inner.gone = true;
        let answer = inner.answer.take();
        drop(inner);
        if let Some(Ok(intent)) = answer {
            self.queue.push_outcome(outcome(&self.clock, intent, Outcome::NotSent, 0, Latency::default()));
        }
    }
}

impl Receipt {
    /// The number of the intent's record.
    #[must_use]
    pub fn intent(&self) -> u64 {
        self.intent
    }

    /// Says how the attempt ended. Never waits, and always finds room.
    pub fn end(mut self, how: Outcome, answer_bytes: u64, latency: Latency) {
        self.ended = true;
        self.queue.push_outcome(outcome(&self.clock, self.intent, how, answer_bytes, latency));
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.ended {
            let item = outcome(&self.clock, self.intent, Outcome::Abandoned, 0, Latency::default());
            self.queue.push_outcome(item);
        }
    }
}

pub(super) fn outcome(clock: &Clock, intent: u64, outcome: Outcome, answer_bytes: u64, latency: Latency) -> Item {
    let record = Record::Outcome(Ended { intent, outcome, answer_bytes, latency });
    Item::Note { at: clock(), record }
}
