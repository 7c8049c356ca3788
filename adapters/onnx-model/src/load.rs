//! From a manifest to a model that has run: what is compared, and what is tried before anybody depends on it.

use std::borrow::Cow;
use std::num::NonZeroUsize;
use std::path::Path;

use manifest::Manifest;
use ort::session::{Session, SessionInputValue};

use crate::call::Names;
use crate::engines::{Key, library_digest};
use crate::error::{ModelError, RunError, failed};
use crate::graph::{known, refusal};
use crate::inspect::{Allowed, Unfit, inspect};
use crate::options::{Asked, Options, Profile, kept_in, options};
use crate::parity::deviates;
use crate::room::{Room, times};
use crate::session::{SessionError, session, session_with};
use crate::signature::{Side, compare, leaves_sizes_open, open_batch, same_shape};
use crate::{Kernel, Library, Model, Provider};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// How a model is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Loading<'l> {
    /// Where all of it runs.
    pub provider: Provider,
    /// How many observations it is run on at once, besides one.
    pub sizes: &'l [NonZeroUsize],
    /// The most that it may ever be run on, now or after another start: what an engine is built for.
    pub largest: NonZeroUsize,
    /// Where built engines are kept; `None`: they are built at each load.
    pub engines: Option<&'l Path>,
}

pub(crate) fn load(library: &Library, manifest: &Manifest, loading: &Loading<'_>) -> Result<Model, ModelError> {
    let Loading { provider, sizes, .. } = *loading;
    let path = || manifest.path().to_path_buf();
    let (graph, weights) = (manifest.model_bytes(), manifest.weights());
    let files: Vec<_> = weights.iter().map(|one| (one.file(), &one.bytes()[..])).collect();
    inspect(graph, Allowed { files: &files, domains: manifest.domains() }).map_err(|unfit| match unfit {
        Unfit::Outside { tensor, why } => ModelError::Outside { manifest: path(), tensor, why },
        Unfit::NotOnnx => ModelError::NotOnnx { manifest: path() },
        Unfit::Oversized(_) | Unfit::Foreign { .. } | Unfit::OldOpset(_) => {
            ModelError::Refused { manifest: path(), reason: refusal(&unfit) }
        }
    })?;
    known(library, graph).map_err(|reason| ModelError::Refused { manifest: path(), reason })?;
    let refused = |provider, error| match error {
        SessionError::Provider(reason) => ModelError::Provider { manifest: path(), provider, reason },
        SessionError::Graph(reason) => ModelError::Graph { manifest: path(), provider, reason },
        SessionError::Partly(partly) => ModelError::Partly { manifest: path(), partly },
    };
    let told = match provider {
        Provider::Cpu | Provider::Cuda { .. } => options(provider, &Asked::default()),
        Provider::TensorRt { .. } => {
            // An engine takes minutes to build: what is wrong with the model is found before.
            let graph = session(library, manifest.name(), graph, Provider::Cpu, weights)
                .map_err(|error| refused(Provider::Cpu, error))?;
            compare(manifest, &graph).map_err(|mismatch| ModelError::Mismatch { manifest: path(), mismatch })?;
            tensorrt(library, manifest, &graph, loading)?
        }
    };
    let session = session_with(library, manifest.name(), (graph, weights), provider, &told);
    let mut session = session.map_err(|error| refused(provider, error))?;
    compare(manifest, &session).map_err(|mismatch| ModelError::Mismatch { manifest: path(), mismatch })?;

    let first_run = |reason| ModelError::FirstRun { manifest: path(), reason };
    let sizes = if open_batch(manifest, &session) { sizes } else { &[] };
    let mut sizes: Vec<_> = [&[ONE], sizes].concat();
    sizes.sort_unstable();
    sizes.dedup();
    let names = Names::of(manifest);
    let mut rooms = Vec::with_capacity(sizes.len());
    for rows in sizes {
        let mut room = Room::new(manifest, rows).map_err(failed).map_err(first_run)?;
        true_output_shapes(&mut session, &room, manifest)?;
        room.run(&mut session, &names).map_err(first_run)?;
        rooms.push(room);
    }
    let mut model = Model {
        session,
        _weights: weights.to_vec(),
        names,
        rooms,
        digest: manifest.digest(),
        provider,
        observation: manifest.observation(),
        action: manifest.action(),
    };
    if let Some(rows) = rows_that_depend(&mut model).map_err(first_run)? {
        return Err(ModelError::RowsDepend { manifest: path(), rows });
    }
    if let Some(deviates) = deviates(&mut model, manifest).map_err(first_run)? {
        return Err(ModelError::Deviates { manifest: path(), provider, deviates });
    }
    Ok(model)
}

/// What `TensorRT` is told of this model: the sizes that the graph leaves open, and where its engines are kept.
fn tensorrt(
    library: &Library,
    manifest: &Manifest,
    graph: &Session,
    loading: &Loading<'_>,
) -> Result<Options, ModelError> {
    let largest = if open_batch(manifest, graph) { loading.largest } else { ONE };
    let asked = Asked {
        fp16: manifest.half_precision().is_some(),
        profile: leaves_sizes_open(graph).then(|| Profile::of(manifest, largest)),
    };
    let mut told = options(loading.provider, &asked);
    let Some(engines) = loading.engines else { return Ok(told) };
    let unkept =
        |source| ModelError::Engines { manifest: manifest.path().to_path_buf(), folder: engines.to_path_buf(), source };
    let of = (manifest.digest(), library.version(), library_digest(library.path()).map_err(unkept)?);
    if let Some(key) = Key::of(of, &Kernel::default(), loading.provider, &told) {
        told.extend(kept_in(&key.folder(engines).map_err(unkept)?));
    }
    Ok(told)
}

/// Runs once without memory laid out, to see the shapes that the graph may leave open.
fn true_output_shapes(session: &mut Session, room: &Room, manifest: &Manifest) -> Result<(), ModelError> {
    let path = || manifest.path().to_path_buf();
    let inputs = manifest.inputs().iter().zip(&room.inputs);
    let inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> =
        inputs.map(|(declared, input)| (declared.tensor.name.as_str().into(), (&input.memory).into())).collect();
    let found =
        session.run(inputs).map_err(|error| ModelError::FirstRun { manifest: path(), reason: failed(error) })?;
    for declared in manifest.outputs() {
        let tensor = &declared.tensor;
        let value = found.get(&tensor.name).expect("the graph has this output: they were compared");
        let shape = value.dtype().tensor_shape().map_or(&[][..], |shape| shape);
        same_shape(Side::Output, &tensor.name, &times(&tensor.shape, room.rows), shape)
            .map_err(|mismatch| ModelError::Mismatch { manifest: path(), mismatch })?;
    }
    Ok(())
}

/// The first batch in which a row of ones among rows of zeros, or one of those, gets other outputs than alone.
fn rows_that_depend(model: &mut Model) -> Result<Option<NonZeroUsize>, RunError> {
    let Model { session, names, rooms, .. } = model;
    let Some((alone, batches)) = rooms.split_first_mut() else { return Ok(None) };
    if batches.is_empty() {
        return Ok(None);
    }
    let mut outputs_on = |room: &mut Room, last_row: f32| {
        room.clear_from(0);
        let last = room.rows.get() - 1;
        for input in &mut room.inputs {
            let all = input.face_mut();
            let length = all.len() / room.rows;
            all[last * length..].fill(last_row);
        }
        let ran = room.run(session, names);
        room.clear_from(0);
        ran.map(|()| room.outputs.iter().map(|output| output.face().to_vec()).collect::<Vec<_>>())
    };
    let (of_zeros, of_ones) = (outputs_on(alone, 0.0)?, outputs_on(alone, 1.0)?);
    for room in batches {
        let rows = room.rows;
        let found = outputs_on(room, 1.0)?;
        for (found, (zeros, ones)) in found.iter().zip(of_zeros.iter().zip(&of_ones)) {
            let expected = |row: usize| if row + 1 == rows.get() { ones } else { zeros };
            let mut each = found.chunks_exact(zeros.len()).enumerate();
            if !each.all(|(row, output)| alike(output, expected(row))) {
                return Ok(Some(rows));
            }
        }
    }
    Ok(None)
}

/// Equal but for what another order of the same sums makes of it.
fn alike(one: &[f32], other: &[f32]) -> bool {
    const TOLERANCE: f32 = 1e-3;
    let close = |(a, b): (&f32, &f32)| {
        a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(1.0)
    };
    one.iter().zip(other).all(close)
}
