//! What a server makes of an observation: an echo, or the model's action in a response.

use manifest::Manifest;
use message::{Body, Boot, ModelDigest, Observation, Place, Response, Status, put_floats};
use miette::{IntoDiagnostic, Result};
use onnx_model::{Library, Model, Provider};

use crate::subject::Subject;
use crate::traffic;

/// Room for any response.
pub(crate) type Reply = [u8; Response::MAX_FRAME];

/// Answers one observation after another.
pub(crate) enum Answerer {
    /// Gives back as much of it as a response is long.
    Echo { length: usize },
    /// Runs the model.
    Run { model: Box<Model>, values: Vec<u8> },
}

impl Answerer {
    pub(crate) fn of(subject: Subject, manifest: &Manifest) -> Result<Self> {
        Ok(match subject {
            Subject::Echo | Subject::EchoHops => Self::Echo { length: traffic::lengths(manifest).1 },
            Subject::HopsRun | Subject::Bare | Subject::NaiveDefault | Subject::NaiveTuned | Subject::Box => {
                let model = load_model(manifest)?;
                Self::Run { values: vec![0; model.action_len() * size_of::<f32>()], model: Box::new(model) }
            }
        })
    }

    /// Writes the answer to an observation's frame and returns its length.
    ///
    /// A naive server trusts its client: what it cannot answer ends it.
    pub(crate) fn answer(&mut self, frame: &[u8], reply: &mut Reply) -> usize {
        match self {
            Self::Echo { length } => {
                reply[..*length].copy_from_slice(&frame[..*length]);
                *length
            }
            Self::Run { model, values } => run(model, values, frame, reply),
        }
    }
}

/// A session of the model, as the box's worker has it.
pub(crate) fn load_model(manifest: &Manifest) -> Result<Model> {
    let library = Library::load(&Library::find(None).into_diagnostic()?).into_diagnostic()?;
    Model::load(&library, manifest, Provider::Cpu).into_diagnostic()
}

fn run(model: &mut Model, values: &mut [u8], frame: &[u8], reply: &mut Reply) -> usize {
    let observation = Observation::decode(frame).expect("the client sends what can be read");
    for (element, value) in model.observation_mut().iter_mut().zip(message::floats(observation.values)) {
        *element = value;
    }
    let digest = ModelDigest::new(model.digest());
    let length = put_floats(model.run().expect("the model runs").action(), values).expect("they have room");
    let response = Response {
        address: observation.address,
        contract: observation.contract,
        boot: Boot::new(1),
        epoch: observation.epoch,
        sequence: Some(observation.sequence),
        stamp: observation.stamp,
        model: digest,
        plan: 0,
        plan_step: 0,
        age_us: 0,
        input_age_us: 0,
        status: Status::NONE,
        body: Body::Action { place: Place::Box, values: &values[..length] },
    };
    response.encode(reply).expect("there is room for the longest")
}
