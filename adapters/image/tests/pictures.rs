//! Messages of rosbags, pictures of Pillow, tensors of numpy: none of it is ours. `pictures.py` beside
//! this file makes them, and says how.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image_input::{
    Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, Pipeline, RawEncoding, Rectangle, Size, Spec,
};

const PICTURE: Size = Size { width: 320, height: 240 };
const FILTERS: [Filter; 6] =
    [Filter::Nearest, Filter::Area, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos, Filter::FourPixels];

/// One picture and what is made of it.
#[derive(Clone)]
struct Case {
    encoding: &'static str,
    part: Rectangle,
    filter: Filter,
    size: Size,
    channels: Channels,
    layout: Layout,
    scale: f32,
    mean: f32,
    std: f32,
}

impl Case {
    /// All of the picture as it is.
    fn new(encoding: &'static str, channels: Channels) -> Self {
        let part = Rectangle { left: 0, top: 0, size: PICTURE };
        let (filter, layout) = (Filter::Bilinear, Layout::Nchw);
        Self { encoding, part, filter, size: PICTURE, channels, layout, scale: 1.0, mean: 0.0, std: 1.0 }
    }

    fn line(&self, name: usize) -> String {
        let Rectangle { left, top, size } = self.part;
        let (encoding, filter, channels, layout) = (self.encoding, self.filter, self.channels, self.layout);
        let (width, height, to) = (size.width, size.height, self.size);
        let (scale, mean, std) = (self.scale, self.mean, self.std);
        format!(
            "{name} {encoding} {left} {top} {width} {height} {filter:?} {} {} {channels:?} {layout:?} {scale} {mean} {std}",
            to.width, to.height
        )
    }

    fn spec(&self) -> Spec {
        let count = if matches!(self.channels, Channels::Rgb | Channels::Bgr) { 3 } else { 1 };
        let accept = match self.encoding {
            "rgb8" | "bgr8" => Accept::Image(vec![RawEncoding::Rgb8, RawEncoding::Bgr8]),
            "mono8" => Accept::Image(vec![RawEncoding::Mono8]),
            "16UC1" | "16UC1-big" => Accept::Image(vec![RawEncoding::U16]),
            "png-16" => Accept::Compressed(vec![Codec::Png]),
            _ => Accept::Compressed(vec![Codec::Jpeg, Codec::Png]),
        };
        Spec {
            accept,
            most: Most { size: PICTURE, bytes: 1 << 18 },
            crop: Crop::Rectangle(self.part),
            filter: self.filter,
            size: self.size,
            channels: self.channels,
            layout: self.layout,
            normalise: Normalise { scale: self.scale, mean: vec![self.mean; count], std: vec![self.std; count] },
        }
    }

    /// What the others made of it, beside ours.
    fn difference(&self, folder: &Path, name: usize) -> Difference {
        let message = fs::read(folder.join(format!("{name}.cdr"))).expect("the script wrote it");
        let expected = fs::read(folder.join(format!("{name}.f32"))).expect("the script wrote it");
        let mut pipeline = Pipeline::new(self.spec()).unwrap_or_else(|error| panic!("{}: {error}", self.line(name)));
        let mut out = vec![f32::NAN; pipeline.values()];
        let frame = pipeline.run(&message, &mut out).unwrap_or_else(|error| panic!("{}: {error}", self.line(name)));
        assert_eq!((frame.stamp_ns, frame.size), (1_700_000_000_123_456_789, PICTURE));
        let (expected, rest) = expected.as_chunks();
        assert_eq!((expected.len(), rest.len()), (out.len(), 0), "{}", self.line(name));
        let differences: Vec<f32> =
            out.iter().zip(expected).map(|(ours, theirs)| (ours - f32::from_le_bytes(*theirs)).abs()).collect();
        assert!(differences.iter().all(|one| one.is_finite()), "{}", self.line(name));
        Difference {
            most: differences.iter().copied().fold(0.0, f32::max),
            above_two: differences.iter().filter(|one| **one > 2.0).count(),
            of: differences.len(),
        }
    }

    /// Whether a pixel's middle falls on the border between two: both are the nearest.
    fn has_ties(&self) -> bool {
        let ties = |from: u32, to: u32| (0..to).any(|at| (from * (2 * at + 1)).is_multiple_of(2 * to));
        ties(self.part.size.width, self.size.width) || ties(self.part.size.height, self.size.height)
    }
}

/// Between two tensors, in their values.
#[derive(Debug, Clone, Copy)]
struct Difference {
    most: f32,
    above_two: usize,
    of: usize,
}

fn differences(test: &str, cases: &[Case]) -> Vec<Difference> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).expect("a folder for pictures");
    let lines: Vec<String> = cases.iter().enumerate().map(|(name, case)| case.line(name)).collect();
    pictures(&folder, &lines.join("\n"));
    cases.iter().enumerate().map(|(name, case)| case.difference(&folder, name)).collect()
}

fn report(cases: &[Case], differences: &[Difference]) {
    for (name, (case, Difference { most, above_two, of })) in cases.iter().zip(differences).enumerate() {
        println!("{most:8.5} at most, {above_two:6} of {of} above two: {}", case.line(name));
    }
}

#[test]
fn lossless_pictures_are_the_same_to_the_last_bit() {
    let colour = ["rgb8", "bgr8", "png-rgb"].map(|encoding| (encoding, Channels::Rgb));
    let grey = ["mono8", "png-grey"].map(|encoding| (encoding, Channels::Mono));
    let deep = ["16UC1", "16UC1-big", "png-16"].map(|encoding| (encoding, Channels::Depth));
    let others = [("bgr8", Channels::Bgr), ("rgb8", Channels::Bgr), ("png-grey", Channels::Rgb)];
    let mut cases = Vec::new();
    for (encoding, channels) in colour.into_iter().chain(grey).chain(deep).chain(others) {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let size = Size { width: 77, height: 55 };
            let part = Rectangle { left: 101, top: 43, size };
            cases.push(Case { layout, ..Case::new(encoding, channels) });
            cases.push(Case { part, size, layout, ..Case::new(encoding, channels) });
        }
    }
    let differences = differences("lossless", &cases);
    report(&cases, &differences);
    assert_eq!(cases.len(), 44);
    assert!(differences.iter().all(|difference| difference.most <= 0.0));
}

/// Both transforms round as they like, to within one level of each other in each of a JPEG's own components:
/// so a grey pixel shows. The way to RGB multiplies a colour component's level by up to 1.772, and with 4:2:0
/// and 4:2:2 each spreads colour between pixels as it likes.
#[test]
fn jpeg_is_within_two_levels_of_pillow_but_for_one_value_in_a_thousand() {
    let colour = ["jpeg-444", "jpeg-422", "jpeg-420", "jpeg-rgb"].map(|encoding| Case::new(encoding, Channels::Rgb));
    let cases: Vec<Case> = colour.into_iter().chain([Case::new("jpeg-grey", Channels::Mono)]).collect();
    let differences = differences("jpeg", &cases);
    report(&cases, &differences);
    for (case, Difference { most, above_two, of }) in cases.iter().zip(&differences) {
        let bound = match case.encoding {
            "jpeg-grey" | "jpeg-rgb" => 1.0,
            "jpeg-444" => 3.0,
            _ => 4.0,
        };
        assert!(*most <= bound && above_two * 1000 <= *of, "{most} and {above_two} of {of}: {}", case.line(0));
    }
}

#[test]
fn resizing_is_within_a_level_of_pillow() {
    let sizes = [(96, 96), (320, 96), (31, 200), (400, 300), (1, 1)];
    let whole = Rectangle { left: 0, top: 0, size: PICTURE };
    let part = Rectangle { left: 33, top: 17, size: Size { width: 201, height: 123 } };
    let mut cases = Vec::new();
    for (encoding, channels) in [("rgb8", Channels::Rgb), ("mono8", Channels::Mono), ("16UC1", Channels::Depth)] {
        for filter in FILTERS {
            for (width, height) in sizes {
                for part in [whole, part] {
                    let size = Size { width, height };
                    let case = Case { part, filter, size, ..Case::new(encoding, channels) };
                    if filter != Filter::Nearest || !case.has_ties() {
                        cases.push(case);
                    }
                }
            }
        }
    }
    let differences = differences("resizing", &cases);
    report(&cases, &differences);
    assert!(cases.iter().filter(|case| case.filter == Filter::Nearest).count() >= 9, "too few without ties");
    for (case, difference) in cases.iter().zip(&differences) {
        let most = if case.filter == Filter::Nearest { 0.0 } else { 1.0 };
        assert!(difference.most <= most, "{difference:?}: {}", case.line(0));
    }
}

#[test]
fn a_whole_pipeline_as_a_model_declares_it() {
    let part = Rectangle { left: 40, top: 0, size: Size { width: 240, height: 240 } };
    let size = Size { width: 96, height: 96 };
    let cases: Vec<Case> = ["rgb8", "bgr8", "png-rgb", "jpeg-444", "jpeg-420"]
        .into_iter()
        .flat_map(|encoding| [Layout::Nchw, Layout::Nhwc].map(|layout| (encoding, layout)))
        .map(|(encoding, layout)| {
            let (scale, mean, std) = (1.0 / 255.0, 0.45, 0.225);
            Case { part, size, layout, scale, mean, std, ..Case::new(encoding, Channels::Rgb) }
        })
        .collect();
    let differences = differences("whole", &cases);
    report(&cases, &differences);
    // Two levels, normalised, and what that rounds to.
    assert!(differences.iter().all(|difference| difference.most <= 2.01 / 255.0 / 0.225));
}

/// The negative control of them all: the same comparison sees a filter, a channel order and an offset.
#[test]
fn the_comparison_sees_what_is_different() {
    let size = Size { width: 96, height: 96 };
    let asked = Case { size, ..Case::new("rgb8", Channels::Rgb) };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("control");
    fs::create_dir_all(&folder).expect("a folder for pictures");
    pictures(&folder, &asked.line(0));
    assert!(asked.difference(&folder, 0).most <= 1.0);
    for other in [
        Case { filter: Filter::FourPixels, ..asked.clone() },
        Case { channels: Channels::Bgr, ..asked.clone() },
        Case { layout: Layout::Nhwc, ..asked.clone() },
        Case { part: Rectangle { left: 0, top: 1, size: Size { height: 239, ..PICTURE } }, ..asked.clone() },
        Case { mean: 2.0, ..asked.clone() },
    ] {
        assert!(other.difference(&folder, 0).most > 1.0, "{} is not told apart", other.line(0));
    }
}

fn pictures(folder: &Path, cases: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python =
        std::env::var_os("GENBA_TEST_PYTHON").map_or_else(|| here.join("../../native/venv/bin/python3"), PathBuf::from);
    assert!(python.exists(), "{} is missing: run `make native`", python.display());
    let mut child = Command::new(&python)
        .arg(here.join("tests/pictures.py"))
        .arg(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let written = stdin.write_all(cases.as_bytes());
    drop(stdin);
    let status = child.wait().expect("python ends");
    assert!(status.success(), "pictures.py failed; its message is above");
    written.expect("python took the cases");
}
