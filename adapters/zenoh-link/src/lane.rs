//! A queue with a way back: what was received, or the part of it that is to be freed, returns to the sender.
//!
//! Both ways are wait-free for both ends: an end that is preempted in the midst of an operation
//! holds nobody up. The receiver never drops an item, since dropping a payload takes a lock that a
//! preempted thread of lower priority may hold.

use heapless::spsc::{Consumer, Producer, Queue};

/// A queue of `SLOTS - 1` items and its two ends. `BACK` is the size of the way back.
///
/// The memory stays for the life of the process: a box opens its link once.
pub(crate) fn lane<T, B, const SLOTS: usize, const BACK: usize>() -> (Sender<T, B>, Receiver<T, B>) {
    const {
        assert!(BACK > SLOTS, "everything received between two sends must fit on the way back");
    }
    let (fresh_in, fresh_out) = Box::leak(Box::new(Queue::<T, SLOTS>::new())).split();
    let (spent_in, spent_out) = Box::leak(Box::new(Queue::<B, BACK>::new())).split();
    (Sender { fresh: fresh_in, spent: spent_out }, Receiver { fresh: fresh_out, spent: spent_in })
}

/// The end that fills the queue and frees what comes back.
pub(crate) struct Sender<T: 'static, B: 'static = T> {
    fresh: Producer<'static, T>,
    spent: Consumer<'static, B>,
}

impl<T, B> Sender<T, B> {
    /// Takes an item in, or gives it back where the queue is full.
    pub(crate) fn send(&mut self, item: T) -> Result<(), T> {
        while self.spent.dequeue().is_some() {}
        self.fresh.enqueue(item)
    }

    /// The same, in a queue of at most `most` items.
    pub(crate) fn send_within(&mut self, most: usize, item: T) -> Result<(), T> {
        // Only this end fills the queue, so it cannot become fuller meanwhile.
        if self.fresh.len() < most { self.send(item) } else { Err(item) }
    }
}

/// The engine thread's end.
pub(crate) struct Receiver<T: 'static, B: 'static = T> {
    fresh: Consumer<'static, T>,
    spent: Producer<'static, B>,
}

impl<T> Receiver<T> {
    /// Lends the oldest item to `read`; `None` if there is none.
    pub(crate) fn receive<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.take(|item| {
            let result = read(&item);
            (item, result)
        })
    }
}

impl<T, B> Receiver<T, B> {
    /// Gives the oldest item to `part`, which gives back what is to be freed; `None` if there is none.
    pub(crate) fn take<R>(&mut self, part: impl FnOnce(T) -> (B, R)) -> Option<R> {
        let item = self.fresh.dequeue()?;
        let (spent, result) = part(item);
        // Between two sends at most SLOTS items can be received: SLOTS - 1 that waited and the one
        // that was sent. They fit.
        let kept = self.spent.enqueue(spent).is_ok();
        assert!(kept, "the way back has room for everything received");
        Some(result)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fresh.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn full_queue_gives_the_newest_back() {
        let (mut sender, mut receiver) = lane::<u32, u32, 4, 8>();
        assert_eq!((0..5).filter_map(|n| sender.send(n).err()).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(receiver.receive(|n| *n), Some(0));
        assert_eq!(sender.send(5), Ok(()));
        assert_eq!(std::iter::from_fn(|| receiver.receive(|n| *n)).collect::<Vec<_>>(), [1, 2, 5]);
        assert!(receiver.is_empty());
    }

    #[test]
    fn shorter_queue_is_full_sooner_and_has_room_again() {
        let (mut sender, mut receiver) = lane::<u32, u32, 8, 16>();
        assert_eq!((0..4).filter_map(|n| sender.send_within(2, n).err()).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(receiver.receive(|n| *n), Some(0));
        assert_eq!(sender.send_within(2, 4), Ok(()));
        assert_eq!(sender.send_within(2, 5), Err(5));
        assert_eq!(sender.send_within(0, 6), Err(6));
    }

    #[test]
    fn receiver_keeps_one_part_and_the_sender_frees_the_other() {
        let (mut sender, mut receiver) = lane::<(Arc<()>, u32), Arc<()>, 4, 8>();
        let freed = Arc::new(());
        for n in 0..100 {
            sender.send((Arc::clone(&freed), n)).expect("there is room");
            assert_eq!(receiver.take(|item| item), Some(n));
            assert_eq!(Arc::strong_count(&freed), 2, "the receiver freed nothing");
        }
    }

    #[test]
    fn receiver_never_frees_an_item() {
        let (mut sender, mut receiver) = lane::<Arc<()>, Arc<()>, 4, 8>();
        let item = Arc::new(());
        for _ in 0..100 {
            while sender.send(Arc::clone(&item)).is_ok() {}
            let held = Arc::strong_count(&item);
            while receiver.receive(|_| ()).is_some() {}
            assert_eq!(Arc::strong_count(&item), held);
        }
        drop(sender.send(Arc::clone(&item)));
        assert_eq!(Arc::strong_count(&item), 2, "the sender freed what came back");
    }

    #[test]
    fn items_cross_threads_in_order() {
        let (mut sender, mut receiver) = lane::<u32, u32, 16, 32>();
        let sending = std::thread::spawn(move || {
            for n in 0..100_000 {
                let mut item = n;
                while let Err(back) = sender.send(item) {
                    item = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < 100_000 {
            match receiver.receive(|n| *n) {
                Some(n) => {
                    assert_eq!(n, expected);
                    expected += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        sending.join().expect("the sender ends");
    }
}
