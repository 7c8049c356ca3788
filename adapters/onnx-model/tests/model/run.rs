//! Runs, and runs that fail.

use std::num::NonZeroUsize;
use std::thread;

use onnx_model::{Model, ModelError, Provider, RunError};

use crate::folder::{beside, library};

#[test]
fn the_output_follows_the_input_from_run_to_run() {
    let mut model = beside("double").model().expect("it fits");
    for round in [1.0_f32, -2.5, 0.0, f32::MAX] {
        model.observation_mut().copy_from_slice(&[round, 1.0, -1.0]);
        let output = model.run().expect("an addition cannot fail").action().to_vec();
        assert_eq!(bits(&output), bits(&[round + round, 2.0, -2.0]));
    }
}

#[test]
fn several_at_once_where_the_graph_leaves_their_number_open() {
    let sizes = [2, 4].map(|size| NonZeroUsize::new(size).expect("it is not zero"));
    let load = |graph| Model::load_batches(&library(), &beside(graph).manifest(), Provider::Cpu, &sizes);
    let mut model = load("double_batch").expect("it takes any number");
    let manifest = beside("double_batch").manifest();
    let (observation, target) = (manifest.observation(), manifest.action().expect("it has an action"));
    assert_eq!(model.largest_batch(), sizes[1]);
    for (members, rows) in [(1, 1), (2, 2), (3, 4), (4, 4)] {
        let mut batch = model.batch(members).expect("there is room");
        assert_eq!(batch.input_mut(observation).len(), rows * 3);
        for (number, value) in (1_u8..).zip(batch.input_mut(observation)) {
            *value = number.into();
        }
        batch.row_mut(observation, members - 1).fill(0.5);
        let mut doubled: Vec<_> = (1..).map(|number: u8| f32::from(number) * 2.0).take(rows * 3).collect();
        doubled[(members - 1) * 3..members * 3].fill(1.0);
        let outputs = batch.run().expect("an addition cannot fail");
        assert_eq!(bits(outputs.action()), bits(&doubled));
        assert_eq!(bits(outputs.row(target, members - 1)), bits(&[1.0; 3]));
    }
    assert!(model.batch(5).is_none());
    // What the batch of four held is gone where nobody fills it.
    let mut batch = model.batch(3).expect("there is room");
    batch.row_mut(observation, 0).fill(1.0);
    assert_eq!(bits(batch.run().expect("an addition cannot fail").row(target, 3)), bits(&[0.0; 3]));

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
    model.observation_mut().fill(f32::NAN);
    assert!(model.run().expect("NaN is no error of a run").action().iter().all(|number| number.is_nan()));
}

#[test]
fn a_run_that_fails_leaves_the_model_usable_and_its_input_as_it_was() {
    let mut model = beside("gather").model().expect("zeros are inside the table");
    for _ in 0..3 {
        model.observation_mut().copy_from_slice(&[0.0, 9.0, 1.0]);
        let error = model.run().err().expect("9 is outside the table");
        assert!(matches!(&error, RunError::Failed(reason) if reason.contains("out of data bounds")), "{error:?}");
        assert_eq!(bits(model.observation_mut()), bits(&[0.0, 9.0, 1.0]));

        model.observation_mut()[1] = 2.0;
        assert_eq!(bits(model.run().expect("all are inside the table").action()), bits(&[10.0, 30.0, 20.0]));
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
                    model.observation_mut().fill(number);
                    let output = model.run().expect("an addition cannot fail");
                    assert_eq!(bits(output.action()), bits(&[number + number; 3]));
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
