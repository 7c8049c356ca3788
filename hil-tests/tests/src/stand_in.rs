//! Stand-ins for Nvidia's libraries, so that ONNX Runtime's real CUDA provider can be loaded, told its options and asked
//! what it takes, on a machine without a GPU. **They compute nothing**: every function says that it succeeded.
//!
//! What is shown with them is what ONNX Runtime does before a GPU would be asked to compute. It is no test on a GPU.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What answers more than that it succeeded. `DEVICES` is how many GPUs there are.
const SPECIAL: [(&str, &str); 9] = [
    (
        "cudaGetErrorString",
        "const char *cudaGetErrorString(int e) { return e == 100 ? \"no CUDA-capable device is detected\" : \"no error\"; }",
    ),
    (
        "cudaGetErrorName",
        "const char *cudaGetErrorName(int e) { return e == 100 ? \"cudaErrorNoDevice\" : \"cudaSuccess\"; }",
    ),
    ("cudaGetDeviceCount", "int cudaGetDeviceCount(int *n) { *n = DEVICES; return DEVICES ? 0 : 100; }"),
    ("cudaSetDevice", "int cudaSetDevice(int d) { return d < DEVICES ? 0 : 100; }"),
    ("cudaGetDevice", "int cudaGetDevice(int *d) { *d = 0; return 0; }"),
    ("cudaMalloc", "int cudaMalloc(void **p, unsigned long n) { *p = calloc(n, 1); return 0; }"),
    ("cudaFree", "int cudaFree(void *p) { free(p); return 0; }"),
    ("cudaMemGetInfo", "int cudaMemGetInfo(unsigned long *f, unsigned long *t) { *f = *t = 1ul << 33; return 0; }"),
    ("cudaGetDeviceProperties", "int cudaGetDeviceProperties(char *p, int d) { memset(p, 0, 1008); return 0; }"),
];
/// Further ones that hand out memory.
const ALLOCATING: [(&str, &str); 5] = [
    ("cudaMallocHost", "int cudaMallocHost(void **p, unsigned long n) { *p = calloc(n, 1); return 0; }"),
    ("cudaHostAlloc", "int cudaHostAlloc(void **p, unsigned long n, unsigned f) { *p = calloc(n, 1); return 0; }"),
    ("cudaFreeHost", "int cudaFreeHost(void *p) { free(p); return 0; }"),
    (
        "cudaStreamCreateWithFlags",
        "int cudaStreamCreateWithFlags(void **s, unsigned f) { *s = calloc(8, 1); return 0; }",
    ),
    ("cudaDeviceGetAttribute", "int cudaDeviceGetAttribute(int *v, int a, int d) { *v = 8; return 0; }"),
];

/// `TensorRT`'s libraries and what the provider calls of them; their symbols have no versions.
const TENSORRT: [(&str, &[&str]); 2] = [
    (
        "libnvinfer.so.10",
        &[
            "createInferBuilder_INTERNAL",
            "createInferRefitter_INTERNAL",
            "createInferRuntime_INTERNAL",
            "getInferLibVersion",
            "getPluginRegistry",
        ],
    ),
    ("libnvonnxparser.so.10", &["createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL"]),
];

/// Builds stand-ins for `TensorRT` 10 into `folder`. They hand out nothing: only a provider that stops before it asks them
/// may be loaded over them.
///
/// # Panics
/// If cc does not work.
pub fn tensorrt_stand_ins(folder: &Path) {
    for (library, functions) in TENSORRT {
        compile(library, &functions.iter().map(ToString::to_string).collect(), 0, folder);
    }
}

/// Builds stand-ins for what these provider libraries open of CUDA and cuDNN, with so many GPUs, into `folder`.
///
/// # Panics
/// If nm or cc, which building genba needs as well, does not work.
pub fn stand_ins(providers: &[PathBuf], devices: u32, folder: &Path) {
    let mut libraries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Without a symbol that the provider names: opened all the same.
    libraries.entry("libcurand.so.10".to_owned()).or_default();
    for provider in providers {
        let listed = Command::new("nm").args(["-D", "--undefined-only"]).arg(provider).output().expect("nm runs");
        let listed = String::from_utf8(listed.stdout).expect("nm prints ASCII");
        for symbol in listed.lines().filter_map(|line| line.split_whitespace().next_back()) {
            let (name, library) = symbol.split_once('@').unwrap_or((symbol, "libcuda.so.1"));
            if library.starts_with("libcu") && (name.starts_with("cu") || library != "libcuda.so.1") {
                libraries.entry(library.to_owned()).or_default().insert(name.to_owned());
            }
        }
    }
    for (library, functions) in &libraries {
        compile(library, functions, devices, folder);
    }
}

fn compile(library: &str, functions: &BTreeSet<String>, devices: u32, folder: &Path) {
    let mut source = format!("#include <stdlib.h>\n#include <string.h>\n#define DEVICES {devices}\n");
    for function in functions {
        let special = SPECIAL.iter().chain(&ALLOCATING).find(|(name, _)| name == function);
        let plain = format!("int {function}(void) {{ return 0; }}");
        writeln!(source, "{}", special.map_or(plain.as_str(), |(_, body)| body)).expect("it is a String");
    }
    let (input, versions) = (folder.join("stand_in.c"), folder.join("stand_in.map"));
    fs::write(&input, source).expect("the folder can be written");
    let version = if library.starts_with("libcu") { library } else { "" };
    fs::write(&versions, format!("{version} {{ global: *; }};\n")).expect("the folder can be written");
    let compiled = Command::new("cc")
        .args(["-w", "-fno-builtin", "-shared", "-fPIC"])
        .arg(format!("-Wl,-soname,{library},--version-script={}", versions.display()))
        .arg("-o")
        .arg(folder.join(library))
        .arg(&input)
        .output()
        .expect("cc runs");
    assert!(compiled.status.success(), "{library}: {}", String::from_utf8_lossy(&compiled.stderr));
}
