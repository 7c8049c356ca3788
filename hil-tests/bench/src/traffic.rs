//! Observations that the model knows how to answer, and what an answer must look like.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use manifest::{Contract, Manifest};
use message::{Address, Body, ContractDigest, Epoch, Observation, Response, Sequence, Stamp, put_floats};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use serde::Deserialize;

use crate::subject::{ROBOT, TASK};

/// One controller's observations, in order.
pub(crate) struct Controller {
    address: Address,
    contract: ContractDigest,
    epoch: Epoch,
    sequence: u64,
    /// The values of the recorded observations, used in turn.
    recorded: Vec<Vec<u8>>,
    frame: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The model's action, or an echo of the observation.
    Model,
    /// A fallback of the box.
    Fallback,
    /// A refusal of the box.
    Refusal,
    /// The answer to another observation, or none at all.
    Other,
}

impl Controller {
    /// A controller whose observations are those recorded beside the model.
    pub(crate) fn new(manifest: &Manifest) -> Result<Self> {
        let bytes = |values: Vec<f32>| {
            let mut bytes = vec![0; values.len() * size_of::<f32>()];
            put_floats(&values, &mut bytes).map(|_| bytes).into_diagnostic()
        };
        let recorded = recorded(manifest)?.into_iter().map(bytes).collect::<Result<Vec<_>>>()?;
        let longest = recorded.iter().map(Vec::len).max().unwrap_or(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).into_diagnostic()?;
        Ok(Self {
            address: Address::of(ROBOT, TASK),
            contract: contract(manifest)?,
            // Another one at each start, as a controller's must be.
            epoch: Epoch::new(u64::try_from(since.as_nanos()).into_diagnostic()?),
            sequence: 0,
            recorded,
            frame: vec![0; Observation::OVERHEAD + longest],
        })
    }

    /// The next observation's frame.
    pub(crate) fn next(&mut self) -> &[u8] {
        let last = Sequence::new(self.sequence);
        self.sequence += 1;
        let turn = usize::try_from(self.sequence).expect("a bench's observations can be counted");
        let values = &self.recorded[turn % self.recorded.len()];
        let observation = Observation {
            address: self.address,
            contract: self.contract,
            epoch: self.epoch,
            sequence: Sequence::new(self.sequence).expect("it was counted up"),
            stamp: Stamp::new(self.sequence),
            last_response: last,
            budget_us: 0,
            values,
        };
        let length = observation.encode(&mut self.frame).expect("the frame has room for the longest");
        &self.frame[..length]
    }

    /// The frame that went out last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.frame
    }

    /// What a response's frame says to the last observation.
    pub(crate) fn read(&self, frame: &[u8]) -> Answer {
        match Response::decode(frame) {
            Ok(response) if response.epoch != self.epoch || response.sequence != Sequence::new(self.sequence) => {
                Answer::Other
            }
            Ok(Response { body: Body::Action { .. }, .. }) => Answer::Model,
            Ok(Response { body: Body::Fallback { .. }, .. }) => Answer::Fallback,
            Ok(Response { body: Body::Refusal { .. }, .. }) => Answer::Refusal,
            Err(_) => Answer::Other,
        }
    }
}

/// The contract of the one task.
pub(crate) fn contract(manifest: &Manifest) -> Result<ContractDigest> {
    Ok(ContractDigest::new(Contract::new(TASK, manifest).into_diagnostic()?.digest()))
}

/// An observation's and a response's length in bytes.
pub(crate) fn lengths(manifest: &Manifest) -> (usize, usize) {
    let bytes = |elements: usize| elements * size_of::<f32>();
    let observation = Observation::OVERHEAD + bytes(manifest.input_elements().len());
    (observation, Response::OVERHEAD + bytes(manifest.output_elements().len()))
}

#[derive(Deserialize)]
struct Golden {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    observation: Vec<f32>,
}

/// The observations recorded beside the model.
pub(crate) fn recorded(manifest: &Manifest) -> Result<Vec<Vec<f32>>> {
    let path = manifest.path().parent().unwrap_or(Path::new("")).join("golden.json");
    let at = || format!("cannot use the recorded observations in {}", path.display());
    let text = fs::read_to_string(&path).into_diagnostic().wrap_err_with(at)?;
    let golden: Golden = serde_json::from_str(&text).into_diagnostic().wrap_err_with(at)?;
    let inputs = manifest.input_elements().len();
    if golden.vectors.is_empty() || golden.vectors.iter().any(|vector| vector.observation.len() != inputs) {
        return Err(miette!("each needs {inputs} values, and there must be one")).wrap_err_with(at);
    }
    Ok(golden.vectors.into_iter().map(|vector| vector.observation).collect())
}
