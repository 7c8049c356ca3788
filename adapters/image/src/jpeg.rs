//! JPEG. Its segments are walked first, from start to end of image: only what a camera makes, one
//! interleaved scan of a sequential picture, reaches the decoder, and its size is known by then.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::contain::contain;
use crate::{ImageError, JpegFault, Size};

/// What a JPEG says of its picture before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) size: Size,
    pub(crate) colour: bool,
}

pub(crate) const SIGNATURE: [u8; 2] = [0xff, 0xd8];

/// Walks all of it: one pass over the bytes, which are bounded. Decodes nothing.
pub(crate) fn header(jpeg: &[u8]) -> Result<Header, JpegFault> {
    let mut rest = jpeg.strip_prefix(&SIGNATURE).ok_or(JpegFault::Marker)?;
    let mut header = None;
    for _ in 0..MOST_SEGMENTS {
        let (marker, body, after) = segment(rest)?;
        match (marker, header) {
            (SOF0 | SOF1, None) => header = Some(frame(body)?),
            (SOS, Some(header)) => return scan(body, after, header),
            (SOF0 | SOF1, Some(_)) | (SOS, None) => return Err(JpegFault::Scan),
            (DQT, _) if body.chunks(65).any(|table| table[0] > 0x0f) => return Err(JpegFault::Precision),
            (DHT | DQT | DRI | COMMENT | APPLICATION_FIRST..=APPLICATION_LAST, _) => {}
            (SOF2..=SOF15, _) => return Err(JpegFault::Process),
            _ => return Err(JpegFault::Marker),
        }
        rest = after;
    }
    Err(JpegFault::Segments)
}

/// Decodes the picture that `header` was read of, into RGB or grey rows without gaps. `coded` has room
/// for it and for [`TAIL`].
pub(crate) fn decode(jpeg: &[u8], header: Header, coded: &mut Vec<u8>, pixels: &mut [u8]) -> Result<(), ImageError> {
    let colours = if header.colour { ColorSpace::RGB } else { ColorSpace::Luma };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(header.size.width as usize)
        .set_max_height(header.size.height as usize)
        .jpeg_set_out_colorspace(colours);
    let (picture, _end) = jpeg.split_at_checked(jpeg.len().saturating_sub(2)).ok_or(JpegFault::Truncated)?;
    coded.clear();
    coded.extend_from_slice(picture);
    coded.extend_from_slice(&TAIL);
    contain(|| {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&coded[..]), options);
        decoder.decode_into(pixels).map_err(|_| JpegFault::Coded.into())
    })
}

/// Takes the place of the end of image. At that the decoder would go on as if zeros followed, and give half
/// a picture for a whole one; ones are no code in any of JPEG's tables (T.81, C.2), so it stops at these.
pub(crate) const TAIL: [u8; 66] = {
    let mut tail = [0; 66];
    let mut at = 0;
    while at < 64 {
        tail[at] = 0xff; // eight ones, and the zero byte that says they are no marker
        at += 2;
    }
    tail[64] = 0xff;
    tail[65] = EOI;
    tail
};

/// A camera writes about ten. What would be done for each grows with their number.
const MOST_SEGMENTS: usize = 64;

const SOF0: u8 = 0xc0;
const SOF1: u8 = 0xc1;
const SOF2: u8 = 0xc2;
const DHT: u8 = 0xc4;
const SOF15: u8 = 0xcf;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DRI: u8 = 0xdd;
const APPLICATION_FIRST: u8 = 0xe0;
const APPLICATION_LAST: u8 = 0xef;
const COMMENT: u8 = 0xfe;

/// The marker, the body and what follows.
fn segment(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), JpegFault> {
    let [0xff, marker, rest @ ..] = bytes else {
        return Err(if bytes.len() < 2 { JpegFault::Truncated } else { JpegFault::Marker });
    };
    if matches!(*marker, 0 | 1 | RST0..=EOI | 0xff) {
        // These have no length, and none belongs here.
        return Err(JpegFault::Marker);
    }
    let (length, _) = rest.split_first_chunk().ok_or(JpegFault::Truncated)?;
    let length = usize::from(u16::from_be_bytes(*length));
    let body = rest.get(2..length.max(2)).ok_or(JpegFault::Truncated)?;
    // An empty quantisation table is the only body that would be looked into unasked.
    if length < 2 || (*marker == DQT && body.is_empty()) {
        return Err(JpegFault::Segment);
    }
    Ok((*marker, body, &rest[length..]))
}

fn frame(body: &[u8]) -> Result<Header, JpegFault> {
    let [precision, h1, h0, w1, w0, count, components @ ..] = body else {
        return Err(JpegFault::Segment);
    };
    if *precision != 8 {
        return Err(JpegFault::Precision);
    }
    if components.len() != 3 * usize::from(*count) {
        return Err(JpegFault::Segment);
    }
    // Samples across and down, in four bits each.
    let colour = match components {
        [_, sampling, _] if *sampling == 0x11 => false,
        [_, 0x11 | 0x12 | 0x21 | 0x22, _, _, 0x11, _, _, 0x11, _] => true,
        [_, _, _] | [_, _, _, _, _, _, _, _, _] => return Err(JpegFault::Sampling),
        _ => return Err(JpegFault::Components),
    };
    let size = Size { width: u16::from_be_bytes([*w1, *w0]).into(), height: u16::from_be_bytes([*h1, *h0]).into() };
    Ok(Header { size, colour })
}

/// The one scan, up to the end of image. Only restart markers may be in it.
fn scan(body: &[u8], coded: &[u8], header: Header) -> Result<Header, JpegFault> {
    if body.first() != Some(if header.colour { &3 } else { &1 }) {
        return Err(JpegFault::Scan);
    }
    let mut rest = coded;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xff).ok_or(JpegFault::Truncated)?;
        match &rest[at + 1..] {
            [] => return Err(JpegFault::Truncated),
            [EOI] => return Ok(header),
            [EOI, ..] => return Err(JpegFault::Trailing),
            [0xff, ..] => rest = &rest[at + 1..],
            [0 | RST0..=RST7, after @ ..] => rest = after,
            [_, ..] => return Err(JpegFault::Scan),
        }
    }
}
