//! PNG. Its chunks are walked first: only what a camera makes reaches the decoder, and its size is
//! known by then. The decoder inflates no more than that size needs, whatever the chunks hold.

use std::io::Cursor;

use png::{Decoder, Limits};

use crate::contain::contain;
use crate::{ImageError, PngFault, Size};
use manifest::image::Pixel;

/// What a PNG says of its picture before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) size: Size,
    pub(crate) pixel: Pixel,
}

pub(crate) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Walks all of it, chunk by chunk. Inflates nothing.
pub(crate) fn header(png: &[u8]) -> Result<Header, PngFault> {
    let rest = png.strip_prefix(&SIGNATURE).ok_or(PngFault::Signature)?;
    let (kind, body, mut rest) = chunk(rest)?;
    if kind != b"IHDR" {
        return Err(PngFault::Header);
    }
    let header = first(body)?;
    loop {
        let (kind, _, after) = chunk(rest)?;
        match kind {
            b"IEND" if after.is_empty() => return Ok(header),
            b"IEND" => return Err(PngFault::Trailing),
            // An animation's chunks are named as if they could be passed over.
            b"acTL" | b"fcTL" | b"fdAT" => return Err(PngFault::Chunk),
            b"IDAT" | [b'a'..=b'z', ..] => {}
            _ => return Err(PngFault::Chunk),
        }
        rest = after;
    }
}

/// Decodes the picture that `header` was read of into rows without gaps, 16 bits as big-endian.
pub(crate) fn decode(png: &[u8], header: Header, pixels: &mut [u8]) -> Result<(), ImageError> {
    // The decoder's own memory: what inflating looks back at, and some rows.
    let row = header.size.width as usize * header.pixel.bytes();
    let limits = Limits { bytes: (1 << 20) + 8 * row };
    contain(|| {
        let mut decoder = Decoder::new_with_limits(Cursor::new(png), limits);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let broken = |_| PngFault::Compressed;
        decoder.read_info().map_err(broken)?.next_frame(pixels).map_err(broken)?;
        Ok(())
    })
}

/// Type, body, and what follows the chunk.
type Chunk<'a> = (&'a [u8; 4], &'a [u8], &'a [u8]);

/// The checksum is the decoder's to look at.
fn chunk(bytes: &[u8]) -> Result<Chunk<'_>, PngFault> {
    let (length, rest) = bytes.split_first_chunk().ok_or(PngFault::Truncated)?;
    let (kind, rest) = rest.split_first_chunk().ok_or(PngFault::Truncated)?;
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(PngFault::Truncated)?;
    let (_crc, rest) = rest.split_first_chunk::<4>().ok_or(PngFault::Truncated)?;
    Ok((kind, body, rest))
}

fn first(body: &[u8]) -> Result<Header, PngFault> {
    let [w3, w2, w1, w0, h3, h2, h1, h0, depth, colour, compression, filter, interlace] = body else {
        return Err(PngFault::Header);
    };
    if (*compression, *filter) != (0, 0) {
        return Err(PngFault::Header);
    }
    let pixel = match (colour, depth) {
        (0, 8) => Pixel::Grey,
        (0, 16) => Pixel::Grey16,
        (2, 8) => Pixel::Rgb,
        _ => return Err(PngFault::Colour),
    };
    if *interlace != 0 {
        return Err(PngFault::Interlaced);
    }
    let size =
        Size { width: u32::from_be_bytes([*w3, *w2, *w1, *w0]), height: u32::from_be_bytes([*h3, *h2, *h1, *h0]) };
    Ok(Header { size, pixel })
}
