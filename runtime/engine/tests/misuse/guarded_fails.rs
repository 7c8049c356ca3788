//! Nobody but the guard builds a `Guarded`.
use engine::{Guarded, Origin};

fn main() {
    let _ = Guarded { values: [0.0; 64], origin: Origin::Model { clamped: false } };
}
