//! Runs models: the only user of ONNX Runtime.
//!
//! [`Library`] opens the shared library once a process, [`Model`] is one session for one worker. The
//! library is never linked and never taken from an environment variable: which file runs is decided
//! by [`Library::find`] and said by [`Library::path`].
//!
//! Nothing here falls back in silence: a provider that cannot place the whole model fails the load, and
//! [`first_that_holds`] goes on to the next one only where the caller listed one, and says why.
//! No panic of the binding leaves this crate, and [`Model::run`] allocates nothing in Rust.
//!
//! The CPU provider is what the tests run. [`Provider::Cuda`] and [`Provider::TensorRt`] are written
//! after their documentation and have not been run on a GPU yet. The tests show that they are refused, with
//! the reason, by a library that does not hold them, and how the real library takes their options and places
//! operators with stand-ins for Nvidia's libraries below it.

mod call;
mod contain;
mod convert;
mod elf;
mod engines;
mod error;
mod find;
mod first;
mod gpu;
mod graph;
mod inspect;
mod library;
mod load;
mod model;
mod needs;
mod newest;
mod options;
mod parity;
mod placement;
mod provider;
mod room;
mod session;
mod signature;
mod tensor;
mod version;
mod wire;

pub use contain::Panicked;
pub use error::{ModelError, RunError};
pub use find::FindError;
pub use first::{Holds, NoneHolds, Passed, first_that_holds};
pub use gpu::{Gpu, Kernel};
pub use graph::{Graph, GraphError, Raw};
pub use inspect::Outside;
pub use library::{Library, LoadError};
pub use load::Loading;
pub use model::{Batch, Model, Outputs};
pub use needs::{Found, Need, Part};
pub use parity::Deviates;
pub use placement::{Partly, Placed};
pub use provider::{NoProvider, Provider};
pub use signature::{Mismatch, Side};
pub use wire::{WireError, put_wire, take_wire};
