//! One session for one worker, with its memory laid out at load.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use manifest::Manifest;
use ort::logging::LogLevel;
use ort::memory::Allocator;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use ort::value::Tensor;
use thiserror::Error;

use crate::contain::{Panicked, contain};
use crate::outside::{Unfit, all_inside};
use crate::signature::{Mismatch, Side, compare, open_batch, same_shape};
use crate::{Library, Provider};

/// A model that is loaded, compared with its manifest and has run once.
///
/// It may be sent to its worker's thread and is used by that one thread. Input and output keep their
/// memory from run to run: write the observation through [`input_mut`](Self::input_mut), then
/// [`run`](Self::run); neither allocates in Rust.
pub struct Model {
    session: Session,
    /// One observation first, then the batches by their size.
    rooms: Vec<Room>,
    digest: [u8; 32],
}

/// The memory for so many observations at once.
struct Room {
    rows: NonZeroUsize,
    input: Tensor<f32>,
    /// Selects the one output and holds the tensor it is written into.
    options: RunOptions<HasSelectedOutputs>,
    output: Vec<f32>,
}

/// A model's memory for several observations, to be filled and run.
pub struct Batch<'m> {
    session: &'m mut Session,
    room: &'m mut Room,
}

const ONE: NonZeroUsize = NonZeroUsize::MIN;
/// What is done to a graph at load costs nothing later.
const OPTIMIZATION: GraphOptimizationLevel = GraphOptimizationLevel::Level3;
/// The worker's own thread and no other.
const THREADS: usize = 1;
/// An idle session that spins burns a core.
const SPINNING: bool = false;

/// Why a model could not be loaded; every text begins with the `model.toml` it is about.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The library does not hold the provider, or the provider found no device.
    #[error("{}: {provider} cannot be used: {reason}", manifest.display())]
    Provider {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The file is no ONNX graph.
    #[error("{}: the file is no ONNX graph; export the model to ONNX", manifest.display())]
    NotOnnx {
        /// The manifest of the model.
        manifest: PathBuf,
    },
    /// Part of the model lies in a file that no digest covers.
    #[error("{}: the tensor {tensor:?} keeps its data in a second file, which sha256 does not cover; save the model as one file", manifest.display())]
    SecondFile {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The name of the tensor in the graph.
        tensor: String,
    },
    /// ONNX Runtime refused the graph, or the provider cannot place all of it.
    #[error("{}: the ONNX file cannot be loaded on {provider}: {reason}", manifest.display())]
    Graph {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The provider that was asked for.
        provider: Provider,
        /// What ONNX Runtime said.
        reason: String,
    },
    /// The graph is not the one that the manifest describes.
    #[error("{}: {mismatch}", manifest.display())]
    Mismatch {
        /// The manifest of the model.
        manifest: PathBuf,
        /// What differs.
        mismatch: Mismatch,
    },
    /// The first run, on zeros, failed.
    #[error("{}: the first run, on an input of zeros, failed: {reason}", manifest.display())]
    FirstRun {
        /// The manifest of the model.
        manifest: PathBuf,
        /// Why.
        reason: RunError,
    },
    /// Rows of a batch get other answers than alone, so one robot's answer would depend on another's observation.
    #[error("{}: in a batch of {rows} a row gets another answer than alone; let [[model]] max_batch be 1", manifest.display())]
    RowsDepend {
        /// The manifest of the model.
        manifest: PathBuf,
        /// The size of the batch.
        rows: NonZeroUsize,
    },
    /// The binding panicked during the load.
    #[error("{}: {panicked}", manifest.display())]
    Panicked {
        /// The manifest of the model.
        manifest: PathBuf,
        /// With what message.
        panicked: Panicked,
    },
}

/// Why one run gave no output.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RunError {
    /// ONNX Runtime reported an error. The model can be run again.
    #[error("ONNX Runtime: {0}")]
    Failed(String),
    /// The binding panicked. The model must be dropped.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl Model {
    /// Makes a session of the manifest's checked bytes on `provider`, compares the graph with the
    /// manifest and runs it on zeros, so that what is lazy has happened before the first observation.
    ///
    /// # Errors
    /// [`ModelError`], whose text names the `model.toml`.
    pub fn load(library: &Library, manifest: &Manifest, provider: Provider) -> Result<Self, ModelError> {
        Self::load_batches(library, manifest, provider, &[])
    }

    /// The same with memory for batches of these sizes too, where the graph leaves the first dimension of input and
    /// output open and the manifest says 1; elsewhere they are left out. Each is run, and each row's answer compared
    /// with what it is alone.
    ///
    /// # Errors
    /// [`ModelError`], whose text names the `model.toml`.
    pub fn load_batches(
        library: &Library,
        manifest: &Manifest,
        provider: Provider,
        sizes: &[NonZeroUsize],
    ) -> Result<Self, ModelError> {
        let panicked = |panicked| ModelError::Panicked { manifest: manifest.path().to_path_buf(), panicked };
        contain(|| load(library, manifest, provider, sizes)).map_err(panicked)?
    }

    /// The most observations that one run can answer.
    #[must_use]
    pub fn largest_batch(&self) -> NonZeroUsize {
        self.rooms.last().map_or(ONE, |room| room.rows)
    }

    /// The smallest batch with room for so many observations, if there is one. Rows that nobody fills keep what was in
    /// them: their answers are of no use, and no other row's depends on them.
    pub fn batch(&mut self, members: usize) -> Option<Batch<'_>> {
        let room = self.rooms.iter_mut().find(|room| room.rows.get() >= members)?;
        Some(Batch { session: &mut self.session, room })
    }

    /// How every session is set up, whatever the model: what was measured under other settings does not hold.
    #[must_use]
    pub fn session_settings() -> String {
        let spins = if SPINNING { "spinning" } else { "not spinning" };
        format!("graph optimization {OPTIMIZATION:?}, {THREADS} intra-op and {THREADS} inter-op thread, {spins}")
    }

    /// The observation to run on, row-major, in the order of the manifest's input elements.
    pub fn input_mut(&mut self) -> &mut [f32] {
        self.rooms[0].input.extract_tensor_mut().1
    }

    /// Runs the model on the input as it stands; the action, in the order of the output elements.
    ///
    /// The numbers are the model's own: they may be outside the limits, and may be NaN.
    ///
    /// # Errors
    /// [`RunError`]; the input is left as it was.
    pub fn run(&mut self) -> Result<&[f32], RunError> {
        let Self { session, rooms, .. } = self;
        rooms[0].run(session)
    }

    /// The SHA-256 of the ONNX file that runs.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The number of input elements.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.rooms[0].input.shape().num_elements()
    }

    /// The number of output elements.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.rooms[0].output.len()
    }
}

impl<'m> Batch<'m> {
    /// The observations to run on, one after the other.
    pub fn input_mut(&mut self) -> &mut [f32] {
        self.room.input.extract_tensor_mut().1
    }

    /// Runs the model on the rows as they stand; the actions, one after the other.
    ///
    /// # Errors
    /// [`RunError`], for all of them; the input is left as it was.
    pub fn run(self) -> Result<&'m [f32], RunError> {
        self.room.run(self.session)
    }
}

impl Room {
    fn new(manifest: &Manifest, rows: NonZeroUsize) -> ort::Result<Self> {
        let (inputs, outputs) = (times(manifest.input_shape(), rows), times(manifest.output_shape(), rows));
        let zeros = vec![0.0_f32; inputs.iter().product()];
        let output = vec![0.0; outputs.iter().product()];
        let input = Tensor::from_array((inputs, zeros))?;
        Ok(Self { rows, input, options: selected_output(manifest, outputs)?, output })
    }

    fn run(&mut self, session: &mut Session) -> Result<&[f32], RunError> {
        let Self { input, options, output, .. } = self;
        contain(|| run_into(session, input, options, output))??;
        Ok(output)
    }
}

fn load(
    library: &Library,
    manifest: &Manifest,
    provider: Provider,
    sizes: &[NonZeroUsize],
) -> Result<Model, ModelError> {
    let path = manifest.path();
    all_inside(manifest.model_bytes()).map_err(|unfit| match unfit {
        Unfit::Outside(tensor) => ModelError::SecondFile { manifest: path.to_path_buf(), tensor },
        Unfit::NotOnnx => ModelError::NotOnnx { manifest: path.to_path_buf() },
    })?;
    let mut session = session(library, manifest, provider)?;
    compare(manifest, &session).map_err(|mismatch| ModelError::Mismatch { manifest: path.to_path_buf(), mismatch })?;

    let first_run = |reason| ModelError::FirstRun { manifest: path.to_path_buf(), reason };
    let sizes = if open_batch(manifest, &session) { sizes } else { &[] };
    let mut sizes: Vec<_> = [&[ONE], sizes].concat();
    sizes.sort_unstable();
    sizes.dedup();
    let mut rooms = Vec::with_capacity(sizes.len());
    for rows in sizes {
        let mut room = Room::new(manifest, rows).map_err(failed).map_err(first_run)?;
        true_output_shape(&mut session, &room.input, manifest, &times(manifest.output_shape(), rows))?;
        room.run(&mut session).map_err(first_run)?;
        rooms.push(room);
    }
    let mut model = Model { session, rooms, digest: manifest.digest() };
    if let Some(rows) = model.rows_that_depend().map_err(first_run)? {
        return Err(ModelError::RowsDepend { manifest: path.to_path_buf(), rows });
    }
    Ok(model)
}

impl Model {
    /// The first batch in which a row of ones among rows of zeros, or one of those, gets another answer than alone.
    fn rows_that_depend(&mut self) -> Result<Option<NonZeroUsize>, RunError> {
        let Self { session, rooms, .. } = self;
        let Some((alone, batches)) = rooms.split_first_mut() else { return Ok(None) };
        if batches.is_empty() {
            return Ok(None);
        }
        let (of_zeros, inputs) = (alone.run(session)?.to_vec(), alone.input.shape().num_elements());
        alone.input.extract_tensor_mut().1.fill(1.0);
        let of_ones = alone.run(session);
        let of_ones = of_ones.map(<[f32]>::to_vec);
        alone.input.extract_tensor_mut().1.fill(0.0);
        let of_ones = of_ones?;
        for room in batches {
            let (rows, last) = (room.rows, room.input.shape().num_elements() - inputs);
            room.input.extract_tensor_mut().1[last..].fill(1.0);
            let actions: Vec<_> = room.run(session)?.chunks_exact(of_zeros.len()).map(<[f32]>::to_vec).collect();
            room.input.extract_tensor_mut().1.fill(0.0);
            let expected = |row: usize| if row + 1 == rows.get() { &of_ones } else { &of_zeros };
            if !actions.iter().enumerate().all(|(row, action)| alike(action, expected(row))) {
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

/// Equal but for what another order of the same sums makes of it.
fn alike(one: &[f32], other: &[f32]) -> bool {
    const TOLERANCE: f32 = 1e-3;
    let close = |(a, b): (&f32, &f32)| {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(1.0)
    };
    one.iter().zip(other).all(close)
}

/// The shape of so many at once: the first dimension counts them.
fn times(shape: &[usize], rows: NonZeroUsize) -> Vec<usize> {
    let mut batched = shape.to_vec();
    if let Some(first) = batched.first_mut() {
        *first *= rows.get();
    }
    batched
}

fn session(library: &Library, manifest: &Manifest, provider: Provider) -> Result<Session, ModelError> {
    let path = || manifest.path().to_path_buf();
    let graph = |error: ort::Error| ModelError::Graph { manifest: path(), provider, reason: error.to_string() };

    let mut builder = options(library, manifest).map_err(graph)?;
    if let Some(accelerator) = provider.accelerator() {
        // Both are needed: the first fails a provider that cannot start, the second a graph that it
        // cannot place as a whole.
        builder = builder.with_disable_cpu_fallback().map_err(ort::Error::from).map_err(graph)?;
        builder = builder.with_execution_providers([accelerator]).map_err(|error| ModelError::Provider {
            manifest: path(),
            provider,
            reason: error.to_string(),
        })?;
    }
    builder.commit_from_memory(manifest.model_bytes()).map_err(graph)
}

fn options(library: &Library, manifest: &Manifest) -> ort::Result<ort::session::builder::SessionBuilder> {
    Ok(Session::builder(&library.environment)?
        .with_log_id(manifest.name())?
        .with_log_level(LogLevel::Warning)?
        .with_optimization_level(OPTIMIZATION)?
        .with_intra_threads(THREADS)?
        .with_inter_threads(THREADS)?
        .with_intra_op_spinning(SPINNING)?
        .with_inter_op_spinning(SPINNING)?)
}

/// Runs once without memory laid out, to see the shape that the graph may leave open.
fn true_output_shape(
    session: &mut Session,
    input: &Tensor<f32>,
    manifest: &Manifest,
    expected: &[usize],
) -> Result<(), ModelError> {
    let path = || manifest.path().to_path_buf();
    let first_run = |error: ort::Error| ModelError::FirstRun { manifest: path(), reason: failed(error) };
    let outputs = session.run(ort::inputs![input]).map_err(first_run)?;
    let (shape, _) = outputs[0].try_extract_tensor::<f32>().map_err(first_run)?;
    same_shape(Side::Output, expected, shape).map_err(|mismatch| ModelError::Mismatch { manifest: path(), mismatch })
}

fn selected_output(manifest: &Manifest, shape: Vec<usize>) -> ort::Result<RunOptions<HasSelectedOutputs>> {
    let name = manifest.output_name();
    let memory = Tensor::<f32>::new(&Allocator::default(), shape)?;
    Ok(RunOptions::new()?.with_outputs(OutputSelector::no_default().with(name).preallocate(name, memory)))
}

fn run_into(
    session: &mut Session,
    input: &Tensor<f32>,
    options: &RunOptions<HasSelectedOutputs>,
    output: &mut [f32],
) -> Result<(), RunError> {
    let outputs = session.run_with_options(ort::inputs![input], options).map_err(failed)?;
    let (_, values) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
    // The memory was laid out with the manifest's shape, and ONNX Runtime fails a run of another.
    output.copy_from_slice(values);
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
fn failed(error: ort::Error) -> RunError {
    RunError::Failed(error.to_string())
}

/// A model goes to its worker's thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Model>();
};
