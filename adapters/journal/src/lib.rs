//! What left the box, to whom and under which rule, on disk before it leaves: the audit chain; and the spool, which
//! keeps durable requests until they are delivered.
//!
//! Nothing here is for a thread that controls: it locks, allocates and waits for the disk.

pub mod chain;
pub mod spool;
