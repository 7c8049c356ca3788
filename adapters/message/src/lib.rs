//! The wire format between robot controllers and genba.
//!
//! Nine messages: a controller sends an [`Observation`], the box answers each with one
//! [`Response`], and tells what belongs to no observation in a [`Notice`]. A sensor beside the controller
//! sends an [`Input`] that joins its observations. With a [`Reset`] a controller lets the model's memory
//! begin anew. Outside any control loop a client sends an [`InferRequest`] and gets one [`InferReply`], from a
//! model without an action an [`InferResult`], and for a durable request that is on disk an [`InferStored`]. All are CDR
//! little-endian, ROS 2's own encoding, and described by the files in `msg/`. Fixed-size fields come
//! first and one bounded sequence of bytes last, so that a microcontroller reads every field at a
//! constant offset.
//!
//! Every frame names its type and carries a CRC-32C over the whole of itself: a frame of another
//! type, a frame that lost or gained bytes and a frame with a changed byte are refused as
//! [`Malformed`]. An [`Address`] in every frame lets its receiver refuse what strayed to another key.
//!
//! This crate decides nothing, allocates nothing and never panics on what it decodes.
//!
//! ```
//! use message::{Address, ContractDigest, Epoch, Observation, Sequence, Stamp, floats, put_floats};
//!
//! let mut values = [0; 12];
//! put_floats(&[0.25, -1.5, 3.0], &mut values)?;
//! let observation = Observation {
//!     address: Address::of("left-arm", "conveyor"),
//!     contract: ContractDigest::new([7; 16]),
//!     epoch: Epoch::new(0x5eed),
//!     sequence: Sequence::new(1).ok_or("a sequence starts at 1")?,
//!     stamp: Stamp::new(123_456_789),
//!     last_response: None,
//!     budget_us: 10_000,
//!     values: &values,
//! };
//!
//! let mut frame = [0; 128];
//! let length = observation.encode(&mut frame)?;
//! assert_eq!(length, Observation::OVERHEAD + values.len());
//!
//! let received = Observation::decode(&frame[..length])?;
//! assert_eq!(received, observation);
//! assert!(floats(received.values).eq([0.25, -1.5, 3.0]));
//!
//! frame[80] ^= 1;
//! assert_eq!(Observation::decode(&frame[..length]), Err(message::Malformed::Crc));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod body;
mod cursor;
mod error;
mod identity;
mod infer_reply;
mod infer_request;
mod infer_result;
mod infer_stored;
mod input;
mod layout;
mod notice;
mod observation;
mod reset;
mod response;
mod status;
mod values;

pub use body::{Body, Place, ReasonNumber};
pub use error::{Malformed, NoRoom};
pub use identity::{Address, Boot, ContractDigest, Epoch, ModelDigest, Sequence, Source, Stamp};
pub use infer_reply::{InferBody, InferReply};
pub use infer_request::InferRequest;
pub use infer_result::InferResult;
pub use infer_stored::InferStored;
pub use input::Input;
pub use notice::{Notice, NoticeKind};
pub use observation::{Header, Observation, peek};
pub use reset::Reset;
pub use response::Response;
pub use status::Status;
pub use values::{floats, put_floats};
