//! A run allocates nothing of ours. A binary of its own: it counts what the whole process allocates.

mod messages;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use image_input::{Accept, Channels, Filter, Pipeline, RawEncoding, Size, Spec};
use messages::{Image, raw, spec};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on")]
// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Memory) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Memory, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The fewest allocations of ten tries of a hundred runs: what else the process does is not `body`'s.
fn allocations(mut body: impl FnMut()) -> u64 {
    let once = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        (0..100).for_each(|_| body());
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    std::iter::repeat_with(once).take(10).min().unwrap_or(u64::MAX)
}

fn of(spec: Spec, message: &[u8]) -> u64 {
    let mut pipeline = Pipeline::new(spec).expect("the declaration is right");
    let mut out = vec![0.0; pipeline.values()];
    allocations(|| {
        let _ = black_box(pipeline.run(black_box(message), &mut out));
    })
}

#[test]
fn a_run_allocates_nothing_of_ours() {
    let accept = || raw(&[RawEncoding::Rgb8]);
    let message = Image::new("rgb8", 31, 33).with_gap(1).message();
    let size = Size { width: 31, height: 33 };
    // As large as the tensor: the resizer is not asked. Deep pictures are put in order on the way.
    assert_eq!(of(Spec { size, ..spec(accept(), Channels::Rgb) }, &message), 0, "100 runs");
    let deep = Spec { size, ..spec(raw(&[RawEncoding::U16]), Channels::Depth) };
    assert_eq!(of(deep, &Image::new("16UC1", 31, 33).message()), 0, "100 runs of 16 bits");
    // What is refused costs none either: not for its size, and not for its error.
    let bomb = messages::compressed("png", &messages::corpus("bomb-size.png"));
    let png = Accept::Compressed(vec![image_input::Codec::Png]);
    assert_eq!(of(spec(png, Channels::Rgb), &bomb), 0, "100 refusals");
    // The negative control, and what is left: the resizer's, its table of columns.
    let nearest = Spec { filter: Filter::Nearest, ..spec(accept(), Channels::Rgb) };
    assert_eq!(of(nearest, &message), 100, "one for each run");
}
