//! A place for one item and its two ends: the newest replaces what waits, and what was received goes back to be freed.
//!
//! For a joined input only the newest sample is of use: a queue that is full of older ones would keep it waiting, and
//! each of them would be work for nothing. The receiver never waits: where the sender is just at it, there is nothing yet,
//! and the sender wakes it afterwards. Nor does it free an item, as in [`lane`](crate::lane).

use std::sync::{Mutex, PoisonError, TryLockError};

use heapless::spsc::{Consumer, Producer, Queue};

/// A mailbox. The memory stays for the life of the process: a box opens its link once.
pub(crate) fn mailbox<T: Send + 'static>() -> (Post<T>, Collect<T>) {
    let place: &'static Mutex<Option<T>> = Box::leak(Box::new(Mutex::new(None)));
    let (spent_in, spent_out) = Box::leak(Box::new(Queue::<T, SPENT>::new())).split();
    (Post { place, spent: spent_out }, Collect { place, spent: spent_in })
}

/// Between two items that are sent two can be received: one that waited and the one that was sent. A queue of N holds N - 1.
const SPENT: usize = 4;

/// The end that sends, and frees what comes back.
pub(crate) struct Post<T: 'static> {
    place: &'static Mutex<Option<T>>,
    spent: Consumer<'static, T>,
}

impl<T> Post<T> {
    /// Leaves an item. Returns whether one waited there, which is freed.
    pub(crate) fn send(&mut self, item: T) -> bool {
        while self.spent.dequeue().is_some() {}
        // The receiver holds it for as long as it takes to move an item out.
        let replaced = self.place.lock().unwrap_or_else(PoisonError::into_inner).replace(item);
        replaced.is_some()
    }
}

/// The deciding end.
pub(crate) struct Collect<T: 'static> {
    place: &'static Mutex<Option<T>>,
    spent: Producer<'static, T>,
}

impl<T> Collect<T> {
    /// Lends the item to `read`; `None` if there is none, or the sender is about to leave one.
    pub(crate) fn receive<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let item = match self.place.try_lock() {
            Ok(mut place) => place.take(),
            Err(TryLockError::Poisoned(place)) => place.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        }?;
        let result = read(&item);
        let kept = self.spent.enqueue(item).is_ok();
        assert!(kept, "the way back has room for everything received");
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;

    #[test]
    fn the_newest_replaces_what_waits() {
        let (mut post, mut collect) = mailbox();
        assert_eq!(collect.receive(|item: &u32| *item), None);
        assert!(!post.send(1));
        assert!(post.send(2), "1 was never read");
        assert_eq!(collect.receive(|item| *item), Some(2));
        assert_eq!(collect.receive(|item| *item), None);
        assert!(!post.send(3));
        assert_eq!(collect.receive(|item| *item), Some(3));
    }

    #[test]
    fn the_receiver_frees_nothing() {
        let (mut post, mut collect) = mailbox();
        let item = Arc::new(());
        for _ in 0..100 {
            post.send(Arc::clone(&item));
            assert_eq!(collect.receive(|_| ()), Some(()));
            assert_eq!(Arc::strong_count(&item), 2, "what was received waits to be freed");
        }
        for _ in 0..100 {
            post.send(Arc::clone(&item));
            assert_eq!(Arc::strong_count(&item), 2, "the sender freed what was replaced and what came back");
        }
    }

    #[test]
    fn the_last_one_sent_is_the_last_one_received_and_none_is_received_twice() {
        let (mut post, mut collect) = mailbox();
        let done = Arc::new(AtomicBool::new(false));
        let sent = Arc::clone(&done);
        let sending = std::thread::spawn(move || {
            let replaced = (1..=100_000_u32).filter(|item| post.send(*item)).count();
            sent.store(true, Relaxed);
            replaced
        });
        let mut received = Vec::new();
        let mut over = false;
        loop {
            match collect.receive(|item| *item) {
                Some(item) => received.push(item),
                None if over => break,
                None => std::thread::yield_now(),
            }
            over = done.load(Relaxed);
        }
        let replaced = sending.join().expect("the sender ends");
        assert!(received.is_sorted_by(|one, next| one < next));
        // Once more: the flag may have been seen before the last item.
        received.extend(collect.receive(|item| *item));
        assert_eq!(received.last(), Some(&100_000));
        assert_eq!(received.len() + replaced, 100_000, "each was received or replaced");
    }
}
