//! Weights in files of their own: read, held against their digests, part of what the model is.

use std::fs;
use std::os::unix::fs::symlink;

use manifest::{Domain, Problem};
use sha2::{Digest, Sha256};

use crate::folder::{Folder, VALID, changed};

const A: &[u8] = b"the first file";
const B: &[u8] = b"the second";

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn table(file: &str, bytes: &[u8]) -> String {
    format!("[[weights]]\nfile = {file:?}\nsha256 = \"{}\"\n", hex(bytes))
}

fn with(tables: &str) -> Folder {
    let folder = Folder::with(&format!("{VALID}{tables}"));
    fs::write(folder.path("a.bin"), A).expect("the folder can be written");
    fs::write(folder.path("b.bin"), B).expect("the folder can be written");
    folder
}

#[test]
fn weights_are_held_as_they_were_checked() {
    let manifest = with(&(table("b.bin", B) + &table("a.bin", A))).load().expect("both are as declared");
    let found: Vec<_> = manifest.weights().iter().map(|one| (one.file(), &one.bytes()[..])).collect();
    assert_eq!(found, [("b.bin", B), ("a.bin", A)]);
}

#[test]
fn the_models_digest_covers_them_in_whatever_order_they_are_declared() {
    let digest = |tables: &str| with(tables).load().expect("as declared").digest();
    let (a, b) = (table("a.bin", A), table("b.bin", B));
    let text = format!("genba-model-v1\n{}  model.onnx\n{}  a.bin\n{}  b.bin\n", hex(b"model"), hex(A), hex(B));
    assert_eq!(digest(&format!("{a}{b}")), <[u8; 32]>::from(Sha256::digest(text)));
    assert_eq!(digest(&format!("{a}{b}")), digest(&format!("{b}{a}")));
    assert_ne!(digest(&a), digest(&b));
    assert_eq!(digest(""), <[u8; 32]>::from(Sha256::digest("model")), "without any it is the file's own");
}

#[test]
fn weights_that_are_not_the_ones_signed_off() {
    let folder = with(&table("a.bin", A));
    fs::write(folder.path("a.bin"), B).expect("the folder can be written");
    let error = folder.load().expect_err("they are others");
    assert!(matches!(error.problem(), Problem::WrongDigest { .. }), "{error}");
    let place = error.position().expect("it has one");
    assert_eq!((place.line, place.column), (37, 10), "{error}");
    fs::write(folder.path("a.bin"), A).expect("the folder can be written");
    folder.load().expect("the negative control");
}

#[test]
fn weights_are_files_of_the_folder_and_no_others() {
    for file in ["", ".", "..", "../a.bin", "/etc/passwd", "sub/a.bin", "./a.bin", "a.bin/", "a\\b", "c:a", "a\nb"] {
        let complaint = with(&table(file, A)).complaint();
        let wanted = format!(
            "M/model.toml:36:8: weights {file:?} is not the name of a file in the model's folder; \
             put it beside the ONNX file"
        );
        assert_eq!(complaint, wanted);
    }
    let folder = with(&table("link.bin", A));
    let elsewhere = with("");
    symlink(elsewhere.path("a.bin"), folder.path("link.bin")).expect("a link can be made");
    assert_eq!(
        folder.complaint(),
        "M/model.toml:36:8: cannot read M/link.bin: a link leads out of the model's folder; \
         put the file there, or correct `file`"
    );
}

#[test]
fn a_file_is_declared_once() {
    let twice = with(&(table("a.bin", A) + &table("a.bin", A)));
    assert_eq!(twice.complaint(), "M/model.toml:39:8: the file \"a.bin\" is declared twice; remove one");
    let the_model = with(&table("model.onnx", b"model"));
    assert_eq!(the_model.complaint(), "M/model.toml:36:8: the file \"model.onnx\" is declared twice; remove one");
}

#[test]
fn operators_of_others_are_declared_by_a_known_name() {
    let domains = |list: &str| Folder::with(&changed("licence = ", &format!("domains = {list}\nlicence = ")));
    assert_eq!(domains("[]").load().expect("none").domains(), []);
    assert_eq!(domains("[\"com.microsoft\"]").load().expect("known").domains(), [Domain::Microsoft]);
    assert_eq!(
        domains("[\"com.vendor\"]").complaint(),
        "M/model.toml:6:12: domain \"com.vendor\" is unknown; ONNX's own need no mention, and only \"com.microsoft\" \
         can be added"
    );
}
