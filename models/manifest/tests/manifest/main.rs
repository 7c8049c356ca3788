//! The manifest as a user meets it: files in a folder, and what is said about them.

mod committed;
mod contract;
mod folder;
mod golden;
mod image;
mod plan;
mod refused;
mod several;
mod valid;
mod weights;
