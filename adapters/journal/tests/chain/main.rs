//! The chain from outside: altered, cut, forged, killed, and verified by another program.

mod kill;
mod made;
mod python;
mod report;
mod tamper;
