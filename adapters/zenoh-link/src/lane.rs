//! A queue with a way back: what was received returns to the sender, who frees it.
//!
//! Both ways are wait-free for both ends: an end that is preempted in the midst of an operation
//! holds nobody up. The receiver never drops an item, since dropping a payload takes a lock that a
//! preempted thread of lower priority may hold.

use heapless::spsc::{Consumer, Producer, Queue};

/// A queue of `SLOTS - 1` items and its two ends. `BACK` is the size of the way back.
///
/// The memory stays for the life of the process: a box opens its link once.
pub(crate) fn lane<T, const SLOTS: usize, const BACK: usize>() -> (Sender<T>, Receiver<T>) {
    const {
        assert!(BACK > SLOTS, "everything received between two sends must fit on the way back");
    }
    let (fresh_in, fresh_out) = Box::leak(Box::new(Queue::<T, SLOTS>::new())).split();
    let (spent_in, spent_out) = Box::leak(Box::new(Queue::<T, BACK>::new())).split();
    (Sender { fresh: fresh_in, spent: spent_out }, Receiver { fresh: fresh_out, spent: spent_in })
}

/// The end that fills the queue and frees what comes back.
pub(crate) struct Sender<T: 'static> {
    fresh: Producer<'static, T>,
    spent: Consumer<'static, T>,
}

impl<T> Sender<T> {
    /// Takes an item in, or gives it back where the queue is full.
    pub(crate) fn send(&mut self, item: T) -> Result<(), T> {
        while self.spent.dequeue().is_some() {}
        self.fresh.enqueue(item)
    }
}

/// The engine thread's end.
pub(crate) struct Receiver<T: 'static> {
    fresh: Consumer<'static, T>,
    spent: Producer<'static, T>,
}

impl<T> Receiver<T> {
    /// Lends the oldest item to `read`; `None` if there is none.
    pub(crate) fn receive<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        let item = self.fresh.dequeue()?;
        let result = read(&item);
        // Between two sends at most SLOTS items can be received: SLOTS - 1 that waited and the one
        // that was sent. They fit.
        let kept = self.spent.enqueue(item).is_ok();
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
        let (mut sender, mut receiver) = lane::<u32, 4, 8>();
        assert_eq!((0..5).filter_map(|n| sender.send(n).err()).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(receiver.receive(|n| *n), Some(0));
        assert_eq!(sender.send(5), Ok(()));
        assert_eq!(std::iter::from_fn(|| receiver.receive(|n| *n)).collect::<Vec<_>>(), [1, 2, 5]);
        assert!(receiver.is_empty());
    }

    #[test]
    fn receiver_never_frees_an_item() {
        let (mut sender, mut receiver) = lane::<Arc<()>, 4, 8>();
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
        let (mut sender, mut receiver) = lane::<u32, 16, 32>();
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
