//! One short lock with priority inheritance.
//!
//! Whoever waits for it lends its priority to whoever holds it: a worker that is preempted while it holds the engine
//! runs on as soon as the deadline timer wants it. std's mutex does not, and a free one costs the same.

use std::{
    cell::UnsafeCell,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

/// A value that one thread at a time works with.
pub(crate) struct Lock<T> {
    /// At an address of its own: the system's waiters know it by that.
    mutex: Pin<Box<UnsafeCell<libc::pthread_mutex_t>>>,
    /// A holder panicked: what it left behind is unknown.
    poisoned: AtomicBool,
    value: UnsafeCell<T>,
}

/// The right to work with the value, until it is dropped.
pub(crate) struct Guard<'l, T> {
    lock: &'l Lock<T>,
}

#[allow(unsafe_code, reason = "the mutex sees to it that one thread at a time reaches the value")]
// SAFETY: a value that may move between threads is reached by one of them at a time.
unsafe impl<T: Send> Sync for Lock<T> {}
#[allow(unsafe_code, reason = "a mutex that nobody holds belongs to no thread")]
// SAFETY: a guard borrows the lock, so one that moves is free.
unsafe impl<T: Send> Send for Lock<T> {}

/// linux/futex and pthread.h say 1; libc does not name it for glibc.
const PTHREAD_PRIO_INHERIT: libc::c_int = 1;

impl<T> Lock<T> {
    /// A free lock.
    #[allow(unsafe_code, reason = "std has no priority inheritance")]
    pub(crate) fn new(value: T) -> Self {
        let mutex = Box::pin(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
        // SAFETY: an attribute object is plain bytes until it is initialised in the next line.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { std::mem::zeroed() };
        // SAFETY: `attributes` lives through the call.
        let made = unsafe { libc::pthread_mutexattr_init(&raw mut attributes) };
        // SAFETY: `attributes` was initialised.
        let set = unsafe { libc::pthread_mutexattr_setprotocol(&raw mut attributes, PTHREAD_PRIO_INHERIT) };
        // SAFETY: nobody has seen the mutex yet, and its address stays.
        let initialised = unsafe { libc::pthread_mutex_init(mutex.get(), &raw const attributes) };
        assert_eq!(
            (made, set, initialised),
            (0, 0, 0),
            "every Linux since 2.6.18 has mutexes with priority inheritance"
        );
        Self { mutex, poisoned: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Waits until nobody holds it.
    ///
    /// # Panics
    /// If a holder panicked.
    #[allow(unsafe_code, reason = "std has no priority inheritance")]
    pub(crate) fn lock(&self) -> Guard<'_, T> {
        // SAFETY: the mutex was initialised and has not moved.
        let result = unsafe { libc::pthread_mutex_lock(self.mutex.get()) };
        assert_eq!(result, 0, "no holder waits for itself");
        self.granted()
    }

    /// Takes it if nobody holds it.
    ///
    /// # Panics
    /// If a holder panicked.
    #[allow(unsafe_code, reason = "std has no priority inheritance")]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        // SAFETY: the mutex was initialised and has not moved.
        let result = unsafe { libc::pthread_mutex_trylock(self.mutex.get()) };
        (result == 0).then(|| self.granted())
    }

    fn granted(&self) -> Guard<'_, T> {
        let guard = Guard { lock: self };
        assert!(!self.poisoned.load(Ordering::Relaxed), "another thread panicked in the middle of a decision");
        guard
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[allow(unsafe_code, reason = "the mutex is held")]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the mutex.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[allow(unsafe_code, reason = "the mutex is held")]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the mutex, and is borrowed mutably.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[allow(unsafe_code, reason = "the mutex is held")]
    fn drop(&mut self) {
        if thread::panicking() {
            self.lock.poisoned.store(true, Ordering::Relaxed);
        }
        // SAFETY: this guard holds the mutex, and is the last to use it.
        let result = unsafe { libc::pthread_mutex_unlock(self.lock.mutex.get()) };
        debug_assert_eq!(result, 0, "whoever holds a mutex may free it");
    }
}

impl<T> Drop for Lock<T> {
    #[allow(unsafe_code, reason = "the mutex is free")]
    fn drop(&mut self) {
        // SAFETY: nobody can hold or use it any more.
        unsafe { libc::pthread_mutex_destroy(self.mutex.get()) };
    }
}

#[cfg(test)]
mod tests {
    use std::{panic, time::Duration};

    use super::*;

    #[test]
    fn one_thread_at_a_time_works_with_the_value() {
        let lock = Lock::new((0u64, 0u64));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let mut both = lock.lock();
                        both.0 += 1;
                        both.1 += 1;
                        assert_eq!(both.0, both.1);
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), (40_000, 40_000));
    }

    #[test]
    fn a_held_lock_is_not_taken() {
        let lock = Lock::new(());
        let guard = lock.lock();
        assert!(thread::scope(|scope| scope.spawn(|| lock.try_lock().is_none()).join().expect("it ends")));
        drop(guard);
        assert!(lock.try_lock().is_some());
    }

    #[test]
    fn nobody_works_with_what_a_panic_left_behind() {
        let lock = Lock::new(());
        let breaks = || {
            let _guard = lock.lock();
            panic!("in the middle of a decision");
        };
        let broke = thread::scope(|scope| scope.spawn(breaks).join().is_err());
        assert!(broke);
        assert!(panic::catch_unwind(panic::AssertUnwindSafe(|| drop(lock.lock()))).is_err());
    }

    /// A holder in the default class, a busy thread in the middle and a waiter above, all on one core: without
    /// inheritance the waiter waits for the thread in the middle.
    #[test]
    fn a_holder_inherits_the_priority_of_whoever_waits() {
        use crate::realtime;
        let core = [0];
        let (held, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let lock = Lock::new(());
        let middle_ended = AtomicBool::new(false);
        let waited_for_the_middle = thread::scope(|scope| {
            scope.spawn(|| {
                realtime::bind("holder", &core);
                let guard = lock.lock();
                held.store(true, Ordering::SeqCst);
                while !done.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
                drop(guard);
            });
            while !held.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            let waiter = scope.spawn(|| {
                realtime::bind("waiter", &core);
                if realtime::fifo("waiter", 0, 30) == realtime::Class::Default {
                    done.store(true, Ordering::SeqCst);
                    return None;
                }
                scope.spawn(|| {
                    realtime::bind("middle", &core);
                    realtime::fifo("middle", 0, 20);
                    done.store(true, Ordering::SeqCst);
                    let until = std::time::Instant::now() + Duration::from_millis(300);
                    while std::time::Instant::now() < until {
                        std::hint::spin_loop();
                    }
                    middle_ended.store(true, Ordering::SeqCst);
                });
                thread::sleep(Duration::from_millis(50));
                drop(lock.lock());
                Some(middle_ended.load(Ordering::SeqCst))
            });
            waiter.join().expect("it ends")
        });
        match waited_for_the_middle {
            Some(waited) => assert!(!waited, "the waiter waited for a thread that it outranks"),
            None => println!("SKIPPED: no real-time rights: without them nobody is preempted for good"),
        }
    }
}
