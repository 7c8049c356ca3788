//! Every value of a tensor, against a reference that is written pixel by pixel from the message types'
//! definitions. Without resizing, or by the nearest pixel, the values are exact.

mod messages;

use image_input::{
    Accept, Channels, Codec, Crop, Filter, Layout, Normalise, Pipeline, RawEncoding, Rectangle, Size, Spec,
};
use messages::{Image, compressed, corpus, raw, spec};

const ENCODINGS: [RawEncoding; 3] = [RawEncoding::Rgb8, RawEncoding::Bgr8, RawEncoding::Mono8];

fn tensor(spec: &Spec, message: &[u8]) -> Vec<f32> {
    let mut pipeline = Pipeline::new(spec.clone()).expect("the declaration is right");
    let mut out = vec![f32::NAN; pipeline.values()];
    pipeline.run(message, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

/// Red, green and blue of one pixel.
fn pixel(image: &Image, x: usize, y: usize) -> [u8; 3] {
    let row = &image.data[y * image.step as usize..];
    match image.encoding {
        "mono8" => [row[x]; 3],
        "rgb8" => [row[3 * x], row[3 * x + 1], row[3 * x + 2]],
        "bgr8" => [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
        other => panic!("{other} has no colours"),
    }
}

/// The tensor of a part that is not resized, with each value as it is.
fn reference(image: &Image, part: Rectangle, channels: Channels, layout: Layout) -> Vec<f32> {
    let (width, height) = (part.size.width as usize, part.size.height as usize);
    let count = if channels == Channels::Mono { 1 } else { 3 };
    let mut out = vec![f32::NAN; width * height * count];
    for y in 0..height {
        for x in 0..width {
            let mut pixel = pixel(image, part.left as usize + x, part.top as usize + y);
            if channels == Channels::Bgr {
                pixel.reverse();
            }
            for (channel, value) in pixel.iter().take(count).enumerate() {
                let at = match layout {
                    Layout::Nchw => (channel * height + y) * width + x,
                    Layout::Nhwc => (y * width + x) * count + channel,
                };
                out[at] = f32::from(*value);
            }
        }
    }
    out
}

#[test]
fn each_encoding_channel_order_layout_crop_and_step() {
    let size = Size { width: 6, height: 5 };
    let parts = [
        (Crop::Centre(size), Rectangle { left: 2, top: 3, size }),
        (Crop::Rectangle(Rectangle { left: 5, top: 0, size }), Rectangle { left: 5, top: 0, size }),
    ];
    let mut compared = 0;
    for encoding in ENCODINGS {
        for channels in [Channels::Rgb, Channels::Bgr, Channels::Mono] {
            if channels == Channels::Mono && encoding != RawEncoding::Mono8 {
                continue;
            }
            for (layout, (crop, part), gap) in [Layout::Nchw, Layout::Nhwc]
                .into_iter()
                .flat_map(|layout| parts.map(|part| (layout, part)))
                .flat_map(|(layout, part)| [0, 1, 2, 3].map(|gap| (layout, part, gap)))
            {
                let image = Image::new(encoding.name(), 11, 12).with_gap(gap);
                let spec = Spec { crop, layout, size, ..spec(raw(&[encoding]), channels) };
                let expected = reference(&image, part, channels, layout);
                assert_eq!(tensor(&spec, &image.message()), expected, "{encoding:?} {channels:?} {layout:?} {gap}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 7 * 16);
}

/// The negative control of the comparison above: it sees channels in another order, and another part.
#[test]
fn the_reference_tells_orders_and_parts_apart() {
    let image = Image::new("rgb8", 11, 12);
    let size = Size { width: 6, height: 5 };
    let (part, beside) = (Rectangle { left: 2, top: 3, size }, Rectangle { left: 3, top: 3, size });
    let right = reference(&image, part, Channels::Rgb, Layout::Nchw);
    assert_ne!(right, reference(&image, part, Channels::Bgr, Layout::Nchw));
    assert_ne!(right, reference(&image, part, Channels::Rgb, Layout::Nhwc));
    assert_ne!(right, reference(&image, beside, Channels::Rgb, Layout::Nchw));
}

/// Rows that end in the middle of a pixel are copied before they are resized: the result is the same.
#[test]
fn a_step_changes_no_value() {
    for filter in
        [Filter::Nearest, Filter::Area, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos, Filter::FourPixels]
    {
        let part = Rectangle { left: 3, top: 1, size: Size { width: 25, height: 30 } };
        for crop in [Crop::Whole, Crop::Rectangle(part)] {
            for encoding in ENCODINGS {
                let spec = Spec { filter, crop, ..spec(raw(&[encoding]), Channels::Rgb) };
                let image = Image::new(encoding.name(), 31, 33);
                let expected = tensor(&spec, &image.message());
                for gap in 1..=4 {
                    assert_eq!(tensor(&spec, &image.clone().with_gap(gap).message()), expected, "{filter:?} {gap}");
                }
            }
        }
    }
}

/// What lies beside the part has no weight in it, however wide the filter is.
#[test]
fn nothing_beside_a_crop_shows_in_it() {
    let part = Rectangle { left: 8, top: 9, size: Size { width: 40, height: 30 } };
    for filter in [Filter::Area, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos, Filter::FourPixels] {
        let spec = Spec { filter, crop: Crop::Rectangle(part), ..spec(raw(&[RawEncoding::Mono8]), Channels::Mono) };
        let image = Image::new("mono8", 60, 50);
        let mut beside = image.clone();
        let mut inside = image.clone();
        for (at, value) in beside.data.iter_mut().enumerate() {
            let (x, y) = (at % 60, at / 60);
            if !((8..48).contains(&x) && (9..39).contains(&y)) {
                *value ^= 0xff;
            }
        }
        assert_eq!(tensor(&spec, &beside.message()), tensor(&spec, &image.message()), "{filter:?}");
        // The negative control: the first pixel inside does show.
        inside.data[9 * 60 + 8] ^= 0xff;
        assert_ne!(tensor(&spec, &inside.message()), tensor(&spec, &image.message()), "{filter:?}");
    }
}

/// A raw picture is read where it lies, in shared memory too. What must be copied says so.
#[test]
fn what_is_copied() {
    let copied = |spec: &Spec, message: &[u8]| {
        let mut pipeline = Pipeline::new(spec.clone()).expect("the declaration is right");
        let mut out = vec![f32::NAN; pipeline.values()];
        pipeline.run(message, &mut out).unwrap_or_else(|error| panic!("{error}")).copied
    };
    let colour = spec(raw(&ENCODINGS), Channels::Rgb);
    for (encoding, gap, expected) in
        [("rgb8", 0, 0), ("rgb8", 3, 0), ("rgb8", 1, 3 * 31 * 33), ("mono8", 0, 0), ("mono8", 1, 0)]
    {
        assert_eq!(copied(&colour, &Image::new(encoding, 31, 33).with_gap(gap).message()), expected, "{encoding}");
    }
    let depth = spec(raw(&[RawEncoding::U16]), Channels::Depth);
    assert_eq!(copied(&depth, &Image::new("16UC1", 31, 33).message()), 2 * 31 * 33);
    let both = spec(Accept::Compressed(vec![Codec::Jpeg, Codec::Png]), Channels::Rgb);
    assert_eq!(copied(&both, &compressed("png", &corpus("rgb.png"))), 3 * 61 * 43);
    let jpeg = corpus("444.jpg");
    assert_eq!(copied(&both, &compressed("jpeg", &jpeg)), 3 * 61 * 43 + jpeg.len() - 2 + 66);
}

#[test]
fn sixteen_bits_of_either_endianness() {
    let image = Image::new("16UC1", 7, 5);
    let swapped = Image {
        is_bigendian: 1,
        data: image.data.chunks(2).flat_map(|pair| [pair[1], pair[0]]).collect(),
        ..image.clone()
    };
    let size = Size { width: 7, height: 5 };
    let spec = Spec { size, ..spec(raw(&[RawEncoding::U16]), Channels::Depth) };
    let expected: Vec<f32> =
        image.data.chunks(2).map(|pair| f32::from(u16::from_le_bytes([pair[0], pair[1]]))).collect();
    assert!(expected.iter().any(|value| *value > 255.0));
    for gap in [0, 2, 4] {
        assert_eq!(tensor(&spec, &image.clone().with_gap(gap).message()), expected);
        assert_eq!(tensor(&spec, &swapped.clone().with_gap(gap).message()), expected);
    }
    // The negative control: the flag is looked at.
    assert_ne!(tensor(&spec, &Image { is_bigendian: 1, ..image.clone() }.message()), expected);
    // And by the nearest pixel no value is one that was not measured.
    let spec = Spec { size: Size { width: 3, height: 3 }, filter: Filter::Nearest, ..spec };
    let nearest = tensor(&spec, &image.message());
    assert!(nearest.iter().all(|value| expected.contains(value)), "{nearest:?}");
}

#[test]
fn values_are_normalised_channel_by_channel() {
    let image = Image::new("bgr8", 16, 12);
    let (scale, mean, std) = (1.0 / 255.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    let normalise = Normalise { scale, mean: mean.to_vec(), std: std.to_vec() };
    let plain = spec(raw(&[RawEncoding::Bgr8]), Channels::Rgb);
    let before = tensor(&plain, &image.message());
    for layout in [Layout::Nchw, Layout::Nhwc] {
        let after = tensor(&Spec { normalise: normalise.clone(), layout, ..plain.clone() }, &image.message());
        for (at, value) in before.iter().enumerate() {
            let (channel, pixel) = (at / (16 * 12), at % (16 * 12));
            let expected = (value * scale - mean[channel]) / std[channel];
            let at = if layout == Layout::Nchw { at } else { pixel * 3 + channel };
            assert!((after[at] - expected).abs() < 1e-5, "{} for {expected}", after[at]);
        }
    }
}

/// One codec's pixels against the other's: the same corpus picture, one of them lossless.
#[test]
fn jpeg_and_png_of_the_same_picture() {
    let spec = Spec {
        size: Size { width: 61, height: 43 },
        ..spec(Accept::Compressed(vec![Codec::Jpeg, Codec::Png]), Channels::Rgb)
    };
    let png = tensor(&spec, &compressed("png", &corpus("rgb.png")));
    for name in ["444.jpg", "422.jpg", "420.jpg", "420-restarts.jpg", "rgb.jpg"] {
        let jpeg = tensor(&spec, &compressed("jpeg", &corpus(name)));
        let mean = jpeg.iter().zip(&png).map(|(a, b)| (a - b).abs()).sum::<f32>() / 7869.0;
        assert!(mean < 8.0, "{name} is {mean} levels off on average");
    }
}
