//! The whole way of one message, in memory that was allocated when the pipeline was declared.

use fast_image_resize::pixels::U16;

use crate::message::{CompressedImage, Image};
use crate::resize::Resize;
use crate::source::{Source, admit};
use crate::tensor::{Affine, Pixels};
use crate::{Accept, Channels, Codec, ImageError, Layout, Rectangle, Size, Spec, SpecError, jpeg, png};
use manifest::image::Pixel;

/// Turns messages into tensors, one at a time.
#[derive(Debug)]
pub struct Pipeline {
    spec: Spec,
    affine: Affine,
    /// Decoded pictures, and rows whose step is no multiple of a pixel.
    decoded: Vec<u8>,
    /// A JPEG as the decoder gets it.
    coded: Vec<u8>,
    /// 16-bit values in this machine's order.
    deep: Vec<U16>,
    resize: Resize,
}

/// What is known of a picture that became a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The header's stamp, in the sender's clock.
    pub stamp_ns: u64,
    /// Of the picture as it came.
    pub size: Size,
    /// Bytes that were written on the way beside the tensor and the resizer's results: a decoded picture, a
    /// JPEG that was given another end, rows that were made whole pixels, 16-bit values in this machine's order.
    pub copied: usize,
}

impl Pipeline {
    /// Checks the declaration and allocates what the largest picture needs.
    ///
    /// # Errors
    /// What in the declaration cannot work.
    pub fn new(spec: Spec) -> Result<Self, SpecError> {
        spec.check()?;
        let most = spec.most.size.pixels();
        let decoded = match (&spec.accept, spec.channels) {
            (_, Channels::Rgb | Channels::Bgr) => 3 * most,
            (Accept::Compressed(_), Channels::Depth) => 2 * most,
            (Accept::Compressed(_), Channels::Mono) => most,
            (Accept::Image(_), Channels::Mono | Channels::Depth) => 0,
        };
        let part = spec.crop.of(spec.most.size).ok_or(SpecError::Crop)?.size;
        let deep = if spec.channels == Channels::Depth { part.pixels() } else { 0 };
        let jpeg = matches!(&spec.accept, Accept::Compressed(codecs) if codecs.contains(&Codec::Jpeg));
        let mut pipeline = Self {
            affine: Affine::new(&spec.normalise),
            decoded: vec![0; decoded],
            coded: Vec::with_capacity(if jpeg { spec.most.bytes + jpeg::TAIL.len() } else { 0 }),
            deep: vec![U16::default(); deep],
            resize: Resize::new(spec.filter, spec.size),
            spec,
        };
        pipeline.grow(part);
        Ok(pipeline)
    }

    /// Batch, then channels, height and width in the declared layout.
    #[must_use]
    pub fn shape(&self) -> [usize; 4] {
        let Size { width, height } = self.spec.size;
        let (channels, width, height) = (self.spec.channels.count(), width as usize, height as usize);
        match self.spec.layout {
            Layout::Nchw => [1, channels, height, width],
            Layout::Nhwc => [1, height, width, channels],
        }
    }

    /// How many values the tensor has: the length of the memory to lend.
    #[must_use]
    pub fn values(&self) -> usize {
        self.spec.size.pixels() * self.spec.channels.count()
    }

    /// What was declared.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Turns a message into a tensor.
    ///
    /// # Errors
    /// What is wrong with the message, or `Tensor` for memory of another length. `out` is as it was.
    pub fn run(&mut self, message: &[u8], out: &mut [f32]) -> Result<Frame, ImageError> {
        if out.len() != self.values() {
            return Err(ImageError::Tensor);
        }
        let (affine, layout, channels) = (self.affine, self.spec.layout, self.spec.channels);
        let (frame, picture) = self.picture(message)?;
        match picture {
            Picture::Eight(pixels, pixel) => {
                let order = channels.order(pixel);
                pixels.write(out, layout, order, |channel, value| affine.of(channel, f32::from(value)));
            }
            Picture::Sixteen(pixels) => {
                pixels.write(out, layout, &[0], |channel, value| affine.of(channel, f32::from(value.0)));
            }
        }
        Ok(frame)
    }

    /// All but the last pass.
    fn picture<'a>(&'a mut self, message: &'a [u8]) -> Result<(Frame, Picture<'a>), ImageError> {
        let Self { spec, decoded, coded, deep, resize, .. } = self;
        let most = spec.most.bytes;
        if message.len() > most {
            return Err(ImageError::TooLong { bytes: message.len(), most });
        }
        let (stamp_ns, size, ready) = match &spec.accept {
            Accept::Image(accepted) => {
                let image = Image::read(message)?;
                let (source, part) = Source::raw(&image, accepted, spec)?;
                (image.stamp_ns, source.size, straighten(source, part, spec.size, decoded))
            }
            Accept::Compressed(accepted) => {
                let image = CompressedImage::read(message)?;
                let ready = decode(&image, accepted, spec, coded, decoded)?;
                (image.stamp_ns, ready.source.size, ready)
            }
        };
        let deep_bytes = if ready.source.pixel == Pixel::Grey16 { 2 * ready.part.size.pixels() } else { 0 };
        let frame = Frame { stamp_ns, size, copied: ready.copied + deep_bytes };
        Ok((frame, cut(ready.source, ready.part, spec.size, deep, resize)))
    }

    /// Lets the resizer's memory grow to what the largest part needs, before the first message.
    fn grow(&mut self, largest: Size) {
        let part = Rectangle { left: 0, top: 0, size: largest };
        let whole = |bytes| (vec![0; largest.pixels() * bytes], largest.width as usize * bytes);
        if largest == self.spec.size {
            return;
        }
        match self.spec.channels {
            Channels::Rgb | Channels::Bgr => {
                let (black, step) = whole(3);
                self.resize.colour(&black, step, part);
            }
            Channels::Mono => {
                let (black, step) = whole(1);
                self.resize.grey(&black, step, part);
            }
            Channels::Depth => {
                self.resize.deep(&self.deep, largest);
            }
        }
    }
}

/// A picture of whole pixels, what is cut out of it, and how many bytes were written for that.
struct Ready<'a> {
    source: Source<'a>,
    part: Rectangle,
    copied: usize,
}

/// A picture of the tensor's size.
enum Picture<'a> {
    Eight(Pixels<'a, u8>, Pixel),
    Sixteen(Pixels<'a, U16>),
}

/// Decodes a compressed picture of an accepted size into `decoded`, and says what is cut out of it.
fn decode<'a>(
    image: &CompressedImage<'_>,
    accepted: &[Codec],
    spec: &Spec,
    coded: &mut Vec<u8>,
    decoded: &'a mut [u8],
) -> Result<Ready<'a>, ImageError> {
    let kind = codec(image.format).filter(|codec| accepted.contains(codec)).ok_or(ImageError::Format)?;
    let prepare = |size: Size, pixel: Pixel| {
        let part = admit(size, spec)?;
        if spec.channels.take(pixel) { Ok((part, size.pixels() * pixel.bytes())) } else { Err(ImageError::Channels) }
    };
    let (size, pixel, part, length) = match kind {
        Codec::Jpeg => {
            let header = jpeg::header(image.data)?;
            let pixel = if header.colour { Pixel::Rgb } else { Pixel::Grey };
            let (part, length) = prepare(header.size, pixel)?;
            jpeg::decode(image.data, header, coded, &mut decoded[..length])?;
            (header.size, pixel, part, length)
        }
        Codec::Png => {
            let header = png::header(image.data)?;
            let (part, length) = prepare(header.size, header.pixel)?;
            png::decode(image.data, header, &mut decoded[..length])?;
            (header.size, header.pixel, part, length)
        }
    };
    let step = size.width as usize * pixel.bytes();
    let copied = length + if kind == Codec::Jpeg { coded.len() } else { 0 };
    Ok(Ready { source: Source { bytes: &decoded[..length], step, size, pixel, big_endian: true }, part, copied })
}

/// The resizer wants rows of whole pixels. Where rows of three bytes a pixel end in something else, what
/// is cut out is copied.
fn straighten<'a>(source: Source<'a>, part: Rectangle, to: Size, scratch: &'a mut [u8]) -> Ready<'a> {
    let bytes = source.pixel.bytes();
    if bytes != 3 || source.step.is_multiple_of(3) || part.size == to {
        return Ready { source, part, copied: 0 };
    }
    let step = part.size.width as usize * bytes;
    for (row, straight) in source.rows(part).zip(scratch.chunks_exact_mut(step)) {
        straight.copy_from_slice(row);
    }
    let bytes = &scratch[..part.size.height as usize * step];
    let source = Source { bytes, step, size: part.size, ..source };
    Ready { source, part: Rectangle { left: 0, top: 0, size: part.size }, copied: bytes.len() }
}

/// What is cut out, at the tensor's size. Nothing is copied where it has that size already.
fn cut<'a>(source: Source<'a>, part: Rectangle, to: Size, deep: &'a mut [U16], resize: &'a mut Resize) -> Picture<'a> {
    let channels = source.pixel.channels();
    let width = to.width as usize;
    let packed = width * channels;
    match source.pixel {
        Pixel::Grey16 => {
            let deep = &mut deep[..part.size.pixels()];
            let order = if source.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
            for (row, values) in source.rows(part).zip(deep.chunks_exact_mut(part.size.width as usize)) {
                for (bytes, value) in row.as_chunks().0.iter().zip(values) {
                    *value = U16::new(order(*bytes));
                }
            }
            let samples = if part.size == to { deep } else { resize.deep(deep, part.size) };
            Picture::Sixteen(Pixels { samples, step: packed, width, channels })
        }
        Pixel::Rgb | Pixel::Bgr | Pixel::Grey if part.size == to => {
            let samples = &source.bytes[source.first(part)..];
            Picture::Eight(Pixels { samples, step: source.step, width, channels }, source.pixel)
        }
        Pixel::Rgb | Pixel::Bgr => {
            let samples = resize.colour(source.bytes, source.step, part);
            Picture::Eight(Pixels { samples, step: packed, width, channels }, source.pixel)
        }
        Pixel::Grey => {
            let samples = resize.grey(source.bytes, source.step, part);
            Picture::Eight(Pixels { samples, step: packed, width, channels }, source.pixel)
        }
    }
}

/// By the words that `image_transport` and others write: `jpeg`, `png`, `bgr8; jpeg compressed bgr8`.
/// `compressedDepth` is something else: it puts bytes of its own before the picture.
fn codec(format: &[u8]) -> Option<Codec> {
    let has = |word: &[u8]| format.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    match (has(b"jpeg") || has(b"jpg"), has(b"png"), has(b"compressedDepth")) {
        (true, false, false) => Some(Codec::Jpeg),
        (false, true, false) => Some(Codec::Png),
        (true, true, _) | (_, _, true) | (false, false, false) => None,
    }
}
