//! The rules of `[input.image]`: how the pictures of a joined input become its tensor.

use toml::Spanned;

use super::{Flaw, flaw};
use crate::image::{
    Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, RawEncoding, Rectangle, Size, Spec,
};
use crate::schema::{RawCrop, RawImage};
use crate::tensors::Tensor;

/// What a message holds besides its pixels: header, names, padding at the ends of rows.
const BESIDE_PIXELS: u64 = 64 << 10;

/// The declaration of a picture that becomes this tensor.
pub(super) fn image(raw: &Spanned<RawImage>, tensor: &Tensor) -> Result<Spec, Flaw> {
    let at = raw;
    let raw = raw.get_ref();
    let channels = *one_of(&raw.channels, &CHANNELS)?;
    let layout = raw.layout.as_ref().map_or(Ok(&Layout::Nchw), |layout| one_of(layout, &LAYOUTS))?;
    let accept = accept(&raw.accept)?;
    let most = Size { width: *raw.max_width.get_ref(), height: *raw.max_height.get_ref() };
    let size = size_of_tensor(at, tensor, channels, *layout)?;
    let crop = raw.crop.as_ref().map_or(Crop::Whole, |crop| crop_of(crop.get_ref()));
    let filter = match &raw.resize {
        Some(named) => *one_of(named, &FILTERS)?,
        // What arrives may be smaller than declared, but then it must be cut to this size or is resized.
        None if crop.of(most).is_some_and(|part| part.size == size) && crop != Crop::Whole => Filter::Nearest,
        None => {
            let message = "missing field `resize`: what the model was trained with, such as \"bilinear\" or \"area\"";
            return flaw(at, message);
        }
    };
    let pixel = u64::try_from(channels.count().max(2)).unwrap_or(u64::MAX);
    let all = u64::from(most.width).saturating_mul(u64::from(most.height)).saturating_mul(pixel);
    let bytes = raw.max_bytes.as_ref().map_or(all.saturating_add(BESIDE_PIXELS), |bytes| *bytes.get_ref());
    let each = |values: Option<&Spanned<Vec<f32>>>, usual: f32| {
        values.map_or_else(|| vec![usual; channels.count()], |values| values.get_ref().clone())
    };
    let normalise =
        Normalise { scale: *raw.scale.get_ref(), mean: each(raw.mean.as_ref(), 0.0), std: each(raw.std.as_ref(), 1.0) };
    let spec = Spec {
        accept,
        most: Most { size: most, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) },
        crop,
        filter,
        size,
        channels,
        layout: *layout,
        normalise,
    };
    spec.check().or_else(|error| flaw(at, format!("this picture cannot become the tensor: {error}")))?;
    Ok(spec)
}

const CHANNELS: [(&str, Channels); 4] =
    [("rgb", Channels::Rgb), ("bgr", Channels::Bgr), ("mono", Channels::Mono), ("depth", Channels::Depth)];
const LAYOUTS: [(&str, Layout); 2] = [("nchw", Layout::Nchw), ("nhwc", Layout::Nhwc)];
const FILTERS: [(&str, Filter); 6] = [
    ("nearest", Filter::Nearest),
    ("area", Filter::Area),
    ("bilinear", Filter::Bilinear),
    ("bicubic", Filter::Bicubic),
    ("lanczos", Filter::Lanczos),
    ("four-pixels", Filter::FourPixels),
];
const FORMATS: [(&str, Format); 6] = [
    ("rgb8", Format::Raw(RawEncoding::Rgb8)),
    ("bgr8", Format::Raw(RawEncoding::Bgr8)),
    ("mono8", Format::Raw(RawEncoding::Mono8)),
    ("16UC1", Format::Raw(RawEncoding::U16)),
    ("jpeg", Format::Compressed(Codec::Jpeg)),
    ("png", Format::Compressed(Codec::Png)),
];

#[derive(Clone, Copy)]
enum Format {
    Raw(RawEncoding),
    Compressed(Codec),
}

/// What is written, out of what may be.
fn one_of<'t, T>(raw: &Spanned<String>, table: &'t [(&str, T)]) -> Result<&'t T, Flaw> {
    if let Some((_, found)) = table.iter().find(|(name, _)| name == raw.get_ref()) {
        return Ok(found);
    }
    let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
    flaw(raw, format!("{:?} is unknown here; write one of {}", raw.get_ref(), known.join(", ")))
}

/// A topic has one type, so what is accepted is of one.
fn accept(raw: &Spanned<Vec<Spanned<String>>>) -> Result<Accept, Flaw> {
    let (mut encodings, mut codecs) = (Vec::new(), Vec::new());
    for name in raw.get_ref() {
        match *one_of(name, &FORMATS)? {
            Format::Raw(encoding) => encodings.push(encoding),
            Format::Compressed(codec) => codecs.push(codec),
        }
        if !encodings.is_empty() && !codecs.is_empty() {
            let message = "a topic has one type: accept encodings of sensor_msgs/msg/Image (rgb8, bgr8, mono8, 16UC1) or \
                           formats of sensor_msgs/msg/CompressedImage (jpeg, png), not both";
            return flaw(name, message);
        }
    }
    Ok(if codecs.is_empty() { Accept::Image(encodings) } else { Accept::Compressed(codecs) })
}

fn crop_of(raw: &RawCrop) -> Crop {
    let size = Size { width: raw.width, height: raw.height };
    match (raw.left, raw.top) {
        (None, None) => Crop::Centre(size),
        (left, top) => Crop::Rectangle(Rectangle { left: left.unwrap_or(0), top: top.unwrap_or(0), size }),
    }
}

/// Width and height of a tensor with these channels in this layout.
fn size_of_tensor<T>(at: &Spanned<T>, tensor: &Tensor, channels: Channels, layout: Layout) -> Result<Size, Flaw> {
    let found = match (layout, tensor.shape.as_slice()) {
        (Layout::Nchw, &[1, count, height, width]) | (Layout::Nhwc, &[1, height, width, count]) => {
            Some((count, height, width))
        }
        (Layout::Nchw | Layout::Nhwc, _) => None,
    };
    let short = |length: usize| u32::try_from(length).ok();
    let size = found
        .filter(|(count, ..)| *count == channels.count())
        .and_then(|(_, height, width)| Some(Size { width: short(width)?, height: short(height)? }));
    let wanted = match layout {
        Layout::Nchw => format!("[1, {}, height, width]", channels.count()),
        Layout::Nhwc => format!("[1, height, width, {}]", channels.count()),
    };
    size.map_or_else(|| flaw(at, format!("the tensor's shape {:?} is not {wanted}", tensor.shape)), Ok)
}
