//! Nobody changes what was guarded.
use engine::Guarded;

fn change(guarded: &mut Guarded) {
    guarded.values()[0] = 1e9;
}

fn main() {
    let _ = change;
}
