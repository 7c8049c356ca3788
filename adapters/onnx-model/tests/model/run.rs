//! Runs, and runs that fail.

use std::num::NonZeroUsize;
use std::thread;

use onnx_model::{Model, Provider, RunError};

use crate::folder::{beside, library};

#[test]
fn the_output_follows_the_input_from_run_to_run() {
    let mut model = beside("double").model().expect("it fits");
    for round in [1.0_f32, -2.5, 0.0, f32::MAX] {
        model.input_mut().copy_from_slice(&[round, 1.0, -1.0]);
        let output = model.run().expect("an addition cannot fail").to_vec();
        assert_eq!(bits(&output), bits(&[round + round, 2.0, -2.0]));
    }
}

#[test]
fn several_at_once_where_the_graph_leaves_their_number_open() {
    let two = NonZeroUsize::new(2).expect("two is not zero");
    let batch =
        |graph| Model::load_batch(&library(), &beside(graph).manifest(), Provider::Cpu, two).map_err(|e| e.to_string());
    let mut model = batch("double_batch").expect("it takes any number");
    assert!(model.has_free_batch());
    model.input_mut().copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(bits(model.run().expect("an addition cannot fail")), bits(&[2.0, 4.0, 6.0, 8.0, 10.0, 12.0]));

    assert!(!beside("double").model().expect("it fits").has_free_batch());
    assert!(batch("double").is_err(), "it takes one");
}

#[test]
fn a_number_that_is_none_comes_out_as_it_is() {
    let mut model = beside("double").model().expect("it fits");
    model.input_mut().fill(f32::NAN);
    assert!(model.run().expect("NaN is no error of a run").iter().all(|number| number.is_nan()));
}

#[test]
fn a_run_that_fails_leaves_the_model_usable_and_its_input_as_it_was() {
    let mut model = beside("gather").model().expect("zeros are inside the table");
    for _ in 0..3 {
        model.input_mut().copy_from_slice(&[0.0, 9.0, 1.0]);
        let error = model.run().expect_err("9 is outside the table");
        assert!(matches!(&error, RunError::Failed(reason) if reason.contains("out of data bounds")), "{error:?}");
        assert_eq!(bits(model.input_mut()), bits(&[0.0, 9.0, 1.0]));

        model.input_mut()[1] = 2.0;
        assert_eq!(bits(model.run().expect("all are inside the table")), bits(&[10.0, 30.0, 20.0]));
    }
}

#[test]
fn each_worker_runs_its_own_model() {
    let folder = beside("double");
    let workers: Vec<_> = [1.0_f32, 2.0]
        .into_iter()
        .map(|number| {
            let mut model = folder.model().expect("it fits");
            thread::spawn(move || {
                for _ in 0..200 {
                    model.input_mut().fill(number);
                    let output = model.run().expect("an addition cannot fail");
                    assert_eq!(bits(output), bits(&[number + number; 3]));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no worker saw another's numbers");
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().copied().map(f32::to_bits).collect()
}
