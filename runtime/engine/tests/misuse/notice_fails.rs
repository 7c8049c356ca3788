//! A notice cannot hold an action.
use engine::{Guarded, Notify};

fn smuggle(guarded: Guarded) -> Notify {
    Notify { connection: engine::ConnectionId(0), notice: guarded }
}

fn main() {
    let _ = smuggle;
}
