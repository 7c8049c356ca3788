//! Counts the heap allocations of one piece of code on one thread.
//!
//! The allocator stands in the servers of this binary too; where nothing is counted it costs them one look
//! at a thread-local for each allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and a count.
pub(crate) struct Counting;

thread_local! {
    /// How many so far; `None`: this thread's allocations are not counted.
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `counted`; what it returned and how often it allocated or grew an allocation on this thread.
pub(crate) fn count<R>(counted: impl FnOnce() -> R) -> (R, u64) {
    let before = COUNT.replace(Some(0));
    assert!(before.is_none(), "one count at a time");
    let result = counted();
    (result, COUNT.take().expect("it was set above"))
}

fn seen() {
    if let Some(count) = COUNT.get() {
        COUNT.set(Some(count + 1));
    }
}

#[allow(unsafe_code, reason = "a global allocator is an unsafe trait; each call is handed on as it came")]
// SAFETY: every call goes to the system's allocator unchanged; the count is a plain thread-local cell without a
// destructor, which neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        seen();
        // SAFETY: the caller's promise is the one that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        seen();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        seen();
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn each_allocation_and_each_growth_counts() {
        assert_eq!(count(|| black_box(1 + 1)).1, 0);
        assert_eq!(count(|| drop(black_box(Box::new(1)))).1, 1);
        let grown = count(|| {
            let mut values: Vec<u8> = Vec::with_capacity(1);
            values.push(1);
            values.reserve_exact(100);
            values
        });
        assert_eq!(grown.1, 2);
    }

    #[test]
    fn other_threads_do_not_count() {
        let ((), counted) = count(|| {
            let before = COUNT.take();
            let other = std::thread::spawn(|| drop(black_box(Box::new(1))));
            COUNT.set(before);
            other.join().expect("it ends");
        });
        // Joining may free, never allocate.
        assert_eq!(counted, 0);
    }
}
