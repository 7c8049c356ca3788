//! Raw values are no answer, and nobody but the engine builds a `Send`.
use engine::{Answer, Send};

fn main() {
    let _ = Send { answer: Answer::Guarded([0.0f32; 6]) };
}
