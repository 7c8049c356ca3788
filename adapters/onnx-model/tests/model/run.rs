//! Runs, and runs that fail.

use std::num::NonZeroUsize;
use std::thread;

use onnx_model::{Model, ModelError, Provider, RunError};

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
    let sizes = [2, 4].map(|size| NonZeroUsize::new(size).expect("it is not zero"));
    let load = |graph| Model::load_batches(&library(), &beside(graph).manifest(), Provider::Cpu, &sizes);
    let mut model = load("double_batch").expect("it takes any number");
    assert_eq!(model.largest_batch(), sizes[1]);
    for (members, rows) in [(1, 1), (2, 2), (3, 4), (4, 4)] {
        let mut batch = model.batch(members).expect("there is room");
        assert_eq!(batch.input_mut().len(), rows * 3);
        for (number, value) in (1_u8..).zip(batch.input_mut()) {
            *value = number.into();
        }
        let doubled: Vec<_> = (1..).map(|number: u8| f32::from(number) * 2.0).take(rows * 3).collect();
        assert_eq!(bits(batch.run().expect("an addition cannot fail")), bits(&doubled));
    }
    assert!(model.batch(5).is_none());

    let one = load("double").expect("it fits, one at a time");
    assert_eq!(one.largest_batch(), NonZeroUsize::MIN);
}

#[test]
fn a_model_whose_rows_depend_on_each_other_is_not_batched() {
    let two = NonZeroUsize::new(2).expect("two is not zero");
    let load = |sizes: &[NonZeroUsize]| {
        Model::load_batches(&library(), &beside("mean_of_rows").manifest(), Provider::Cpu, sizes).map(|_| ())
    };
    let refused = load(&[two]).expect_err("what one robot gets depends on the other");
    assert!(matches!(refused, ModelError::RowsDepend { rows, .. } if rows == two), "{refused}");
    load(&[]).expect("alone it runs");
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
