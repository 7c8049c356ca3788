//! What the end-to-end tests share: a box to test, controllers that keep their own books, strangers that
//! send whatever bytes they like, a canary and a judge.
//!
//! A test starts the real binary with a config of its own and talks to it over real sockets. Nothing here
//! reaches into the box: what it did is read from its responses and from `genba status`.

mod config;
mod genba;
mod status;

mod asker;
mod camera;
mod controller;
mod frame;
mod picture;
mod printed;
mod stranger;

mod judge;

mod beside;
mod follow;
mod servo;

mod cluster;
mod reader;

mod architecture;
mod scheduling;
mod source;
mod stand_in;

pub use architecture::{Table, differences};
pub use asker::{Asked, Asker, Books, Outcome, Question, Told};
pub use beside::{Beside, Tally};
pub use camera::{Camera, Shot};
pub use cluster::{
    Attempt, Authority, Behaviour, ClusterSite, Dialect, FOUND_OUT, Fault, Identity, Impostor, Mask, Received, Server,
    TRITON, Wire, cluster_section, hand_off_number, home_policy, insecure_section, interpreter, journalled,
};
pub use config::{BoxConfig, Client, Counting};
pub use controller::{Account, Controller, HOME, Working};
pub use follow::{Course, Followed, Played, SETTLED_AFTER_MS, Way, follow};
pub use frame::{Frame, resealed};
pub use genba::{Genba, PATIENCE, command, eventually, free_endpoint, repository};
pub use judge::{Verdict, Watched, Window, judge, skip};
pub use picture::{Picture, compressed};
pub use printed::Printed;
pub use reader::{Reader, ocr};
pub use scheduling::{
    Stall, end_with_parent, into_another_class, policy, real_time_rights, signal, thread_of, threads,
};
pub use servo::{Plan, Ride, SETTLED_MS, Sight, Tick, ride};
pub use source::Source;
pub use stand_in::{stand_ins, tensorrt_stand_ins};
pub use status::{Counts, InputStatus, Requests, Status};
pub use stranger::{Heard, Said, Stranger};
