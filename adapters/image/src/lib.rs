//! Turns one ROS 2 message with a picture into a model's image tensor.
//!
//! A [`Pipeline`] is declared once, by a [`Spec`], which `model.toml` holds: which `sensor_msgs/msg/Image` encodings or
//! `sensor_msgs/msg/CompressedImage` formats it accepts and up to what size, what it cuts out, how it
//! resizes, and how the model wants its values. What cannot work is refused there. From then on
//! [`Pipeline::run`] turns a message's bytes into values in memory that the caller lends: batch 1, NCHW
//! or NHWC. The bytes are read where they lie, in shared memory too.
//!
//! A message is input from a network: its sizes are read and compared with the declared ones before
//! anything is decoded, every fault has its own [`ImageError`], and a fault leaves the lent memory as
//! it was. Scratch memory is allocated when the pipeline is made, and reused. This crate reads no
//! clock, starts no thread and logs nothing. It takes as long as the picture needs: never run it
//! where somebody waits for a lock.
//!
//! ```
//! use image_input::{Accept, Channels, Crop, Filter, Layout, Most, Normalise, Pipeline, RawEncoding, Size, Spec};
//!
//! let mut pipeline = Pipeline::new(Spec {
//!     accept: Accept::Image(vec![RawEncoding::Mono8]),
//!     most: Most { size: Size { width: 4, height: 2 }, bytes: 256 },
//!     crop: Crop::Centre(Size { width: 2, height: 2 }),
//!     filter: Filter::Area,
//!     size: Size { width: 1, height: 1 },
//!     channels: Channels::Mono,
//!     layout: Layout::Nchw,
//!     normalise: Normalise { scale: 1.0 / 255.0, mean: vec![0.5], std: vec![0.25] },
//! })?;
//! assert_eq!(pipeline.shape(), [1, 1, 1, 1]);
//!
//! let mut message = vec![0, 1, 0, 0]; // CDR, little-endian
//! for word in [7_u32, 5, 1] {
//!     message.extend(word.to_le_bytes()); // stamp: 7 s, 5 ns; an empty frame_id, with its end
//! }
//! message.extend([0, 0, 0, 0]);
//! for word in [2_u32, 4, 6] {
//!     message.extend(word.to_le_bytes()); // height, width, the length of
//! }
//! message.extend(b"mono8\0\0\0"); // the encoding, is_bigendian, and up to the next multiple of four
//! for word in [4_u32, 8] {
//!     message.extend(word.to_le_bytes()); // step, and the length of
//! }
//! message.extend([0, 255, 255, 0, 0, 255, 255, 0]); // the pixels
//!
//! let mut tensor = [0.0];
//! let frame = pipeline.run(&message, &mut tensor)?;
//! assert_eq!((frame.stamp_ns, frame.size), (7_000_000_005, Size { width: 4, height: 2 }));
//! assert!((tensor[0] - 2.0).abs() < 1e-6); // (255 / 255 - 0.5) / 0.25
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod contain;
mod error;
mod jpeg;
mod message;
mod pipeline;
mod png;
mod resize;
mod source;
mod tensor;

pub use error::{ImageError, JpegFault, PngFault};
pub use manifest::image::{
    Accept, Channels, Codec, Crop, Filter, Layout, Most, Normalise, RawEncoding, Rectangle, Size, Spec, SpecError,
};
pub use pipeline::{Frame, Pipeline};
