//! One call of ONNX Runtime with memory that was laid out before.
//!
//! The binding's own `run` collects names and values anew each time, and allocates from the fifth output or the seventh
//! input on. Here the names are made once, and a run of any model that a manifest describes allocates nothing in Rust.

use std::ffi::{CString, c_char};
use std::ptr;

use manifest::{MAX_TENSORS, Manifest};
use ort::AsPointer;
use ort::session::Session;

use crate::tensor::Faced;

/// The names of a graph's tensors, as ONNX Runtime reads them.
pub(crate) struct Names {
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

impl Names {
    /// In the manifest's order; there are at most [`MAX_TENSORS`] of each.
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let name = |name: &String| CString::new(name.as_bytes()).expect("a manifest's names are printable");
        Self {
            inputs: manifest.inputs().iter().map(|input| name(&input.tensor.name)).collect(),
            outputs: manifest.outputs().iter().map(|output| name(&output.tensor.name)).collect(),
        }
    }
}

/// Runs the graph on `inputs` into `outputs`, which must be in the order of `names`.
#[allow(unsafe_code, reason = "the C interface of ONNX Runtime")]
pub(crate) fn run(session: &mut Session, names: &Names, inputs: &[Faced], outputs: &mut [Faced]) -> ort::Result<()> {
    assert_eq!((inputs.len(), outputs.len()), (names.inputs.len(), names.outputs.len()), "each tensor has its name");
    let mut values = [ptr::null(); MAX_TENSORS];
    let mut results = [ptr::null_mut(); MAX_TENSORS];
    for (place, input) in values.iter_mut().zip(inputs) {
        *place = input.memory.ptr();
    }
    for (place, output) in results.iter_mut().zip(&mut *outputs) {
        *place = output.memory.ptr_mut();
    }
    let (input_names, output_names) = (pointers(&names.inputs), pointers(&names.outputs));
    // SAFETY: each array holds at least as many valid pointers as the count beside it says: C strings and values that
    // outlive the call, since they are borrowed here. The session is borrowed alone, as are the values that are written.
    // Without options the library's defaults hold. Values that are given are filled and never replaced.
    let status = unsafe {
        (ort::api().Run)(
            session.ptr_mut(),
            ptr::null(),
            input_names.as_ptr(),
            values.as_ptr(),
            inputs.len(),
            output_names.as_ptr(),
            outputs.len(),
            results.as_mut_ptr(),
        )
    };
    // SAFETY: the status was just returned by that call and is given away here, once.
    unsafe { ort::Error::result_from_status(status) }
}

fn pointers(names: &[CString]) -> [*const c_char; MAX_TENSORS] {
    let mut pointers = [ptr::null(); MAX_TENSORS];
    for (place, name) in pointers.iter_mut().zip(names) {
        *place = name.as_ptr();
    }
    pointers
}
