//! Hand-offs to real inference servers, and to what only looks like one.

mod control;
mod failures;
mod identity;
mod insecure;
mod labels;
mod servers;
