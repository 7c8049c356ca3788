//! Several inputs and outputs, of every type.

use std::num::NonZeroUsize;
use std::path::Path;

use manifest::{Dtype, Manifest};
use onnx_model::{Model, Provider, RunError};

use crate::folder::{ENVELOPE, Folder, LIMITS, described, elements, library};

/// Of `make.py`: the observation is f32, every other type is joined and comes out as a result.
fn types() -> (Manifest, Model) {
    types_in_batches(&[])
}

fn types_in_batches(sizes: &[NonZeroUsize]) -> (Manifest, Model) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/types");
    let manifest = Manifest::load(&folder).unwrap_or_else(|error| panic!("{error}"));
    let model = Model::load_batches(&library(), &manifest, Provider::Cpu, sizes);
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    (manifest, model)
}

/// What goes in as f32, and what comes out of a graph that hands it on in this type.
fn through(dtype: Dtype) -> ([f32; 3], [f32; 3]) {
    match dtype {
        Dtype::F32 => ([0.1, -1e-30, 3e38], [0.1, -1e-30, 3e38]),
        Dtype::F16 => ([2049.0, -0.5, 65_504.0], [2048.0, -0.5, 65_504.0]),
        Dtype::Bf16 => ([257.0, 259.0, 1e38], [256.0, 260.0, f32::from_bits(0x7e96_0000)]),
        Dtype::I8 => ([-128.0, 127.0, 2.5], [-128.0, 127.0, 2.0]),
        Dtype::I16 => ([-32_768.0, 32_767.0, -0.4], [-32_768.0, 32_767.0, 0.0]),
        Dtype::I32 => ([-2_147_483_648.0, 16_777_216.0, 1.5], [-2_147_483_648.0, 16_777_216.0, 2.0]),
        Dtype::I64 => ([-9.223_372e18, 1e18, 7.0], [-9.223_372e18, 1e18, 7.0]),
        Dtype::U8 => ([0.0, 255.0, 128.0], [0.0, 255.0, 128.0]),
        Dtype::Bool => ([0.0, 1.0, -0.0], [0.0, 1.0, 0.0]),
    }
}

#[test]
fn every_type_goes_in_and_comes_out() {
    let (manifest, mut model) = types();
    let declared = || manifest.inputs().iter().zip(manifest.outputs());
    for (input, _) in declared() {
        model.input_mut(input.place).copy_from_slice(&through(input.tensor.dtype).0);
    }
    let outputs = model.run().unwrap_or_else(|error| panic!("{error}"));
    for (input, output) in declared() {
        let dtype = input.tensor.dtype;
        assert_eq!((output.tensor.dtype, outputs.output(output.place)), (dtype, &through(dtype).1[..]), "{dtype}");
    }
    assert_eq!(outputs.action(), &through(Dtype::F32).1[..]);
}

#[test]
fn every_type_is_batched() {
    let four = NonZeroUsize::new(4).expect("four is not zero");
    let (manifest, mut model) = types_in_batches(&[four]);
    assert_eq!(model.largest_batch(), four);
    let mut batch = model.batch(3).expect("there is room");
    for input in manifest.inputs() {
        batch.row_mut(input.place, 1).copy_from_slice(&through(input.tensor.dtype).0);
    }
    let outputs = batch.run().unwrap_or_else(|error| panic!("{error}"));
    for output in manifest.outputs() {
        let of_row = [&[0.0; 3], &through(output.tensor.dtype).1, &[0.0; 3], &[0.0; 3]];
        for (row, wanted) in of_row.into_iter().enumerate() {
            assert_eq!(outputs.row(output.place, row), wanted, "row {row} of {}", output.tensor.name);
        }
    }
}

#[test]
fn a_number_that_a_type_cannot_hold_fails_the_run_by_name() {
    let (manifest, mut model) = types();
    for (name, number, shown) in [
        ("in_f16", 65_520.0, "65520"),
        ("in_i8", 128.0, "128"),
        ("in_i32", 2_147_483_648.0, "2147483600"),
        ("in_i64", f32::INFINITY, "inf"),
        ("in_u8", -1.0, "-1"),
        ("in_bool", 0.5, "0.5"),
    ] {
        let input = manifest.inputs().iter().find(|input| input.tensor.name == name).expect("it has this input");
        model.input_mut(input.place)[2] = number;
        let error = model.run().err().expect("it cannot be held");
        let dtype = input.tensor.dtype;
        let wanted = RunError::Input { name: name.to_owned(), dtype, element: 2, value: shown.to_owned() };
        assert_eq!(error, wanted);
        assert_eq!(
            error.to_string(),
            format!("the input {name:?} is {dtype}, which cannot hold its element 2, {shown}")
        );
        model.input_mut(input.place)[2] = 1.0;
        model.run().unwrap_or_else(|error| panic!("the negative control: {error}"));
    }
}

/// The graph `recurrent`, which adds each observation to its state; its tables stand in another order than the graph's.
fn recurrent() -> Folder {
    let (inputs, outputs) = (elements("", 3, ""), elements("", 3, LIMITS));
    described(
        "recurrent",
        &format!(
            "[[input]]\nname = \"observation\"\ndtype = \"f32\"\nshape = [1, 3]\nelements = [{inputs}]\n\
             [[input]]\nname = \"hidden_in\"\nsource = \"recurrent\"\noutput = \"hidden\"\ndtype = \"f16\"\nshape = [1, 3]\n\
             [[output]]\nname = \"hidden\"\nrole = \"state\"\ndtype = \"f16\"\nshape = [1, 3]\n\
             [[output]]\nname = \"target\"\ndtype = \"f32\"\nshape = [1, 3]\nelements = [{outputs}]\n\
             {ENVELOPE}[state]\nmax_gap_us = 1000\n"
        ),
    )
}

#[test]
fn state_is_fed_back_by_the_caller_in_the_manifests_order() {
    let folder = recurrent();
    let (manifest, mut model) = (folder.manifest(), folder.model().unwrap_or_else(|error| panic!("{error}")));
    let (hidden_in, hidden) = (manifest.inputs()[1].place, manifest.outputs()[0].place);
    let mut state = vec![0.0; 3];
    for step in 1..=4_u8 {
        model.observation_mut().copy_from_slice(&[1.0, 2.0, -0.5]);
        model.input_mut(hidden_in).copy_from_slice(&state);
        let outputs = model.run().unwrap_or_else(|error| panic!("{error}"));
        let times = f32::from(step);
        assert_eq!(outputs.action(), [times, 2.0 * times, -0.5 * times]);
        state.copy_from_slice(outputs.output(hidden));
    }
}

#[test]
fn open_sizes_of_one_name_are_declared_alike() {
    let tables = |width: usize| {
        let second = elements("b", 2 * width, "");
        format!(
            "[[input]]\nname = \"observation\"\ndtype = \"f32\"\nshape = [1, 3]\nelements = [{}]\n\
             [[input]]\nname = \"second\"\nsource = \"joined\"\ndtype = \"f32\"\nshape = [2, {width}]\nelements = [{second}]\n\
             [[output]]\nname = \"target\"\ndtype = \"f32\"\nshape = [2, 3]\nelements = [{}]\n{ENVELOPE}",
            elements("a", 3, ""),
            elements("", 6, LIMITS),
        )
    };
    assert_eq!(
        described("open_width", &tables(1)).complaint(),
        "M/model.toml: the graph's inputs share the open size \"width\", but the manifest says 3 and 1; correct the shapes"
    );
    let mut model = described("open_width", &tables(3)).model().unwrap_or_else(|error| panic!("{error}"));
    model.observation_mut().fill(1.0);
    assert_eq!(model.run().expect("an addition cannot fail").action(), [1.0; 6]);
}
