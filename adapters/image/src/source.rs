//! A picture as it lies in the message or in the decoder's memory, checked against what was declared.

use crate::message::Image;
use crate::{ImageError, RawEncoding, Rectangle, Size, Spec};
use manifest::image::Pixel;

/// A picture's rows: `height` times `step` bytes, of which `width` pixels each are the picture's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) step: usize,
    pub(crate) size: Size,
    pub(crate) pixel: Pixel,
    pub(crate) big_endian: bool,
}

impl<'a> Source<'a> {
    /// The picture of a `sensor_msgs/msg/Image` where it lies, and what is cut out of it.
    pub(crate) fn raw(
        image: &Image<'a>,
        accepted: &[RawEncoding],
        spec: &Spec,
    ) -> Result<(Self, Rectangle), ImageError> {
        let named = |encoding: &&RawEncoding| encoding.name().as_bytes() == image.encoding;
        let pixel = accepted.iter().find(named).ok_or(ImageError::Encoding)?.pixel();
        let big_endian = match image.is_bigendian {
            0 => false,
            1 => true,
            _ => return Err(ImageError::Endianness),
        };
        let size = Size { width: image.width, height: image.height };
        let part = admit(size, spec)?;
        let step = image.step as usize;
        if step < size.width as usize * pixel.bytes() || (pixel == Pixel::Grey16 && !step.is_multiple_of(2)) {
            return Err(ImageError::Step);
        }
        if step.checked_mul(size.height as usize) != Some(image.data.len()) {
            return Err(ImageError::Length);
        }
        Ok((Self { bytes: image.data, step, size, pixel, big_endian }, part))
    }

    /// Where a part's first pixel lies.
    pub(crate) fn first(self, part: Rectangle) -> usize {
        part.top as usize * self.step + part.left as usize * self.pixel.bytes()
    }

    /// The bytes of a part's rows.
    pub(crate) fn rows(self, part: Rectangle) -> impl Iterator<Item = &'a [u8]> {
        let length = part.size.width as usize * self.pixel.bytes();
        let rows = self.bytes[self.first(part)..].chunks(self.step).take(part.size.height as usize);
        rows.map(move |row| &row[..length])
    }
}

/// A picture's size against the declared one, before anything is done for it. What is cut out of it.
pub(crate) fn admit(size: Size, spec: &Spec) -> Result<Rectangle, ImageError> {
    if size.width == 0 || size.height == 0 {
        return Err(ImageError::Empty);
    }
    if !size.fits(spec.most.size) {
        return Err(ImageError::TooLarge(size));
    }
    spec.crop.of(size).ok_or(ImageError::Crop(size))
}
