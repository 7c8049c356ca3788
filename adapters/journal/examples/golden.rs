//! Writes the journal that `tests/golden` holds: `golden FOLDER`. A later version must still verify what an earlier one wrote,
//! so that folder is never written again.

use std::{fs, path::PathBuf};

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/chain/made.rs"]
mod made;

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder is the argument"));
    made::small(&folder);
    // Nobody needs the key, and no key is ever given away.
    fs::remove_file(folder.join("box.key")).expect("the key is removed");
    fs::remove_file(folder.join("journal/lock")).expect("the lock is removed");
}
