//! How a picture becomes an input's tensor, and why a declaration of that cannot work.

use thiserror::Error;

/// One image input: what may arrive, and the tensor that it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What may arrive.
    pub accept: Accept,
    /// The largest picture and message. Scratch memory is allocated for these.
    pub most: Most,
    /// What is cut out of the picture, before it is resized.
    pub crop: Crop,
    /// How what was cut out becomes the tensor's size. Unused where it has that size already.
    pub filter: Filter,
    /// Width and height of the tensor.
    pub size: Size,
    /// The tensor's channels.
    pub channels: Channels,
    /// The order of the tensor's axes.
    pub layout: Layout,
    /// The tensor's values.
    pub normalise: Normalise,
}

/// What may arrive. A topic has one type, so these are never mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// `sensor_msgs/msg/Image` in one of these encodings.
    Image(Vec<RawEncoding>),
    /// `sensor_msgs/msg/CompressedImage` in one of these formats.
    Compressed(Vec<Codec>),
}

/// An encoding of `sensor_msgs/msg/Image`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawEncoding {
    /// `rgb8`
    Rgb8,
    /// `bgr8`
    Bgr8,
    /// `mono8`
    Mono8,
    /// `16UC1`, of either endianness: by convention depth in millimetres, 0 where nothing was measured.
    U16,
}

/// A format of `sensor_msgs/msg/CompressedImage`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Baseline, grey or in colour.
    Jpeg,
    /// Not interlaced, 8-bit grey, 16-bit grey or 8-bit RGB.
    Png,
}

/// The largest that may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Of the picture.
    pub size: Size,
    /// Of the message, header and all.
    pub bytes: usize,
}

/// Pixels across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// What is cut out of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// All of it.
    Whole,
    /// From its middle; an odd pixel too many is left on the right and at the bottom.
    Centre(Size),
    /// This rectangle.
    Rectangle(Rectangle),
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Pixels left of it.
    pub left: u32,
    /// Pixels above it.
    pub top: u32,
    /// Its own.
    pub size: Size,
}

/// How a part of a picture becomes the tensor's size. What the model was trained with is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The nearest pixel; the only one that invents no depth between two surfaces.
    Nearest,
    /// The mean of what a pixel covers; Pillow's `BOX`.
    Area,
    /// Pillow's `BILINEAR`: widened when it reduces.
    Bilinear,
    /// Pillow's `BICUBIC`: widened when it reduces.
    Bicubic,
    /// Pillow's `LANCZOS`: widened when it reduces.
    Lanczos,
    /// Between the four nearest pixels, also when it reduces: `cv2.INTER_LINEAR`.
    FourPixels,
}

/// The tensor's channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// Red, green, blue; a grey picture gives each the same.
    Rgb,
    /// Blue, green, red; a grey picture gives each the same.
    Bgr,
    /// One channel out of an 8-bit grey picture. No colour is weighted into it.
    Mono,
    /// One channel out of a 16-bit picture.
    Depth,
}

/// The order of the tensor's axes; the batch is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Channel, row, column.
    Nchw,
    /// Row, column, channel.
    Nhwc,
}

/// The tensor's values: (value · scale − mean) / std, for each channel of the tensor in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalise {
    /// Above 0; 1/255 for 8 bits.
    pub scale: f32,
    /// One for each channel.
    pub mean: Vec<f32>,
    /// One for each channel, above 0.
    pub std: Vec<f32>,
}

/// Why a declaration cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Nothing may arrive.
    #[error("no encoding is accepted")]
    AcceptsNothing,
    /// An encoding that the tensor's channels cannot be made of.
    #[error("{} cannot become the tensor's channels", .0.name())]
    Encoding(RawEncoding),
    /// JPEG has 8 bits.
    #[error("JPEG has no 16-bit depth")]
    JpegDepth,
    /// A size of 0.
    #[error("a width or height is 0")]
    Empty,
    /// A size that is beyond any camera's.
    #[error("more than {MOST_PIXELS} pixels, or {MOST_SIDE} on a side")]
    TooLarge,
    /// A message that is beyond any camera's, or shorter than any.
    #[error("a message has 1 to {MOST_BYTES} bytes")]
    Bytes,
    /// Even the largest picture is smaller than the crop.
    #[error("the crop reaches out of the largest picture")]
    Crop,
    /// A mean and a std for each channel.
    #[error("{channels} channels need as many means and stds")]
    PerChannel {
        /// Of the tensor.
        channels: usize,
    },
    /// Normalisation that gives no finite numbers.
    #[error("scale and std must be above 0, and all finite")]
    Normalise,
}

/// Of a picture: no camera's is wider, and JPEG's own bound.
const MOST_SIDE: u32 = 65_535;
/// Of a picture: 64 megapixels, 192 MB of scratch memory in colour.
const MOST_PIXELS: u64 = 1 << 26;
/// Of a message.
const MOST_BYTES: usize = 1 << 28;

impl Spec {
    /// Whether this can work.
    ///
    /// # Errors
    /// The first thing that cannot.
    pub fn check(&self) -> Result<(), SpecError> {
        match &self.accept {
            Accept::Image(encodings) => {
                if encodings.is_empty() {
                    return Err(SpecError::AcceptsNothing);
                }
                if let Some(encoding) = encodings.iter().find(|encoding| !self.channels.take(encoding.pixel())) {
                    return Err(SpecError::Encoding(*encoding));
                }
            }
            Accept::Compressed(codecs) => {
                if codecs.is_empty() {
                    return Err(SpecError::AcceptsNothing);
                }
                if codecs.contains(&Codec::Jpeg) && self.channels == Channels::Depth {
                    return Err(SpecError::JpegDepth);
                }
            }
        }
        self.most.size.check()?;
        self.size.check()?;
        if self.most.bytes == 0 || self.most.bytes > MOST_BYTES {
            return Err(SpecError::Bytes);
        }
        let cut = match self.crop {
            Crop::Whole => self.most.size,
            Crop::Centre(size) | Crop::Rectangle(Rectangle { size, .. }) => size,
        };
        cut.check()?;
        self.crop.of(self.most.size).ok_or(SpecError::Crop)?;
        self.normalise.check(self.channels.count())
    }
}

impl RawEncoding {
    /// As `sensor_msgs/msg/Image` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb8 => "rgb8",
            Self::Bgr8 => "bgr8",
            Self::Mono8 => "mono8",
            Self::U16 => "16UC1",
        }
    }

    /// What a picture's bytes are then.
    #[must_use]
    pub fn pixel(self) -> Pixel {
        match self {
            Self::Rgb8 => Pixel::Rgb,
            Self::Bgr8 => Pixel::Bgr,
            Self::Mono8 => Pixel::Grey,
            Self::U16 => Pixel::Grey16,
        }
    }
}

/// What a picture's bytes are, whatever it came as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixel {
    /// Red, green, blue, 8 bits each.
    Rgb,
    /// Blue, green, red, 8 bits each.
    Bgr,
    /// 8 bits.
    Grey,
    /// 16 bits.
    Grey16,
}

impl Pixel {
    /// 3 or 1.
    #[must_use]
    pub fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey | Self::Grey16 => 1,
        }
    }

    /// Of one pixel.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Grey16 => 2,
            Self::Grey => 1,
        }
    }
}

impl Channels {
    /// 3 or 1.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Mono | Self::Depth => 1,
        }
    }

    /// Whether these can be made of such pixels.
    #[must_use]
    pub fn take(self, pixel: Pixel) -> bool {
        match (self, pixel) {
            (Self::Rgb | Self::Bgr, Pixel::Rgb | Pixel::Bgr | Pixel::Grey)
            | (Self::Mono, Pixel::Grey)
            | (Self::Depth, Pixel::Grey16) => true,
            (Self::Rgb | Self::Bgr, Pixel::Grey16)
            | (Self::Mono, Pixel::Rgb | Pixel::Bgr | Pixel::Grey16)
            | (Self::Depth, Pixel::Rgb | Pixel::Bgr | Pixel::Grey) => false,
        }
    }

    /// For each of the tensor's channels, which of a pixel's it is.
    #[must_use]
    pub fn order(self, pixel: Pixel) -> &'static [usize] {
        match (self, pixel) {
            (Self::Rgb, Pixel::Rgb) | (Self::Bgr, Pixel::Bgr) => &[0, 1, 2],
            (Self::Rgb, Pixel::Bgr) | (Self::Bgr, Pixel::Rgb) => &[2, 1, 0],
            (Self::Rgb | Self::Bgr, Pixel::Grey | Pixel::Grey16) => &[0, 0, 0],
            (Self::Mono | Self::Depth, _) => &[0],
        }
    }
}

impl Size {
    fn check(self) -> Result<(), SpecError> {
        if self.width == 0 || self.height == 0 {
            return Err(SpecError::Empty);
        }
        let pixels = u64::from(self.width) * u64::from(self.height);
        if self.width > MOST_SIDE || self.height > MOST_SIDE || pixels > MOST_PIXELS {
            return Err(SpecError::TooLarge);
        }
        Ok(())
    }

    /// Whether a picture of this size fits `most`. Each is bounded, so no product overflows.
    #[must_use]
    pub fn fits(self, most: Size) -> bool {
        self.width <= most.width && self.height <= most.height
    }

    /// Width times height.
    #[must_use]
    pub fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl Crop {
    /// The part of a picture, or nothing where it would reach out of it.
    #[must_use]
    pub fn of(self, picture: Size) -> Option<Rectangle> {
        let part = match self {
            Self::Whole => Rectangle { left: 0, top: 0, size: picture },
            Self::Centre(size) => Rectangle {
                left: picture.width.checked_sub(size.width)? / 2,
                top: picture.height.checked_sub(size.height)? / 2,
                size,
            },
            Self::Rectangle(part) => part,
        };
        let right = part.left.checked_add(part.size.width)?;
        let bottom = part.top.checked_add(part.size.height)?;
        (right <= picture.width && bottom <= picture.height).then_some(part)
    }
}

impl Normalise {
    fn check(&self, channels: usize) -> Result<(), SpecError> {
        if self.mean.len() != channels || self.std.len() != channels {
            return Err(SpecError::PerChannel { channels });
        }
        let above_zero = |value: f32| value.is_finite() && value > 0.0;
        // The largest value, out of 16 bits, must stay finite too.
        let finite = self.mean.iter().zip(&self.std).all(|(mean, std)| {
            let (factor, offset) = (self.scale / std, -mean / std);
            factor.is_finite() && offset.is_finite() && (f32::from(u16::MAX) * factor + offset).is_finite()
        });
        if above_zero(self.scale) && self.std.iter().all(|std| above_zero(*std)) && finite {
            Ok(())
        } else {
            Err(SpecError::Normalise)
        }
    }
}
