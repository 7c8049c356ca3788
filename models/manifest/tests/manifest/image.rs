//! A joined input that is a picture: what may arrive, and how it becomes the tensor.

use manifest::image::{
    Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, RawEncoding, Rectangle, Size, Spec,
};
use manifest::{Contract, Source};

use crate::folder::{Folder, SEVERAL, changed_in};

const CAMERA: &str = r#"accept = ["rgb8", "bgr8"]
max_width = 640
max_height = 480
resize = "bilinear"
channels = "rgb"
scale = 0.0039215688
"#;

/// The manifest with a camera in the place of its force sensor.
fn with_camera(shape: &str, image: &str) -> Folder {
    let tensor = format!("dtype = \"f32\"\nshape = {shape}\n[input.image]\n{image}");
    let force = "dtype = \"f16\"\nshape = [1, 1]\nelements = [{ name = \"foot/force\", unit = \"N\" }]\n";
    Folder::with(&changed_in(SEVERAL, force, &tensor))
}

fn spec(shape: &str, image: &str) -> Spec {
    let manifest = with_camera(shape, image).load().expect("the manifest is valid");
    let Source::Image(spec) = &manifest.inputs()[1].source else { panic!("it is a picture") };
    spec.clone()
}

#[test]
fn a_camera_is_read_with_what_is_usual() {
    let expected = Spec {
        accept: Accept::Image(vec![RawEncoding::Rgb8, RawEncoding::Bgr8]),
        most: Most { size: Size { width: 640, height: 480 }, bytes: 640 * 480 * 3 + (64 << 10) },
        crop: Crop::Whole,
        filter: Filter::Bilinear,
        size: Size { width: 96, height: 64 },
        channels: Channels::Rgb,
        layout: Layout::Nchw,
        normalise: Normalise { scale: 0.003_921_569, mean: vec![0.0; 3], std: vec![1.0; 3] },
    };
    assert_eq!(spec("[1, 3, 64, 96]", CAMERA), expected);
}

#[test]
fn a_camera_is_read_with_all_that_can_be_said() {
    let all = "accept = [\"jpeg\", \"png\"]\nmax_width = 640\nmax_height = 480\nmax_bytes = 100000\n\
               crop = { left = 80, top = 0, width = 480, height = 480 }\nresize = \"area\"\nchannels = \"mono\"\n\
               layout = \"nhwc\"\nscale = 1.0\nmean = [127.5]\nstd = [2]\n";
    let found = spec("[1, 64, 96, 1]", all);
    assert_eq!(found.accept, Accept::Compressed(vec![Codec::Jpeg, Codec::Png]));
    assert_eq!(found.most.bytes, 100_000);
    let part = Rectangle { left: 80, top: 0, size: Size { width: 480, height: 480 } };
    assert_eq!((found.crop, found.filter, found.layout), (Crop::Rectangle(part), Filter::Area, Layout::Nhwc));
    assert_eq!((found.size, found.channels), (Size { width: 96, height: 64 }, Channels::Mono));
    assert_eq!(found.normalise, Normalise { scale: 1.0, mean: vec![127.5], std: vec![2.0] });
    let middle = changed_in(all, "left = 80, top = 0, ", "");
    assert_eq!(spec("[1, 64, 96, 1]", &middle).crop, Crop::Centre(Size { width: 480, height: 480 }));
    // A part that has the tensor's size is never resized.
    let cut = changed_in(CAMERA, "resize = \"bilinear\"\n", "crop = { width = 96, height = 64 }\n");
    assert_eq!(spec("[1, 3, 64, 96]", &cut).crop, Crop::Centre(Size { width: 96, height: 64 }));
}

#[test]
fn a_picture_is_no_part_of_the_contract() {
    let manifest = with_camera("[1, 3, 64, 96]", CAMERA).load().expect("the manifest is valid");
    let contract = Contract::new("walk", &manifest).expect("the task's name is printable");
    assert!(!contract.text().contains("join"), "{}", contract.text());
}

#[test]
fn a_camera_that_cannot_be_is_refused_where_it_stands() {
    let refused = |shape: &str, old: &str, new: &str, complaint: &str| {
        let camera = if old.is_empty() { format!("{CAMERA}{new}") } else { changed_in(CAMERA, old, new) };
        assert_eq!(with_camera(shape, &camera).complaint(), format!("M/model.toml:{complaint}"));
    };
    let fits = "[1, 3, 64, 96]";
    refused(
        fits,
        "\"bgr8\"]",
        "\"jpeg\"]",
        "26:19: a topic has one type: accept encodings of sensor_msgs/msg/Image (rgb8, bgr8, mono8, 16UC1) or formats of \
         sensor_msgs/msg/CompressedImage (jpeg, png), not both",
    );
    let known = "write one of rgb8, bgr8, mono8, 16UC1, jpeg, png";
    refused(fits, "\"bgr8\"", "\"yuv422\"", &format!("26:19: \"yuv422\" is unknown here; {known}"));
    refused(fits, "[\"rgb8\", \"bgr8\"]", "[]", "25:1: this picture cannot become the tensor: no encoding is accepted");
    refused(
        fits,
        "\"bgr8\"",
        "\"16UC1\"",
        "25:1: this picture cannot become the tensor: 16UC1 cannot become the tensor's channels",
    );
    refused("[1, 64, 96, 3]", "", "", "25:1: the tensor's shape [1, 64, 96, 3] is not [1, 3, height, width]");
    refused("[3, 64, 96]", "", "", "25:1: the tensor's shape [3, 64, 96] is not [1, 3, height, width]");
    refused(
        fits,
        "resize = \"bilinear\"\n",
        "",
        "25:1: missing field `resize`: what the model was trained with, such as \"bilinear\" or \"area\"",
    );
    refused(
        fits,
        "",
        "crop = { width = 700, height = 480 }\n",
        "25:1: this picture cannot become the tensor: the crop reaches out of the largest picture",
    );
    refused(
        fits,
        "",
        "mean = [0.0]\n",
        "25:1: this picture cannot become the tensor: 3 channels need as many means and stds",
    );
    refused(
        fits,
        "",
        "hue = 1\n",
        "32:1: unknown field `hue`, expected one of `accept`, `max_width`, `max_height`, \
         `max_bytes`, `crop`, `resize`, `channels`, `layout`, `scale`, `mean`, `std`",
    );
    refused(fits, "scale = 0.0039215688\n", "", "25:1: missing field `scale`");
}
