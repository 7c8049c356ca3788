//! The audit chain: what left the box, to whom, under which rule. On the disk before it leaves.
//!
//! # The file
//!
//! JSON lines, one record a line, in `journal-000001.jsonl` and the files after it. A line ends in `,"hash":"…"}` and a
//! newline. The hash is the SHA-256, in lower-case hexadecimal digits, of the line's bytes before `,"hash":"`; the next
//! line's `prev` is that hash, and its `n` one more, through all files. The first record has 64 zeros for `prev`. So
//!
//! ```sh
//! line=$(sed -n 2p journal-000001.jsonl); printf %s "${line%,\"hash\":*}" | sha256sum
//! ```
//!
//! prints the second record's hash. A `head` is the box's Ed25519 signature over the text of four lines
//! `genba journal head`, `box NAME`, `record N`, `hash HASH`, each with its newline, for the record before it; a
//! `recovered` is signed likewise. `adapters/journal/tests/verify.py` checks all of that with nothing but Python.
//!
//! # What it claims
//!
//! * An attempt's [`Receipt`] is given only after its intent is on the disk (`fdatasync` returned). One sync serves all
//!   intents that wait. Every receipt ends in one outcome; one that never comes is *in doubt* at the next start.
//! * A record is signed only after it is on the disk, together with all before it. So damage before a signature is no
//!   torn write, and a start refuses it ([`OpenError::Damaged`]) in place of cutting it.
//! * Policy commits are records of the same chain, and the one writer checks each intent against them: the chain's order is
//!   the order of what was allowed.
//! * A disk that fails makes the journal refuse, with a reason. It recovers by itself, in a new file, with a signed
//!   record of what was cut.
//!
//! What it cannot claim: against who has the box's key and can write journal and anchors, nothing. [`verify`] says how
//! far outside copies of heads reach, and that without one nothing is proven to who does not trust the box.

mod hex;
mod record;
mod stamp;

mod anchor;
mod disk;
mod error;
mod files;
mod key;
mod line;

mod journal;
mod queue;
mod receipt;
mod scan;
mod writer;

mod reader;
mod verify;

mod export;
mod report;

pub use anchor::{AnchorStatus, AnchoredHead};
pub use error::{Fault, OpenError, Refusal};
pub use export::{ExportError, export_lines, export_table};
pub use files::list;
pub use hex::{Hash, Hex, Signature};
pub use journal::{Journal, Settings};
pub use key::{BoxKey, KeyError, PublicKey};
pub use line::{Line, LineFault};
pub use reader::{Piece, Reader};
pub use receipt::{Pending, Receipt};
pub use record::{
    Closed, Continued, Ended, FieldClass, Head, Intent, Latency, OpenIntent, Opened, Outcome, Peer, PolicyChange,
    Record, Recovered, RecoveredWhy, Refused, RefusedReason, Rotated, Unrecorded,
};
pub use report::{ClockSum, Left, RefusedSum, Report, report};
pub use stamp::{Clock, ClockQuality, Month, NotAMonth, Stamp, rfc3339};
pub use verify::{CutHow, Finding, How, Verdict, verify};
pub use writer::Status;

#[cfg(test)]
mod tests;
