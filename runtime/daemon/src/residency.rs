//! residency: the policy file, who asks it, and what it says of every way out of the box.
//!
//! The decision is the engine's ([`engine::residency`]); names, files and what happens when a file changes are here.
//! Nothing here may be called by a thread that holds the engine's lock or serves a deadline: a change of policy waits
//! for the disk.

mod current;
mod data;
mod file;
mod matrix;
mod template;

#[cfg(test)]
mod tests;

pub(crate) use current::{Change, Commits, Current, Denied, Looked, Refusal, Ruled};
pub(crate) use file::{Policy, PolicyError};
pub(crate) use matrix::{Leaves, leaves, refuse_open_ways};
pub(crate) use template::Template;
