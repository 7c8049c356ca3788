//! A refusal cannot carry an action.
use engine::{Answer, Guarded, Refusal};

fn smuggle(guarded: Guarded) -> Answer {
    Answer::Refusal(guarded)
}

fn main() {
    let _: fn(Refusal) -> Answer = Answer::Refusal;
    let _ = smuggle;
}
