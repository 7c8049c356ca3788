//! What a 640 by 480 picture costs on its way to a 96 by 96 NCHW tensor of normalised F32 values: the CPU
//! time of the calling thread, the bytes copied and the allocations, for each way a camera may send it.
//!
//!     cargo run --release --package image-input --example cost
//!
//! Each figure is the median of 21 rounds of 40 pictures, the ways taken in turn within a round; the fastest
//! and the slowest round stand beside it. It prints CPU time, not time on the wall: other work on the machine shows less.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::error::Error;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use image_input::{Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, Pipeline, RawEncoding, Size, Spec};

const CAMERA: &[u8] = include_bytes!("camera.jpg");
const PICTURE: Size = Size { width: 640, height: 480 };
const TENSOR: Size = Size { width: 96, height: 96 };
const ROUNDS: usize = 21;
const PICTURES: u32 = 40;

fn main() -> Result<(), Box<dyn Error>> {
    let mut ways = ways()?;
    // Once each, before anything is counted: the memory a pipeline has is allocated when it is made.
    for way in &mut ways {
        way.pipeline.run(&way.message, &mut way.tensor)?;
    }
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.round()?;
        }
    }
    println!(
        "{:24}{:>10}{:>10}{:>22}{:>12}{:>14}{:>12}",
        "640x480 -> 96x96 f32", "message", "CPU", "rounds", "copied", "allocations", "allocated"
    );
    for way in &mut ways {
        way.print();
    }
    Ok(())
}

struct Way {
    name: &'static str,
    message: Vec<u8>,
    pipeline: Pipeline,
    tensor: Vec<f32>,
    /// CPU microseconds a picture, of each round.
    rounds: Vec<f64>,
    copied: usize,
    allocations: usize,
    allocated: usize,
}

impl Way {
    fn round(&mut self) -> Result<(), Box<dyn Error>> {
        let before = (COUNT.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
        let begun = cpu_us();
        for _ in 0..PICTURES {
            self.copied = self.pipeline.run(black_box(&self.message), black_box(&mut self.tensor))?.copied;
        }
        self.rounds.push((cpu_us() - begun) / f64::from(PICTURES));
        self.allocations = (COUNT.load(Ordering::Relaxed) - before.0) / PICTURES as usize;
        self.allocated = (BYTES.load(Ordering::Relaxed) - before.1) / PICTURES as usize;
        Ok(())
    }

    fn print(&mut self) {
        self.rounds.sort_by(f64::total_cmp);
        let (least, median, most) = (self.rounds[0], self.rounds[ROUNDS / 2], self.rounds[ROUNDS - 1]);
        let rounds = format!("{least:.0} to {most:.0} us");
        println!(
            "{:24}{:>8} B{median:>7.0} us{rounds:>22}{:>10} B{:>14}{:>10} B",
            self.name,
            self.message.len(),
            self.copied,
            self.allocations,
            self.allocated
        );
    }
}

fn ways() -> Result<Vec<Way>, Box<dyn Error>> {
    let colour = Accept::Image(vec![RawEncoding::Rgb8]);
    let grey = Accept::Image(vec![RawEncoding::Mono8]);
    let jpeg = Accept::Compressed(vec![Codec::Jpeg]);
    let png = Accept::Compressed(vec![Codec::Png]);
    let pixels = decoded(&jpeg)?;
    let greens: Vec<u8> = pixels.chunks_exact(3).map(|pixel| pixel[1]).collect();
    let padded: Vec<u8> = pixels.chunks_exact(3 * 640).flat_map(|row| [row, &[0]].concat()).collect();
    [
        ("JPEG 4:2:0", jpeg, Channels::Rgb, compressed("jpeg", CAMERA)),
        ("PNG rgb", png.clone(), Channels::Rgb, compressed("png", &encoded(&pixels, png::ColorType::Rgb)?)),
        ("PNG grey", png, Channels::Mono, compressed("png", &encoded(&greens, png::ColorType::Grayscale)?)),
        ("rgb8", colour.clone(), Channels::Rgb, raw("rgb8", 3 * 640, &pixels)),
        ("rgb8, step of 1921", colour, Channels::Rgb, raw("rgb8", 3 * 640 + 1, &padded)),
        ("mono8", grey, Channels::Mono, raw("mono8", 640, &greens)),
        (
            "16UC1",
            Accept::Image(vec![RawEncoding::U16]),
            Channels::Depth,
            raw("16UC1", 1280, &[&greens[..]; 2].concat()),
        ),
    ]
    .into_iter()
    .map(|(name, accept, channels, message)| {
        let pipeline = Pipeline::new(spec(accept, channels))?;
        let tensor = vec![0.0; pipeline.values()];
        let rounds = Vec::with_capacity(ROUNDS);
        Ok(Way { name, message, pipeline, tensor, rounds, copied: 0, allocations: 0, allocated: 0 })
    })
    .collect()
}

fn spec(accept: Accept, channels: Channels) -> Spec {
    let count = if channels == Channels::Rgb { 3 } else { 1 };
    Spec {
        accept,
        most: Most { size: PICTURE, bytes: 1 << 20 },
        crop: Crop::Centre(Size { width: 480, height: 480 }),
        filter: Filter::Bilinear,
        size: TENSOR,
        channels,
        layout: Layout::Nchw,
        normalise: Normalise { scale: 1.0 / 255.0, mean: vec![0.45; count], std: vec![0.225; count] },
    }
}

/// The camera's pixels, by the same pipeline.
fn decoded(accept: &Accept) -> Result<Vec<u8>, Box<dyn Error>> {
    let whole = Spec {
        crop: Crop::Whole,
        size: PICTURE,
        layout: Layout::Nhwc,
        normalise: Normalise { scale: 1.0, mean: vec![0.0; 3], std: vec![1.0; 3] },
        ..spec(accept.clone(), Channels::Rgb)
    };
    let mut pipeline = Pipeline::new(whole)?;
    let mut pixels = vec![0.0; pipeline.values()];
    pipeline.run(&compressed("jpeg", CAMERA), &mut pixels)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole numbers from 0 to 255")]
    Ok(pixels.into_iter().map(|value| value as u8).collect())
}

fn encoded(pixels: &[u8], colour: png::ColorType) -> Result<Vec<u8>, png::EncodingError> {
    let mut data = Vec::new();
    let mut encoder = png::Encoder::new(&mut data, PICTURE.width, PICTURE.height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(data)
}

/// An Image whose frame has no name.
fn raw(encoding: &str, step: u32, data: &[u8]) -> Vec<u8> {
    let mut message = header();
    put(&mut message, PICTURE.height);
    put(&mut message, PICTURE.width);
    sequence(&mut message, &[encoding.as_bytes(), b"\0"].concat());
    message.push(0);
    put(&mut message, step);
    sequence(&mut message, data);
    message
}

fn compressed(format: &str, data: &[u8]) -> Vec<u8> {
    let mut message = header();
    sequence(&mut message, &[format.as_bytes(), b"\0"].concat());
    sequence(&mut message, data);
    message
}

fn header() -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0];
    put(&mut message, 1);
    put(&mut message, 0);
    sequence(&mut message, b"\0");
    message
}

fn sequence(message: &mut Vec<u8>, bytes: &[u8]) {
    put(message, u32::try_from(bytes.len()).expect("the pictures are small"));
    message.extend(bytes);
}

fn put(message: &mut Vec<u8>, value: u32) {
    message.resize(message.len().next_multiple_of(4), 0);
    message.extend(value.to_le_bytes());
}

/// What this thread has computed so far.
#[allow(unsafe_code, reason = "the standard library does not read this clock")]
fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "Linux has this clock");
    #[allow(clippy::cast_precision_loss, reason = "a run of seconds is far below 2^52 us")]
    let [seconds, nanoseconds] = [time.tv_sec as f64, time.tv_nsec as f64];
    seconds * 1e6 + nanoseconds / 1e3
}

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one counts and hands on")]
// SAFETY: every call goes to `System` with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Memory) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Memory) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Memory, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(size, Ordering::Relaxed);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
