//! A refusal is an answer.
use engine::{Answer, Refusal};

fn main() {
    let _: fn(Refusal) -> Answer = Answer::Refusal;
}
