//! Everybody may read a `Guarded`.
use engine::{Guarded, Origin};

fn read(guarded: &Guarded) -> (&[f32], Origin) {
    (guarded.values(), guarded.origin())
}

fn main() {
    let _ = read;
}
