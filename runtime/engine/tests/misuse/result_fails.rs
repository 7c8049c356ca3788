//! A result of a one-off request is no action, and nobody but the guard builds one.
use engine::{Answer, Ranged, Replied};

fn smuggle(result: Ranged) -> Answer {
    Answer::Guarded(result)
}

fn main() {
    let _: fn(Ranged) -> Replied = Replied::Result;
    let _ = Ranged([0.0f32; 64]);
    let _ = smuggle;
}
