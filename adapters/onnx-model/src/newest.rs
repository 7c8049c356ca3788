//! The newest version of ONNX's operators that the library knows.
//!
//! It does not tell; it loads what it knows and refuses what it does not. So it is asked, with a graph of one operator, and
//! only where a model is newer than what every library knows that can be opened here.

use std::sync::OnceLock;

use crate::session::session;
use crate::{Library, Provider};

/// Every library that has the interface this crate is built for knows this version.
const KNOWN: u64 = 21;
/// A library that takes so many more than that is not the one that says where it ends.
const MORE: u64 = 64;

/// `Err`: the newest that it knows is older than this one.
pub(crate) fn knows(library: &Library, opset: u64) -> Result<(), u64> {
    // A process opens one library.
    static NEWEST: OnceLock<u64> = OnceLock::new();
    if opset <= KNOWN {
        return Ok(());
    }
    let loads = |opset: &u64| session(library, "opset", &copy(*opset), Provider::Cpu, &[]).is_ok();
    let newest = *NEWEST.get_or_init(|| (KNOWN + 1..=KNOWN + MORE).take_while(loads).last().unwrap_or(KNOWN));
    if opset <= newest { Ok(()) } else { Err(newest) }
}

/// A graph that copies its input, written for this version.
fn copy(opset: u64) -> Vec<u8> {
    let version = u8::try_from(opset).expect("no more than 85 is asked for");
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"Identity")].concat();
    let one_float = field(1, &[vec![1 << 3, 1], field(2, &field(1, &[1 << 3, 1]))].concat());
    let value = |name: &[u8]| [field(1, name), field(2, &one_float)].concat();
    let graph = [field(1, &node), field(2, b"copy"), field(11, &value(b"x")), field(12, &value(b"y"))].concat();
    [vec![1 << 3, 8], field(7, &graph), field(8, &[2 << 3, version])].concat()
}

/// A field of `onnx.proto` with these few bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("the graph is tiny");
    [&[number << 3 | 2, length], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::{KNOWN, copy, knows};
    use crate::inspect::{Allowed, inspect, opset};
    use crate::{Graph, Library, Provider};

    #[test]
    fn the_library_tells_by_what_it_loads() {
        let library = Library::find(None).unwrap_or_else(|error| panic!("{error}"));
        let library = Library::load(&library).unwrap_or_else(|error| panic!("{error}"));
        let newest = knows(&library, u64::MAX).expect_err("nobody knows that one");
        assert!((KNOWN..KNOWN + 60).contains(&newest), "{newest}");
        for opset in [7, KNOWN, newest] {
            assert_eq!(knows(&library, opset), Ok(()));
            Graph::load(&library, "copy", &copy(opset), Provider::Cpu).expect("what it knows is loaded");
        }
        assert_eq!(knows(&library, newest + 1), Err(newest));
        let refused = Graph::load(&library, "copy", &copy(newest + 1), Provider::Cpu).err().expect("it is too new");
        let wanted = format!(
            "it is written for version {} of ONNX's operators, and this library knows none after {newest}; \
             export the model for an older one, or use a newer library",
            newest + 1
        );
        assert_eq!(refused.to_string(), wanted);
    }

    #[test]
    fn the_graph_that_asks_is_one_itself() {
        assert_eq!((inspect(&copy(7), Allowed::default()), opset(&copy(7))), (Ok(()), Some(7)));
    }
}
