//! Lets the binary and the tests find `libmujoco.so`; the build script of `plants` says where it lies.

use std::env;

fn main() {
    let rpath = env::var("DEP_PLANTS_RPATH").expect("`plants` is a dependency and names its folders");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{rpath}");
}
