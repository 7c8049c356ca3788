//! Writes the two messages, right unless told otherwise, and knows the corpus.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use image_input::{Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, RawEncoding, Size, Spec};

/// A `sensor_msgs/msg/Image`; any field may be wrong.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) stamp: (i32, u32),
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) encoding: &'static str,
    pub(crate) is_bigendian: u8,
    pub(crate) step: u32,
    pub(crate) data: Vec<u8>,
}

impl Image {
    /// Pixels without gaps, each byte another.
    pub(crate) fn new(encoding: &'static str, width: u32, height: u32) -> Self {
        let bytes = match encoding {
            "mono8" => 1,
            "16UC1" => 2,
            _ => 3,
        };
        let data = (0..width * height * bytes).map(|index| (index * 37 % 251).to_le_bytes()[0]).collect();
        Self { stamp: (7, 5), height, width, encoding, is_bigendian: 0, step: width * bytes, data }
    }

    /// With `gap` bytes after each row, which are no pixels.
    pub(crate) fn with_gap(self, gap: u32) -> Self {
        let data = self.data.chunks(self.step as usize).flat_map(|row| {
            let gap = std::iter::repeat_n(0xee, gap as usize);
            row.iter().copied().chain(gap).collect::<Vec<u8>>()
        });
        Self { data: data.collect(), step: self.step + gap, ..self }
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        let mut writer = Writer::header(self.stamp);
        writer.u32(self.height).u32(self.width).string(self.encoding.as_bytes());
        writer.bytes.push(self.is_bigendian);
        writer.u32(self.step).sequence(&self.data);
        writer.message()
    }
}

/// A `sensor_msgs/msg/CompressedImage`.
pub(crate) fn compressed(format: &str, data: &[u8]) -> Vec<u8> {
    let mut writer = Writer::header((7, 5));
    writer.string(format.as_bytes()).sequence(data);
    writer.message()
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn header(stamp: (i32, u32)) -> Self {
        let mut writer = Self::default();
        writer.u32(u32::from_le_bytes(stamp.0.to_le_bytes())).u32(stamp.1).string(b"camera");
        writer
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn string(&mut self, text: &[u8]) -> &mut Self {
        self.sequence(&[text, b"\0"].concat())
    }

    fn sequence(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("a test's message is short"));
        self.bytes.extend(bytes);
        self
    }

    fn message(self) -> Vec<u8> {
        [&[0, 1, 0, 0], &self.bytes[..]].concat()
    }
}

/// Up to 64 by 64 pixels become 16 by 12 values for each channel.
pub(crate) fn spec(accept: Accept, channels: Channels) -> Spec {
    let count = if matches!(channels, Channels::Rgb | Channels::Bgr) { 3 } else { 1 };
    Spec {
        accept,
        most: Most { size: Size { width: 64, height: 64 }, bytes: 1 << 17 },
        crop: Crop::Whole,
        filter: Filter::Bilinear,
        size: Size { width: 16, height: 12 },
        channels,
        layout: Layout::Nchw,
        normalise: Normalise { scale: 1.0, mean: vec![0.0; count], std: vec![1.0; count] },
    }
}

pub(crate) fn raw(encodings: &[RawEncoding]) -> Accept {
    Accept::Image(encodings.to_vec())
}

pub(crate) fn both_codecs() -> Accept {
    Accept::Compressed(vec![Codec::Jpeg, Codec::Png])
}

pub(crate) fn corpus(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All of the corpus: name and picture.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder()).expect("the corpus is there").map(|file| file.expect("it can be listed"));
    let mut names: Vec<String> = files.map(|file| file.file_name().into_string().expect("names are ASCII")).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), corpus(&name))).collect()
}

pub(crate) fn format(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, end)| end)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}
