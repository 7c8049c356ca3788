//! Our own allocations on an observation's way: there are none.
//!
//! A build with the feature `count-allocations` counts them and `genba status` shows the count; zenoh's put is
//! not ours. Without the feature nothing is counted and nothing costs anything.

#[cfg(feature = "count-allocations")]
pub(crate) use counting::{count, deliberate, others, ours};

/// Runs code whose allocations are counted as ours.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn ours<T>(run: impl FnOnce() -> T) -> T {
    run()
}

/// Runs a library's code in the middle of ours.
#[cfg(not(feature = "count-allocations"))]
pub(crate) fn others<T>(run: impl FnOnce() -> T) -> T {
    run()
}

/// The negative control.
#[cfg(not(feature = "count-allocations"))]
pub(crate) const fn deliberate() {}

/// How many there were; `None`: nobody counts.
#[cfg(not(feature = "count-allocations"))]
pub(crate) const fn count() -> Option<u64> {
    None
}

#[cfg(feature = "count-allocations")]
mod counting {
    use std::{
        alloc::{GlobalAlloc, Layout, System},
        cell::Cell,
        hint::black_box,
        sync::{
            LazyLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    static COUNT: AtomicU64 = AtomicU64::new(0);
    static DELIBERATE: LazyLock<bool> = LazyLock::new(|| std::env::var_os("GENBA_ALLOCATE").is_some());

    thread_local! {
        static OURS: Cell<bool> = const { Cell::new(false) };
    }

    struct Counting;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[allow(unsafe_code, reason = "an allocator is unsafe to implement")]
    // SAFETY: hands every call on to the system's allocator as it came.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if OURS.try_with(Cell::get).unwrap_or(false) {
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
            // SAFETY: the caller's promise, handed on.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise, handed on.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    pub(crate) fn ours<T>(run: impl FnOnce() -> T) -> T {
        scoped(true, run)
    }

    pub(crate) fn others<T>(run: impl FnOnce() -> T) -> T {
        scoped(false, run)
    }

    pub(crate) fn deliberate() {
        if *DELIBERATE {
            black_box(Box::new(0u64));
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "the same type as without the feature")]
    pub(crate) fn count() -> Option<u64> {
        Some(COUNT.load(Ordering::Relaxed))
    }

    fn scoped<T>(ours: bool, run: impl FnOnce() -> T) -> T {
        let before = OURS.replace(ours);
        let result = run();
        OURS.set(before);
        result
    }
}
