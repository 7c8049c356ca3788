//! Cuts a part out of a picture and resizes it, by `fast_image_resize`. Its result lies in memory that
//! is allocated once, and so does what it holds between its two passes.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3, U16};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

use crate::{Filter, Rectangle, Size};

/// Resizes to one size, by one filter.
#[derive(Debug)]
pub(crate) struct Resize {
    resizer: Resizer,
    options: ResizeOptions,
    to: Size,
    /// The last result.
    eight: Vec<u8>,
    sixteen: Vec<U16>,
}

impl Resize {
    pub(crate) fn new(filter: Filter, to: Size) -> Self {
        let options = ResizeOptions::new().resize_alg(algorithm(filter)).use_alpha(false);
        Self { resizer: Resizer::new(), options, to, eight: Vec::new(), sixteen: Vec::new() }
    }

    /// Of 8-bit rows with one channel that are `step` bytes apart.
    pub(crate) fn grey(&mut self, bytes: &[u8], step: usize, part: Rectangle) -> &[u8] {
        self.eight::<U8>(bytes, step, part)
    }

    /// Of 8-bit rows with three channels that are `step` bytes apart, a multiple of three.
    pub(crate) fn colour(&mut self, bytes: &[u8], step: usize, part: Rectangle) -> &[u8] {
        self.eight::<U8x3>(bytes, step, part)
    }

    /// Of all of a 16-bit picture without gaps.
    pub(crate) fn deep(&mut self, values: &[U16], size: Size) -> &[U16] {
        self.sixteen.resize(self.to.pixels(), U16::default());
        let picture = TypedImageRef::new(size.width, size.height, values).expect("it has as many values as pixels");
        let image = TypedImage::from_pixels_slice(self.to.width, self.to.height, &mut self.sixteen);
        let mut image = image.expect("it was made this long");
        let part = Rectangle { left: 0, top: 0, size };
        run(&mut self.resizer, &self.options, &picture, part, &mut image);
        &self.sixteen
    }

    fn eight<P: PixelTrait>(&mut self, bytes: &[u8], step: usize, part: Rectangle) -> &[u8] {
        // The result grows once, before the first message.
        self.eight.resize(self.to.pixels() * P::size(), 0);
        let (width, height) = (short(step / P::size()), short(bytes.len() / step));
        let picture = TypedImageRef::<P>::from_buffer(width, height, bytes).expect("its rows are whole pixels");
        let image = TypedImage::from_buffer(self.to.width, self.to.height, &mut self.eight);
        let mut image = image.expect("it was made this long");
        run(&mut self.resizer, &self.options, &picture, part, &mut image);
        &self.eight
    }
}

fn run<P: PixelTrait>(
    resizer: &mut Resizer,
    options: &ResizeOptions,
    picture: &TypedImageRef<'_, P>,
    part: Rectangle,
    image: &mut TypedImage<'_, P>,
) {
    // A view of its own, instead of the resizer's crop: no pixel beside the part has weight in it.
    let part = TypedCroppedImage::from_ref(picture, part.left, part.top, part.size.width, part.size.height)
        .expect("the part was checked to be inside the picture");
    resizer.resize_typed(&part, image, options).expect("without a crop of its own it has no error");
}

fn algorithm(filter: Filter) -> ResizeAlg {
    match filter {
        Filter::Nearest => ResizeAlg::Nearest,
        Filter::Area => ResizeAlg::Convolution(FilterType::Box),
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::FourPixels => ResizeAlg::Interpolation(FilterType::Bilinear),
    }
}

fn short(pixels: usize) -> u32 {
    u32::try_from(pixels).expect("the declared bounds of message and picture are below 2^32")
}
