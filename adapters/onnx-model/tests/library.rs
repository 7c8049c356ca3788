//! Which library is opened, and what is said where it cannot be. One test: a process opens one library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use onnx_model::{Library, LoadError};

#[test]
fn a_process_opens_the_first_library_that_will_do_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = folder.path().join("text.so");
    fs::write(&text, "not a library").expect("a file can be written");

    let missing = folder.path().join("missing.so");
    assert!(matches!(refused(&missing), LoadError::Open { path, .. } if path == missing));
    assert!(matches!(refused(&text), LoadError::Open { path, .. } if path == text));

    let other = compile(folder.path(), "other", "#[unsafe(no_mangle)] pub extern \"C\" fn something_else() {}");
    assert!(matches!(refused(&other), LoadError::NotOnnxRuntime { path } if path == other));

    let old = compile(folder.path(), "old", OLD);
    let error = refused(&old);
    assert!(matches!(&error, LoadError::TooOld { path, found, needed_minor: 24 } if *path == old && found == "1.20.1"));
    assert_eq!(
        error.to_string(),
        format!("{} is ONNX Runtime 1.20.1, but 1.24 or newer is needed; `make native` fetches one", old.display())
    );

    let found = Library::find(None).unwrap_or_else(|error| panic!("{error}"));
    let library = Library::load(&found).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(library.path(), found.canonicalize().expect("it was just opened"));
    let minor = library.version().strip_prefix("1.").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    assert!(minor >= Some(24), "{} is new enough", library.version());

    let again = Library::load(&found).expect("the same library is returned again");
    assert_eq!((again.path(), again.version()), (library.path(), library.version()));
    assert!(matches!(refused(&old), LoadError::Another { asked, opened } if asked == old && opened == library.path()));
}

/// What ONNX Runtime 1.20.1 answers to the first question.
const OLD: &str = r#"
#[repr(C)]
pub struct Base(extern "C" fn(u32) -> usize, extern "C" fn() -> *const u8);
extern "C" fn api(_: u32) -> usize { 0 }
extern "C" fn version() -> *const u8 { c"1.20.1".as_ptr().cast() }
static BASE: Base = Base(api, version);
#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> &'static Base { &BASE }
"#;

fn refused(path: &Path) -> LoadError {
    Library::load(path).expect_err("this file must be refused")
}

fn compile(folder: &Path, name: &str, source: &str) -> PathBuf {
    let (input, output) = (folder.join(name).with_extension("rs"), folder.join(name).with_extension("so"));
    fs::write(&input, source).expect("a file can be written");
    let compiled = Command::new("rustc")
        .args(["--edition=2024", "--crate-type=cdylib", "-o"])
        .args([&output, &input])
        .status()
        .expect("rustc is there, it compiled this test");
    assert!(compiled.success(), "rustc compiles {name}");
    output
}
