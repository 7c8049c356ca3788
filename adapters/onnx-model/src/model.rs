//! One session for one worker, with its memory laid out at load.

use std::num::NonZeroUsize;

use manifest::{InputPlace, Manifest, OutputPlace, Weights};
use ort::session::Session;

use crate::call::Names;
use crate::contain::contain;
use crate::error::{ModelError, RunError};
use crate::load::load;
use crate::options::{Asked, options, told};
use crate::room::Room;
use crate::session::settings;
use crate::{Library, Loading, Provider};

/// A model that is loaded, compared with its manifest and has run once.
///
/// It may be sent to its worker's thread and is used by that one thread. Inputs and outputs keep their memory from run
/// to run: write the inputs, then [`run`](Self::run); neither allocates in Rust. Every number is a 32-bit float here;
/// what a graph of other types makes of it is said in `model.toml`'s documentation.
pub struct Model {
    pub(crate) session: Session,
    /// What the session may still read.
    pub(crate) _weights: Vec<Weights>,
    pub(crate) names: Names,
    /// One observation first, then the batches by their size.
    pub(crate) rooms: Vec<Room>,
    pub(crate) digest: [u8; 32],
    pub(crate) observation: InputPlace,
    pub(crate) action: Option<OutputPlace>,
    pub(crate) provider: Provider,
}

/// A model's memory for several observations, to be filled and run.
pub struct Batch<'m> {
    session: &'m mut Session,
    names: &'m Names,
    room: &'m mut Room,
    observation: InputPlace,
    action: Option<OutputPlace>,
}

/// What came out of one run.
#[derive(Clone, Copy)]
pub struct Outputs<'m> {
    room: &'m Room,
    action: Option<OutputPlace>,
}

const ONE: NonZeroUsize = NonZeroUsize::MIN;

impl Model {
    /// Makes a session of the manifest's checked bytes on `provider`, compares the graph with the
    /// manifest and runs it on zeros, so that what is lazy has happened before the first observation.
    ///
    /// # Errors
    /// [`ModelError`], whose text names the `model.toml`.
    pub fn load(library: &Library, manifest: &Manifest, provider: Provider) -> Result<Self, ModelError> {
        Self::load_batches(library, manifest, provider, &[])
    }

    /// The same with memory for batches of these sizes too, where the graph leaves the first dimension of every input
    /// and output open and the manifest says 1; elsewhere they are left out. Each is run, and each row's answer compared
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
        let largest = sizes.iter().copied().max().unwrap_or(ONE);
        Self::load_as(library, manifest, &Loading { provider, sizes, largest, engines: None })
    }

    /// The same, with what only a GPU needs.
    ///
    /// What a provider builds for the model is built here, never in [`run`](Self::run): every size that can be run has run
    /// when this returns, and there is no memory for another.
    ///
    /// # Errors
    /// [`ModelError`], whose text names the `model.toml`.
    pub fn load_as(library: &Library, manifest: &Manifest, loading: &Loading<'_>) -> Result<Self, ModelError> {
        let panicked = |panicked| ModelError::Panicked { manifest: manifest.path().to_path_buf(), panicked };
        contain(|| load(library, manifest, loading)).map_err(panicked)?
    }

    /// Where all of it runs: every operator was asked.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The most observations that one run can answer.
    #[must_use]
    pub fn largest_batch(&self) -> NonZeroUsize {
        self.rooms.last().map_or(ONE, |room| room.rows)
    }

    /// The smallest batch with room for so many observations, if there is one. Rows beyond them are set to zeros, on
    /// which it ran at load: what somebody sent earlier is no part of it.
    pub fn batch(&mut self, members: usize) -> Option<Batch<'_>> {
        let room = self.rooms.iter_mut().find(|room| room.rows.get() >= members)?;
        room.clear_from(members);
        let Self { session, names, observation, action, .. } = self;
        Some(Batch { session, names, room, observation: *observation, action: *action })
    }

    /// How its session is set up: what was measured under other settings does not hold.
    #[must_use]
    pub fn session_settings(manifest: &Manifest, provider: Provider, largest: NonZeroUsize) -> String {
        let asked = Asked { fp16: manifest.half_precision().is_some(), profile: None };
        match provider {
            Provider::Cpu => settings(),
            Provider::Cuda { .. } => format!("{}, {}", settings(), told(&options(provider, &asked))),
            Provider::TensorRt { .. } => {
                let options = told(&options(provider, &asked));
                format!("{}, {options}, engines for up to {largest} at once", settings())
            }
        }
    }

    /// The observation to run on, row-major, in the order of the manifest's elements.
    pub fn observation_mut(&mut self) -> &mut [f32] {
        self.input_mut(self.observation)
    }

    /// The input at this place of the manifest, row-major.
    pub fn input_mut(&mut self, place: InputPlace) -> &mut [f32] {
        self.rooms[0].input_mut(place)
    }

    /// Runs the model on the inputs as they stand.
    ///
    /// The numbers are the model's own: they may be outside the limits, and may be NaN.
    ///
    /// # Errors
    /// [`RunError`]; the inputs are left as they were.
    pub fn run(&mut self) -> Result<Outputs<'_>, RunError> {
        let Self { session, names, rooms, action, .. } = self;
        let room = &mut rooms[0];
        room.run(session, names)?;
        Ok(Outputs { room, action: *action })
    }

    /// What says which model runs: [`Manifest::digest`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The number of elements of the observation.
    #[must_use]
    pub fn observation_len(&self) -> usize {
        self.rooms[0].inputs[self.observation.as_usize()].elements()
    }

    /// The output that is the action; `None` without one.
    #[must_use]
    pub fn action_place(&self) -> Option<OutputPlace> {
        self.action
    }

    /// The number of elements of the action; 0 without one.
    #[must_use]
    pub fn action_len(&self) -> usize {
        self.action.map_or(0, |action| self.rooms[0].outputs[action.as_usize()].elements())
    }
}

impl<'m> Batch<'m> {
    /// The observations to run on, one after the other, those that nobody fills included.
    pub fn observations_mut(&mut self) -> &mut [f32] {
        self.room.input_mut(self.observation)
    }

    /// One member's part of the input at this place of the manifest, row-major. Members count from 0.
    pub fn row_mut(&mut self, place: InputPlace, member: usize) -> &mut [f32] {
        self.room.row_mut(place, member)
    }

    /// The whole input at this place, one row after the other, those that nobody fills included.
    pub fn input_mut(&mut self, place: InputPlace) -> &mut [f32] {
        self.room.input_mut(place)
    }

    /// Runs the model on the rows as they stand.
    ///
    /// # Errors
    /// [`RunError`], for all of them; the inputs are left as they were.
    pub fn run(self) -> Result<Outputs<'m>, RunError> {
        let Self { session, names, room, action, .. } = self;
        room.run(session, names)?;
        Ok(Outputs { room, action })
    }
}

impl<'m> Outputs<'m> {
    /// The action, in the order of the manifest's elements; in a batch one after the other. Empty where the model has none.
    #[must_use]
    pub fn action(self) -> &'m [f32] {
        self.action.map_or(&[], |place| self.room.output(place))
    }

    /// The output at this place of the manifest, row-major; in a batch one after the other.
    #[must_use]
    pub fn output(self, place: OutputPlace) -> &'m [f32] {
        self.room.output(place)
    }

    /// One member's part of it.
    #[must_use]
    pub fn row(self, place: OutputPlace, member: usize) -> &'m [f32] {
        self.room.output_row(place, member)
    }
}

/// A model goes to its worker's thread.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Model>();
};
