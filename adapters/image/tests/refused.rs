//! Each fault of a message and of a declaration has its own error, and is found before anything is
//! decoded or allocated for it. Beside each stands what is accepted.

mod messages;

use image_input::{
    Accept, Channels, Codec, Crop, ImageError, JpegFault, Most, Normalise, Pipeline, PngFault, RawEncoding, Rectangle,
    Size, Spec, SpecError,
};
use messages::{Image, both_codecs, compressed, corpus, format, raw, spec};

fn run(spec: &Spec, message: &[u8]) -> Result<(), ImageError> {
    let mut pipeline = Pipeline::new(spec.clone()).expect("the declaration is right");
    let mut out = vec![0.0; pipeline.values()];
    pipeline.run(message, &mut out).map(drop)
}

fn colour() -> Spec {
    spec(raw(&[RawEncoding::Rgb8, RawEncoding::Bgr8]), Channels::Rgb)
}

fn depth() -> Spec {
    spec(raw(&[RawEncoding::U16]), Channels::Depth)
}

fn refused(image: &Image) -> Option<ImageError> {
    run(&colour(), &image.message()).err()
}

#[test]
fn what_is_right_is_accepted() {
    for (spec, image) in [(colour(), Image::new("rgb8", 9, 7)), (depth(), Image::new("16UC1", 9, 7))] {
        assert_eq!(run(&spec, &image.message()), Ok(()));
        for gap in [2, 4, 6] {
            assert_eq!(run(&spec, &image.clone().with_gap(gap).message()), Ok(()));
        }
        assert_eq!(run(&spec, &Image { is_bigendian: 1, ..image.clone() }.message()), Ok(()));
        assert_eq!(run(&spec, &Image { stamp: (i32::MAX, 999_999_999), ..image }.message()), Ok(()));
    }
    assert_eq!(run(&colour(), &Image::new("rgb8", 64, 64).message()), Ok(()));
    assert_eq!(run(&colour(), &Image::new("bgr8", 1, 1).message()), Ok(()));
}

#[test]
fn the_frame_of_a_message() {
    let message = Image::new("rgb8", 5, 4).message();
    for options in 1..=3_u8 {
        let mut padded = [&message[..], &vec![0; options.into()]].concat();
        assert_eq!(run(&colour(), &padded), Err(ImageError::Trailing));
        padded[3] = options; // as DDS says how much it filled up
        assert_eq!(run(&colour(), &padded), Ok(()));
    }
    for wrong in [[0, 0, 0, 0], [0, 2, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 4]] {
        let other = [&wrong[..], &message[4..]].concat();
        assert_eq!(run(&colour(), &other), Err(ImageError::Encapsulation), "{wrong:?}");
    }
    for length in 0..message.len() {
        assert_eq!(run(&colour(), &message[..length]), Err(ImageError::Truncated), "{length} bytes");
    }
    let bytes = colour().most.bytes;
    let exact = Spec { most: Most { bytes: message.len(), ..colour().most }, ..colour() };
    assert_eq!(run(&exact, &message), Ok(()));
    let too_long = vec![0; bytes + 1];
    assert_eq!(run(&colour(), &too_long), Err(ImageError::TooLong { bytes: bytes + 1, most: bytes }));
    // The end of the frame's name, `camera`, at its constant place.
    let mut unended = message;
    assert_eq!(unended[4 + 12 + 6], 0);
    unended[4 + 12 + 6] = b'x';
    assert_eq!(run(&colour(), &unended), Err(ImageError::Text));
}

#[test]
fn the_fields_of_an_image() {
    let image = Image::new("rgb8", 5, 4);
    let wrong = |change: fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        refused(&image)
    };
    assert_eq!(wrong(|_| {}), None);
    assert_eq!(wrong(|image| image.stamp.0 = -1), Some(ImageError::Stamp));
    assert_eq!(wrong(|image| image.stamp.1 = 1_000_000_000), Some(ImageError::Stamp));
    assert_eq!(wrong(|image| image.encoding = "rgba8"), Some(ImageError::Encoding));
    assert_eq!(wrong(|image| image.encoding = "mono8"), Some(ImageError::Encoding));
    assert_eq!(wrong(|image| image.encoding = ""), Some(ImageError::Encoding));
    assert_eq!(wrong(|image| image.is_bigendian = 2), Some(ImageError::Endianness));
    assert_eq!(wrong(|image| image.width = 0), Some(ImageError::Empty));
    assert_eq!(wrong(|image| image.height = 0), Some(ImageError::Empty));
    let large = |width, height| Some(ImageError::TooLarge(Size { width, height }));
    assert_eq!(wrong(|image| image.width = 65), large(65, 4));
    assert_eq!(wrong(|image| image.height = u32::MAX), large(5, u32::MAX));
    assert_eq!(wrong(|image| image.step = 14), Some(ImageError::Step));
    assert_eq!(wrong(|image| image.step = 16), Some(ImageError::Length));
    assert_eq!(wrong(|image| image.step = u32::MAX), Some(ImageError::Length));
    assert_eq!(wrong(|image| image.height = 5), Some(ImageError::Length));
    assert_eq!(wrong(|image| image.data.push(0)), Some(ImageError::Length));
    let odd = Image::new("16UC1", 5, 4).with_gap(1);
    assert_eq!(run(&depth(), &odd.message()), Err(ImageError::Step));
}

#[test]
fn a_crop_that_reaches_out_of_a_smaller_picture() {
    let size = Size { width: 20, height: 10 };
    let crops = [Crop::Centre(size), Crop::Rectangle(Rectangle { left: 3, top: 2, size })];
    for (crop, (width, height)) in crops.into_iter().zip([(20, 10), (23, 12)]) {
        let spec = Spec { crop, ..colour() };
        assert_eq!(run(&spec, &Image::new("rgb8", width, height).message()), Ok(()));
        for (width, height) in [(width - 1, height), (width, height - 1)] {
            let size = Size { width, height };
            assert_eq!(run(&spec, &Image::new("rgb8", width, height).message()), Err(ImageError::Crop(size)));
        }
    }
}

#[test]
fn pictures_that_no_camera_makes() {
    let jpeg = |fault| Err(ImageError::Jpeg(fault));
    let png = |fault| Err(ImageError::Png(fault));
    let expected = [
        ("444.jpg", Ok(())),
        ("422.jpg", Ok(())),
        ("420.jpg", Ok(())),
        ("420-restarts.jpg", Ok(())),
        ("420-optimised.jpg", Ok(())),
        ("420-exif.jpg", Ok(())),
        ("rgb.jpg", Ok(())),
        ("grey.jpg", Ok(())),
        ("tiny.jpg", Ok(())),
        ("progressive.jpg", jpeg(JpegFault::Process)),
        ("bomb-scans.jpg", jpeg(JpegFault::Process)),
        ("cmyk.jpg", jpeg(JpegFault::Components)),
        ("rgb.png", Ok(())),
        ("grey.png", Ok(())),
        ("tiny.png", Ok(())),
        ("grey16.png", Err(ImageError::Channels)),
        ("alpha.png", png(PngFault::Colour)),
        ("palette.png", png(PngFault::Colour)),
        ("bits.png", png(PngFault::Colour)),
        ("interlaced.png", png(PngFault::Interlaced)),
        ("animated.png", png(PngFault::Chunk)),
        ("short.png", png(PngFault::Compressed)),
        ("bomb-size.png", Err(ImageError::TooLarge(Size { width: 65_535, height: 65_535 }))),
        // As large as declared: what it inflates to beyond its own pixels is never inflated.
        ("bomb-inflate.png", Ok(())),
    ];
    let named: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    let missing: Vec<String> = messages::all().into_iter().map(|(name, _)| name).collect();
    assert!(missing.iter().all(|name| named.contains(&&**name)), "{missing:?} in the corpus, {named:?} here");
    let spec = spec(both_codecs(), Channels::Rgb);
    for (name, expected) in expected {
        assert_eq!(run(&spec, &compressed(format(name), &corpus(name))), expected, "{name}");
    }
}

#[test]
fn a_format_and_its_bytes_agree() {
    let (jpeg, png) = (corpus("420.jpg"), corpus("rgb.png"));
    let both = spec(both_codecs(), Channels::Rgb);
    for format in ["jpeg", "jpg", "JPEG", "rgb8; jpeg compressed bgr8"] {
        assert_eq!(run(&both, &compressed(format, &jpeg)), Ok(()), "{format}");
        assert_eq!(run(&both, &compressed(format, &png)), Err(ImageError::Jpeg(JpegFault::Marker)));
    }
    for format in ["png", "bgr8; png compressed bgr8"] {
        assert_eq!(run(&both, &compressed(format, &png)), Ok(()), "{format}");
        assert_eq!(run(&both, &compressed(format, &jpeg)), Err(ImageError::Png(PngFault::Signature)));
    }
    for format in ["", "tiff", "16UC1; compressedDepth png", "jpeg png"] {
        assert_eq!(run(&both, &compressed(format, &jpeg)), Err(ImageError::Format), "{format}");
    }
    let only = spec(Accept::Compressed(vec![Codec::Png]), Channels::Rgb);
    assert_eq!(run(&only, &compressed("png", &png)), Ok(()));
    assert_eq!(run(&only, &compressed("jpeg", &jpeg)), Err(ImageError::Format));
    let grey = spec(both_codecs(), Channels::Mono);
    assert_eq!(run(&grey, &compressed("jpeg", &corpus("grey.jpg"))), Ok(()));
    assert_eq!(run(&grey, &compressed("jpeg", &jpeg)), Err(ImageError::Channels));
}

/// A camera that loses power in the middle of a picture leaves one with a good end, if a driver adds it.
#[test]
fn a_coded_picture_that_ends_early() {
    let spec = spec(both_codecs(), Channels::Rgb);
    for name in ["444.jpg", "422.jpg", "420.jpg", "420-restarts.jpg"] {
        let picture = corpus(name);
        let scan = picture.windows(2).position(|bytes| bytes == [0xff, 0xda]).expect("it has a scan") + 14;
        for end in scan..picture.len() - 12 {
            let mut cut = picture[..end].to_vec();
            if cut.ends_with(&[0xff]) {
                cut.pop();
            }
            cut.extend([0xff, 0xd9]);
            assert!(run(&spec, &compressed("jpeg", &cut)).is_err(), "{name} cut after {end} bytes was accepted");
        }
    }
}

#[test]
fn memory_that_is_not_the_tensors() {
    let mut pipeline = Pipeline::new(colour()).expect("the declaration is right");
    let message = Image::new("rgb8", 5, 4).message();
    let values = pipeline.values();
    assert_eq!((pipeline.shape(), values), ([1, 3, 12, 16], 3 * 12 * 16));
    assert!(pipeline.run(&message, &mut vec![0.0; values]).is_ok());
    for wrong in [0, values - 1, values + 1] {
        assert_eq!(pipeline.run(&message, &mut vec![0.0; wrong]), Err(ImageError::Tensor));
    }
}

#[test]
fn declarations_that_cannot_work() {
    let wrong = |change: fn(&mut Spec)| {
        let mut spec = colour();
        change(&mut spec);
        Pipeline::new(spec).err()
    };
    let normalise = |scale, mean: &[f32], std: &[f32]| Normalise { scale, mean: mean.to_vec(), std: std.to_vec() };
    assert_eq!(wrong(|_| {}), None);
    assert_eq!(wrong(|spec| spec.accept = raw(&[])), Some(SpecError::AcceptsNothing));
    assert_eq!(wrong(|spec| spec.accept = Accept::Compressed(vec![])), Some(SpecError::AcceptsNothing));
    let encodings = [RawEncoding::Rgb8, RawEncoding::U16];
    assert_eq!(Pipeline::new(spec(raw(&encodings), Channels::Rgb)).err(), Some(SpecError::Encoding(RawEncoding::U16)));
    assert_eq!(
        Pipeline::new(spec(raw(&encodings), Channels::Depth)).err(),
        Some(SpecError::Encoding(RawEncoding::Rgb8))
    );
    assert_eq!(Pipeline::new(spec(both_codecs(), Channels::Depth)).err(), Some(SpecError::JpegDepth));
    assert_eq!(wrong(|spec| spec.size.width = 0), Some(SpecError::Empty));
    assert_eq!(wrong(|spec| spec.most.size.height = 0), Some(SpecError::Empty));
    assert_eq!(wrong(|spec| spec.crop = Crop::Centre(Size { width: 0, height: 9 })), Some(SpecError::Empty));
    assert_eq!(wrong(|spec| spec.size.width = 1 << 20), Some(SpecError::TooLarge));
    assert_eq!(wrong(|spec| spec.most.size = Size { width: 60_000, height: 60_000 }), Some(SpecError::TooLarge));
    assert_eq!(wrong(|spec| spec.most.bytes = 0), Some(SpecError::Bytes));
    assert_eq!(wrong(|spec| spec.most.bytes = usize::MAX), Some(SpecError::Bytes));
    assert_eq!(wrong(|spec| spec.crop = Crop::Centre(Size { width: 65, height: 9 })), Some(SpecError::Crop));
    let rectangle = |left| Crop::Rectangle(Rectangle { left, top: 0, size: Size { width: 60, height: 60 } });
    let cropped = |left| Pipeline::new(Spec { crop: rectangle(left), ..colour() }).err();
    assert_eq!((cropped(4), cropped(5), cropped(u32::MAX)), (None, Some(SpecError::Crop), Some(SpecError::Crop)));
    let with = |normalise| Pipeline::new(Spec { normalise, ..colour() }).err();
    assert_eq!(with(normalise(0.5, &[0.0; 3], &[1.0; 3])), None);
    assert_eq!(with(normalise(0.5, &[0.0; 1], &[1.0; 3])), Some(SpecError::PerChannel { channels: 3 }));
    assert_eq!(with(normalise(0.5, &[0.0; 3], &[1.0; 4])), Some(SpecError::PerChannel { channels: 3 }));
    for (scale, mean, std) in [
        (0.0, 0.0, 1.0),
        (-1.0, 0.0, 1.0),
        (1.0, f32::NAN, 1.0),
        (1.0, 0.0, 0.0),
        (1.0, 0.0, 1e-38),
        (f32::MAX, 0.0, 1.0),
    ] {
        assert_eq!(with(normalise(scale, &[mean; 3], &[std; 3])), Some(SpecError::Normalise), "{scale} {mean} {std}");
    }
}
