//! Why a message gives no tensor. All are small and `Copy`: a flood of bad pictures allocates nothing.

use thiserror::Error;

use crate::Size;

/// Why a message gives no tensor. The first fault found is the one named; the lent memory is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The message is longer than declared.
    #[error("the message has {bytes} bytes, more than the declared {most}")]
    TooLong {
        /// Of the message.
        bytes: usize,
        /// As declared.
        most: usize,
    },
    /// Not CDR little-endian as ROS 2 sends it.
    #[error("the message is not plain CDR little-endian")]
    Encapsulation,
    /// The message ends before its last field does.
    #[error("the message is truncated")]
    Truncated,
    /// Bytes follow the last field.
    #[error("bytes follow the message")]
    Trailing,
    /// A string without its end.
    #[error("a string of the message does not end with a zero")]
    Text,
    /// Before the epoch, or a second has too many nanoseconds.
    #[error("the stamp is no time")]
    Stamp,
    /// Not among the accepted encodings.
    #[error("the encoding is not accepted here")]
    Encoding,
    /// A compressed format that is not accepted, or one that the bytes contradict.
    #[error("the compressed format is not accepted here, or the bytes are of another")]
    Format,
    /// `is_bigendian` is neither 0 nor 1.
    #[error("is_bigendian is neither 0 nor 1")]
    Endianness,
    /// Width or height is 0.
    #[error("the picture is empty")]
    Empty,
    /// Wider or higher than declared.
    #[error("the picture has {} by {} pixels, more than declared", .0.width, .0.height)]
    TooLarge(Size),
    /// A row is shorter than its pixels, or ends in the middle of a 16-bit one.
    #[error("the step does not fit the width and the encoding")]
    Step,
    /// There are not height times step bytes.
    #[error("the data are not height times step bytes")]
    Length,
    /// The declared crop reaches out of this picture.
    #[error("the crop reaches out of a picture of {} by {} pixels", .0.width, .0.height)]
    Crop(Size),
    /// Grey or colour, 8 or 16 bits: not what the tensor's channels are made of.
    #[error("the picture's channels do not fit the tensor's")]
    Channels,
    /// Not a JPEG picture as cameras make them.
    #[error("JPEG: {0}")]
    Jpeg(#[from] JpegFault),
    /// Not a PNG picture as cameras make them.
    #[error("PNG: {0}")]
    Png(#[from] PngFault),
    /// The lent memory is not as long as the tensor.
    #[error("the memory that was lent is not the tensor's")]
    Tensor,
    /// A decoder broke its own assumptions. The pipeline may be used on.
    #[error("a decoder panicked: this is a defect, please report it")]
    Panicked,
}

/// What is wrong with a JPEG picture. All but the last are found before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JpegFault {
    /// No start of image, or bytes between two segments.
    #[error("a marker is missing where one must be")]
    Marker,
    /// More segments before the picture than a camera writes.
    #[error("too many segments")]
    Segments,
    /// A segment whose length does not fit what it is.
    #[error("a segment's length does not fit it")]
    Segment,
    /// It ends before its end of image.
    #[error("it is truncated")]
    Truncated,
    /// Bytes follow the end of image.
    #[error("bytes follow its end")]
    Trailing,
    /// Progressive, lossless, arithmetic or hierarchical.
    #[error("only baseline and extended sequential Huffman coding are accepted")]
    Process,
    /// Not 8 bits a sample or 8 bits a quantisation step.
    #[error("only 8 bits a sample are accepted")]
    Precision,
    /// Neither one nor three components.
    #[error("neither grey nor of three components")]
    Components,
    /// A subsampling other than 4:4:4, 4:2:2, 4:4:0 and 4:2:0.
    #[error("its subsampling is not accepted")]
    Sampling,
    /// More than one scan, or one that lacks components: cameras interleave.
    #[error("its components are not in one scan")]
    Scan,
    /// The coded picture is broken.
    #[error("its coded picture is broken")]
    Coded,
}

/// What is wrong with a PNG picture. All but the last are found before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PngFault {
    /// Not a PNG's first bytes.
    #[error("it does not begin as a PNG does")]
    Signature,
    /// The header is not the first chunk, or holds what no PNG has.
    #[error("its header is broken")]
    Header,
    /// It ends before its last chunk does.
    #[error("it is truncated")]
    Truncated,
    /// Bytes follow the last chunk.
    #[error("bytes follow its end")]
    Trailing,
    /// A palette, transparency, 16 bits of colour or fewer than 8 bits.
    #[error("only 8-bit grey, 16-bit grey and 8-bit RGB are accepted")]
    Colour,
    /// Interlaced: it would be decoded in seven passes.
    #[error("it is interlaced")]
    Interlaced,
    /// An animation, or a chunk that must be understood and is not.
    #[error("it has a chunk that is not accepted")]
    Chunk,
    /// The compressed picture is broken, or a checksum is wrong.
    #[error("its compressed picture is broken")]
    Compressed,
}
