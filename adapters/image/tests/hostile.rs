//! Whatever arrives, a pipeline gives a tensor or a typed error: it never panics, what it gives depends
//! on the message alone, and what it refuses leaves the lent memory as it was.

mod messages;

use image_input::{Accept, Channels, Codec, Filter, ImageError, Pipeline, RawEncoding, Spec};
use messages::{Image, all, both_codecs, compressed, corpus, format, raw, spec};
use proptest::prelude::*;

/// Two pipelines with different pasts, so that what one message leaves behind would show.
struct Twins {
    fresh: Pipeline,
    used: Pipeline,
}

/// No tensor holds it: all values are 0 to 65535.
const UNTOUCHED: f32 = -1.0;

impl Twins {
    fn new(spec: &Spec, past: &[u8]) -> Self {
        let [fresh, mut used] = [(); 2].map(|()| Pipeline::new(spec.clone()).expect("the declaration is right"));
        let mut out = vec![0.0; used.values()];
        used.run(past, &mut out).expect("the past was good");
        Self { fresh, used }
    }

    fn judge(&mut self, message: &[u8]) -> Result<(), ImageError> {
        let mut outs = [(); 2].map(|()| vec![UNTOUCHED; self.fresh.values()]);
        let [first, second] = &mut outs;
        let results = (self.fresh.run(message, first), self.used.run(message, second));
        assert_eq!(results.0, results.1, "the past decides what becomes of a message");
        assert_eq!(first, second, "the past shows in a tensor");
        let untouched = |out: &[f32]| out.iter().filter(|value| **value < 0.0).count();
        match results.0 {
            Ok(_) => assert_eq!(untouched(first), 0, "a tensor has values that were not written"),
            Err(error) => {
                assert_eq!(untouched(first), first.len(), "{error}, and the lent memory was touched");
                assert_ne!(error, ImageError::Panicked, "a decoder panicked");
            }
        }
        results.0.map(drop)
    }
}

fn compressed_twins(channels: Channels, past: &str) -> Twins {
    let accept = if channels == Channels::Depth { Accept::Compressed(vec![Codec::Png]) } else { both_codecs() };
    Twins::new(&spec(accept, channels), &compressed(format(past), &corpus(past)))
}

/// Every byte of the corpus once, by three changes, and every length of it.
#[test]
fn each_byte_and_each_length_of_the_corpus() {
    let mut good = 0_u32;
    let mut refused = 0_u32;
    let mut kinds = [
        compressed_twins(Channels::Rgb, "444.jpg"),
        compressed_twins(Channels::Mono, "grey.jpg"),
        compressed_twins(Channels::Depth, "grey16.png"),
    ];
    for (name, picture) in all().iter().filter(|(_, picture)| picture.len() < 3000) {
        for at in 0..picture.len() {
            let mut changed = picture.clone();
            for change in [0x01, 0x80, 0xff] {
                changed[at] = picture[at] ^ change;
                let message = compressed(format(name), &changed);
                for twins in &mut kinds {
                    *if twins.judge(&message).is_ok() { &mut good } else { &mut refused } += 1;
                }
            }
            let message = compressed(format(name), &picture[..at]);
            for twins in &mut kinds {
                assert!(twins.judge(&message).is_err(), "{name} cut after {at} bytes gave a tensor");
            }
        }
    }
    // The negative control: changes did reach the decoders, and did not all pass for good.
    assert!(good > 1000 && refused > 10_000, "{good} good, {refused} refused");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pictures_with_several_changes(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let corpus = all();
        let (name, picture) = which.get(&corpus);
        let mut changed = picture.clone();
        for (at, byte) in changes {
            let at = at.index(changed.len());
            changed[at] = byte;
        }
        if let Some(cut) = cut {
            changed.truncate(cut.index(changed.len()));
        }
        // What the decoder sees ends where it should, so that the walk before it does not hide it.
        if format(name) == "jpg" {
            changed.extend([0xff, 0xd9]);
        }
        let message = compressed(format(name), &changed);
        for channels in [Channels::Rgb, Channels::Mono] {
            let past = if channels == Channels::Rgb { "rgb.png" } else { "grey.png" };
            let _ = compressed_twins(channels, past).judge(&message);
        }
    }

    #[test]
    fn messages_with_several_changes(
        encoding in prop::sample::select(vec!["rgb8", "bgr8", "mono8", "16UC1"]),
        (width, height, gap) in (1..9_u32, 1..9_u32, 0..4_u32),
        changes in prop::collection::vec((0..80_usize, any::<u8>()), 0..6),
        length in 0..400_usize,
        filter in prop::sample::select(vec![Filter::Nearest, Filter::Area, Filter::FourPixels, Filter::Lanczos]),
    ) {
        let (accepted, channels) = match encoding {
            "mono8" => (raw(&[RawEncoding::Mono8]), Channels::Mono),
            "16UC1" => (raw(&[RawEncoding::U16]), Channels::Depth),
            _ => (raw(&[RawEncoding::Rgb8, RawEncoding::Bgr8, RawEncoding::Mono8]), Channels::Bgr),
        };
        let spec = Spec { filter, ..spec(accepted, channels) };
        let mut twins = Twins::new(&spec, &Image::new(encoding, 33, 20).message());
        let mut message = Image::new(encoding, width, height).with_gap(gap).message();
        for (at, byte) in changes {
            let at = at % message.len();
            message[at] = byte;
        }
        let _ = twins.judge(&message);
        message.truncate(length);
        let _ = twins.judge(&message);
    }

    #[test]
    fn bytes_that_are_no_message(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut raw = Twins::new(&spec(raw(&[RawEncoding::Rgb8]), Channels::Rgb), &Image::new("rgb8", 5, 5).message());
        prop_assert!(raw.judge(&bytes).is_err());
        prop_assert!(compressed_twins(Channels::Rgb, "420.jpg").judge(&bytes).is_err());
        for format in ["jpeg", "png"] {
            prop_assert!(compressed_twins(Channels::Rgb, "420.jpg").judge(&compressed(format, &bytes)).is_err());
        }
    }
}
