//! The link against servers that do everything wrong that a server can, over real sockets, with a recorder as its gate.
//!
//! In each test what the listening side counted is compared with what the gate has on record.

mod gate;
mod pki;
mod server;
mod world;

mod answers;
mod bounds;
mod deadlines;
mod endpoints;
mod identity;
mod inspection;
mod order;
mod renewal;
mod revocation;

/// The messages, as the server's side needs them.
mod proto {
    #![allow(clippy::all, clippy::pedantic, missing_docs, dead_code, unreachable_pub, reason = "written by a program")]
    include!(concat!(env!("OUT_DIR"), "/inference.rs"));
}
