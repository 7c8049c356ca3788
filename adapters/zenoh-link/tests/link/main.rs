//! The link over real loopback sockets, against plain zenoh sessions as robots.
#![allow(clippy::unwrap_used, reason = "a test that cannot set up its world has failed")]

mod alive;
mod arrivals;
mod exactly_once;
mod inputs;
mod opening;
mod requests;
mod stall;

mod cameras;
mod child;
mod station;
