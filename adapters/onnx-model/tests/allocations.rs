//! Writing an input and running the model allocates nothing in Rust. A binary of its own: it counts
//! what the whole process allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use manifest::Manifest;
use onnx_model::{Library, Model, Provider};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on")]
// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The fewest allocations of ten tries: what else the process does is not `body`'s.
fn allocations(mut body: impl FnMut()) -> u64 {
    let once = || {
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        body();
        ALLOCATIONS.load(Ordering::Relaxed) - before
    };
    std::iter::repeat_with(once).take(10).min().unwrap_or(u64::MAX)
}

#[test]
fn a_run_allocates_nothing_in_rust() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The second has nine inputs and nine outputs, all but one converted.
    for folder in ["../../models/ur5e-conveyor", "tests/models/types"] {
        let manifest = Manifest::load(&here.join(folder)).unwrap_or_else(|error| panic!("{error}"));
        let path = Library::find(None).unwrap_or_else(|error| panic!("{error}"));
        let library = Library::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let mut model = Model::load(&library, &manifest, Provider::Cpu).unwrap_or_else(|error| panic!("{error}"));

        let mut hundred_runs = |allocate: bool| {
            allocations(|| {
                for run in 0..100_u8 {
                    for input in manifest.inputs() {
                        model.input_mut(input.place).fill(f32::from(run % 2));
                    }
                    let outputs = model.run().expect("the model runs");
                    black_box(
                        manifest.outputs().iter().map(|output| outputs.output(output.place).len()).sum::<usize>(),
                    );
                }
                if allocate {
                    black_box(Box::new(0_u8));
                }
            })
        };
        assert_eq!(hundred_runs(false), 0, "100 runs of {folder}");
        assert_eq!(hundred_runs(true), 1, "the negative control: one allocation among 100 runs is seen");
    }
}
