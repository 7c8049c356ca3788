//! Files that claim gigabytes in a few bytes are refused before the memory is taken: in a process that could not have it.
//!
//! The test starts itself for each file, with an address space that ends a little above what the library takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use onnx_model::{Graph, GraphError, Library, Provider};

/// In the child: the file to load.
const FILE: &str = "GENBA_HOSTILE_FILE";
/// In the child: to take what the files claim.
const TAKE: &str = "GENBA_HOSTILE_TAKE";
/// What a load of a tiny graph needs at most.
const ROOM: u64 = 256 << 20;

#[test]
fn a_file_that_claims_gigabytes_is_refused_before_memory_is_taken() {
    if let Some(file) = std::env::var_os(FILE) {
        return child(Path::new(&file));
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let good =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/gather.onnx")).expect("it is committed");
    let mut files = vec![
        ("good", good.clone(), "loaded"),
        ("weights of a few bytes", initializer(&[1 << 20, 1 << 12], 1, &[0; 16]), "refused"),
        ("made of a shape", constant_of_shape(), "refused"),
        ("a length beyond the end", [&good[..], b"\x3a\xff\xff\xff\xff\x0f"].concat(), "refused"),
        ("nested without end", field(7, &nested(1_000)), "refused"),
        (
            "an operator of somebody's",
            field(7, &field(1, &[field(4, b"Own"), field(7, b"vendor")].concat())),
            "refused",
        ),
    ];
    // A file that ends between two fields can be read to its end; then the library says what is missing.
    let cuts = (1..good.len()).step_by(good.len() / 8);
    files.extend(cuts.map(|cut| ("cut short", good[..cut].to_vec(), "refused, or not loaded")));
    for (what, bytes, wanted) in files {
        let said = ask(folder.path(), &bytes, false);
        assert!(wanted.split(", or ").any(|wanted| said == wanted), "{what}: {said}, not {wanted}");
    }
    assert_eq!(ask(folder.path(), &good, true), "no memory", "the negative control: there is not so much");
}

/// What a child makes of the file: one of the words below, or how it ended.
fn ask(folder: &Path, bytes: &[u8], take: bool) -> String {
    let file = folder.join("model.onnx");
    fs::write(&file, bytes).expect("the temporary folder can be written");
    let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
    command.args(["--exact", "a_file_that_claims_gigabytes_is_refused_before_memory_is_taken", "--nocapture"]);
    command.env(FILE, &file);
    if take {
        command.env(TAKE, "1");
    }
    let output = command.output().expect("this test can be started");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.split_once("outcome: ").map(|(_, outcome)| outcome.to_owned()));
    said.unwrap_or_else(|| output.status.to_string())
}

fn child(file: &Path) {
    let library = Library::load(&Library::find(None).expect("make native")).expect("make native");
    let bytes = fs::read(file).expect("the parent wrote it");
    limit_memory();
    let outcome = if std::env::var_os(TAKE).is_some() {
        let taken = Vec::<u8>::new().try_reserve_exact(1 << 30);
        if taken.is_ok() { "memory" } else { "no memory" }
    } else {
        match Graph::load(&library, "hostile", &bytes, Provider::Cpu) {
            Ok(_) => "loaded",
            Err(GraphError::Refused(_)) => "refused",
            Err(GraphError::Session { .. }) => "not loaded",
            Err(GraphError::Panicked(_)) => "panicked",
        }
    };
    println!("\noutcome: {outcome}");
}

#[allow(unsafe_code, reason = "setrlimit; the standard library has none")]
fn limit_memory() {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux tells a process its size");
    let pages: u64 =
        pages.split(' ').next().and_then(|pages| pages.parse().ok()).expect("its first number is the size");
    let bytes = pages * 4096 + ROOM;
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: it reads the one struct that is given to it, and it is this child's own limit.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(set, 0, "a process may lower its own limit");
}

/// A graph with one tensor of this type that claims these dimensions.
fn initializer(dimensions: &[usize], dtype: u8, data: &[u8]) -> Vec<u8> {
    field(7, &field(5, &tensor(dimensions, dtype, data)))
}

/// A graph whose output is 2^40 zeros by a shape that stands in the file.
fn constant_of_shape() -> Vec<u8> {
    let node = [field(1, b"weights"), field(2, b"y"), field(4, b"ConstantOfShape")].concat();
    let opset = field(8, &[2 << 3, 17]);
    let shape = tensor(&[1], 7, &(1_i64 << 40).to_le_bytes());
    let output = [field(1, b"y"), field(2, &field(1, &[1 << 3, 1]))].concat();
    let graph = [field(1, &node), field(2, b"large"), field(5, &shape), field(12, &output)].concat();
    [vec![1 << 3, 8], field(7, &graph), opset].concat()
}

fn tensor(dimensions: &[usize], dtype: u8, data: &[u8]) -> Vec<u8> {
    let dimensions: Vec<u8> = dimensions.iter().flat_map(|&size| [varint(1 << 3), varint(size)].concat()).collect();
    [dimensions, vec![2 << 3, dtype], field(8, b"weights"), field(9, data)].concat()
}

/// A field that holds `bytes`, as protocol buffers lay it out.
fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(bytes.len()), bytes.to_vec()].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number & 127).expect("seven bits") | 128);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).expect("seven bits"));
    bytes
}

/// Graphs in attributes in nodes.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| field(1, &field(5, &field(6, &inner))))
}
