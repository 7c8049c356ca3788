//! What the README quotes is what the tree holds.

use std::{fs, path::Path};

#[test]
fn the_quoted_controller_is_the_tested_one() {
    let controller = read("hil-tests/tests/python/controller.py");
    assert!(read("README.md").contains(&format!("```python\n{controller}```")), "quote controller.py as it is");
}

#[test]
fn the_quoted_config_is_one_that_check_would_read() {
    let readme = read("README.md");
    let quoted =
        readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a config is quoted");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let models = folder.path().join("models");
    std::os::unix::fs::symlink(repository().join("models"), models).expect("a link");
    let config = folder.path().join("genba.toml");
    fs::write(&config, quoted).expect("a file");
    let genba = repository().join("target/release/genba");
    let checked = std::process::Command::new(genba).arg("check").arg("--config").arg(&config).output().expect("built");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn each_picture_is_there() {
    let readme = read("README.md");
    let pictures: Vec<_> = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let local: Vec<_> = pictures.iter().filter(|target| !target.starts_with("http")).collect();
    assert!(local.len() >= 3, "pictures and pages: {local:?}");
    for target in local {
        assert!(repository().join(target).exists(), "README.md names {target}, which is not there");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
