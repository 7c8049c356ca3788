//! Says where `libmujoco.so` lies at run time.
//!
//! A library's link arguments do not reach the binaries of its dependents. So each package with a
//! binary or a test that links `MuJoCo` has a build script that passes `DEP_PLANTS_RPATH` on; cargo
//! sets it, from the metadata below, for every package that names `plants` in its dependencies.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=MUJOCO_DYNAMIC_LINK_DIR");
    let mut folders = vec![
        // from target/release
        "$ORIGIN/../../native/lib".to_owned(),
        // from target/release/deps
        "$ORIGIN/../../../native/lib".to_owned(),
    ];
    // for a target folder that lies elsewhere
    folders.extend(env::var("MUJOCO_DYNAMIC_LINK_DIR"));
    let rpath = folders.join(":");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{rpath}");
    println!("cargo::metadata=rpath={rpath}");
}
