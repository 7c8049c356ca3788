//! A result is what a reply says, and everybody may read it.
use engine::{Ranged, Replied};

fn read(result: &Ranged) -> &[f32] {
    result.values()
}

fn main() {
    let _: fn(Ranged) -> Replied = Replied::Result;
    let _ = read;
}
