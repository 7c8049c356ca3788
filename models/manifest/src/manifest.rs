//! The manifest of one model, read and checked together with the ONNX file it describes.

use std::fmt::{self, Write as _};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use toml::Spanned;

use crate::domain::Domain;
use crate::elements::{Envelope, InputElement, OutputElement, Provenance};
use crate::error::{ManifestError, Position, Problem};
use crate::file;
use crate::golden::{Golden, HalfPrecision};
use crate::tensors::{Input, InputPlace, Output, OutputPlace, Plan, Role, Source, State};
use crate::validate::{Checked, WeightsFile, validate};

/// The largest `model.toml`.
const MAX_TOML_BYTES: u64 = 1 << 20;
/// The largest ONNX file: it is held in memory once, besides what the session makes of it.
const MAX_MODEL_BYTES: u64 = 1 << 30;
/// The most that all files of weights together may have; held in memory likewise.
const MAX_WEIGHTS_BYTES: u64 = 1 << 33;
/// The largest file of golden vectors.
const MAX_GOLDEN_BYTES: u64 = 1 << 26;

/// A model that may be run: its description is complete and its bytes are the ones described.
///
/// Only [`Manifest::load`] makes one.
pub struct Manifest {
    path: PathBuf,
    checked: Checked,
    model: Vec<u8>,
    weights: Vec<Weights>,
    digest: [u8; 32],
    golden: Option<Golden>,
}

/// A file that holds tensors of the model, as it was when its digest was checked.
#[derive(Clone)]
pub struct Weights {
    file: String,
    bytes: Arc<[u8]>,
}

impl Weights {
    /// The file's name in the model's folder, as the graph names it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What it holds.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

impl Manifest {
    /// Reads `folder/model.toml` and the ONNX file it names, checks every field and the digest.
    ///
    /// The ONNX bytes stay in memory, so that what was checked is what runs.
    ///
    /// # Errors
    /// The first thing that is wrong, with file, line and column.
    pub fn load(folder: &Path) -> Result<Self, ManifestError> {
        let path = folder.join("model.toml");
        let text = read_text(&path)?;
        let at = |offset, problem| ManifestError::new(&path, Some(Position::of(&text, offset)), problem);

        let raw = toml::from_str(&text).map_err(|error| at(offset_of(&error), syntax(&error)))?;
        let checked = validate(raw).map_err(|flaw| at(flaw.offset, Problem::Invalid(flaw.message)))?;
        let flawed = |(offset, problem)| at(offset, problem);
        let model = signed_off(folder, &checked.file, &checked.sha256, MAX_MODEL_BYTES).map_err(flawed)?;
        let (mut weights, mut room) = (Vec::with_capacity(checked.weights.len()), MAX_WEIGHTS_BYTES);
        for WeightsFile { file, sha256 } in &checked.weights {
            let bytes = signed_off(folder, file, sha256, room).map_err(flawed)?;
            room -= bytes.len() as u64;
            weights.push(Weights { file: file.get_ref().clone(), bytes: bytes.into() });
        }
        let golden = checked.golden.as_ref().map(|(file, sha256)| {
            let bytes = signed_off(folder, file, sha256, MAX_GOLDEN_BYTES).map_err(flawed)?;
            let golden = Golden::parse(&bytes, &checked.inputs, &checked.outputs);
            golden.map_err(|flaw| at(file.span().start, Problem::Invalid(format!("{}: {flaw}", file.get_ref()))))
        });
        let golden = golden.transpose()?;
        let digest = digest_of(&checked);
        Ok(Self { path, checked, model, weights, digest, golden })
    }

    /// The `model.toml` this was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The model's name, printable ASCII.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.checked.name
    }

    /// The model's version, printable ASCII.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.checked.version
    }

    /// What the model does, in a sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.checked.description
    }

    /// The licence of the weights.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.checked.licence
    }

    /// Where the model comes from.
    #[must_use]
    pub fn provenance(&self) -> &Provenance {
        &self.checked.provenance
    }

    /// The tensors that the graph takes, by place.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.checked.inputs
    }

    /// The tensors that the graph gives, by place.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.checked.outputs
    }

    /// The input that the observation fills.
    #[must_use]
    pub fn observation(&self) -> InputPlace {
        self.checked.observation
    }

    /// The output that is the action or the plan; `None` in a model that serves no robots.
    #[must_use]
    pub fn action(&self) -> Option<OutputPlace> {
        self.checked.action.map(|(place, _)| place)
    }

    /// How many numbers the observation has.
    #[must_use]
    pub fn observation_values(&self) -> usize {
        self.checked.inputs[self.checked.observation.as_usize()].tensor.elements()
    }

    /// The results of a model without an action, and how many numbers all of them have.
    #[must_use]
    pub fn results(&self) -> (Vec<OutputPlace>, usize) {
        let results = self.checked.outputs.iter().filter(|output| matches!(output.role, Role::Result(_)));
        let places = results.clone().map(|output| output.place).collect();
        (places, results.map(|output| output.tensor.elements()).sum())
    }

    /// What the numbers of the observation mean, in the order of the tensor's memory (row-major); empty where they are unnamed.
    #[must_use]
    pub fn input_elements(&self) -> &[InputElement] {
        match &self.checked.inputs[self.checked.observation.as_usize()].source {
            Source::Observation(elements) | Source::Joined(elements) => elements,
            Source::Image(_)
            | Source::Recurrent(_)
            | Source::PreviousAction
            | Source::History { .. }
            | Source::Phase { .. }
            | Source::CommittedPlan
            | Source::CommittedSteps => &[],
        }
    }

    /// What the numbers of the action, or of each step of the plan, mean and their limits, in the order of the tensor's
    /// memory; none in a model that serves no robots.
    #[must_use]
    pub fn output_elements(&self) -> &[OutputElement] {
        match self.action().map(|place| &self.checked.outputs[place.as_usize()].role) {
            Some(Role::Action(elements) | Role::Plan(elements)) => elements,
            Some(Role::State | Role::Result(_)) | None => &[],
        }
    }

    /// How the rate limits of the action are applied; `None` without an action.
    #[must_use]
    pub fn envelope(&self) -> Option<Envelope> {
        self.checked.action.map(|(_, envelope)| envelope)
    }

    /// How the steps lie in time, where the output is a plan; `None` in every other model.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        self.checked.plan
    }

    /// Whether the model is told what is played while it computes the next plan, and continues from that.
    #[must_use]
    pub fn takes_committed_plan(&self) -> bool {
        self.checked.inputs.iter().any(|input| input.source == Source::CommittedPlan)
    }

    /// What the model remembers by; `None` where no input is state.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        self.checked.state
    }

    /// What the model answered where it was signed off; `None` where it came without.
    #[must_use]
    pub fn golden(&self) -> Option<&Golden> {
        self.golden.as_ref()
    }

    /// Whether it may be computed in half precision; only with golden vectors.
    #[must_use]
    pub fn half_precision(&self) -> Option<HalfPrecision> {
        self.checked.half_precision
    }

    /// What says which model this is: the SHA-256 of [`model_bytes`](Self::model_bytes), or with weights in other files
    /// that of a text: the line `genba-model-v1`, then one line a file, `<sha256>  <name>` as `sha256sum` prints it,
    /// the ONNX file first and the weights in the order of their names.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The other files that hold tensors of the model, by declaration.
    #[must_use]
    pub fn weights(&self) -> &[Weights] {
        &self.weights
    }

    /// Whose operators the graph may use besides ONNX's own.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.checked.domains
    }

    /// The ONNX file as it was when its digest was checked.
    #[must_use]
    pub fn model_bytes(&self) -> &[u8] {
        &self.model
    }
}

impl fmt::Debug for Manifest {
    // Without the bytes of the model.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest").field("path", &self.path).field("checked", &self.checked).finish_non_exhaustive()
    }
}

fn read_text(path: &Path) -> Result<String, ManifestError> {
    let advice = "every model is a folder that holds model.toml and its ONNX file";
    let bytes = file::read(path, MAX_TOML_BYTES, advice).map_err(|problem| ManifestError::new(path, None, problem))?;
    String::from_utf8(bytes).map_err(|error| {
        let (valid, _) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let position = Position::of(&String::from_utf8_lossy(valid), valid.len());
        let problem = Problem::Syntax("this byte is not UTF-8; save the file as UTF-8".to_owned());
        ManifestError::new(path, Some(position), problem)
    })
}

/// The bytes of this file, if they are the ones that were signed off; else the place of what is wrong, and what.
fn signed_off(
    folder: &Path,
    file: &Spanned<String>,
    sha256: &Spanned<[u8; 32]>,
    limit: u64,
) -> Result<Vec<u8>, (usize, Problem)> {
    let bytes = read_inside(folder, file.get_ref(), limit).map_err(|problem| (file.span().start, problem))?;
    let found: [u8; 32] = Sha256::digest(&bytes).into();
    let declared = *sha256.get_ref();
    if found == declared {
        return Ok(bytes);
    }
    let path = folder.join(file.get_ref());
    Err((sha256.span().start, Problem::WrongDigest { path, found: hex(found), declared: hex(declared) }))
}

fn digest_of(checked: &Checked) -> [u8; 32] {
    if checked.weights.is_empty() {
        return *checked.sha256.get_ref();
    }
    let mut files: Vec<_> = checked.weights.iter().map(|one| (one.file.get_ref(), *one.sha256.get_ref())).collect();
    files.sort_unstable();
    files.insert(0, (checked.file.get_ref(), *checked.sha256.get_ref()));
    let lines = files.into_iter().map(|(file, sha256)| format!("{}  {file}\n", hex(sha256)));
    let text: String = std::iter::once("genba-model-v1\n".to_owned()).chain(lines).collect();
    Sha256::digest(text).into()
}

fn read_inside(folder: &Path, file: &str, limit: u64) -> Result<Vec<u8>, Problem> {
    let path = folder.join(file);
    let advice = "put the file there, or correct `file`";
    let unreadable = |source| Problem::Unreadable { path: path.clone(), source, advice };
    let home = folder.canonicalize().map_err(unreadable)?;
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(home) {
        return Err(unreadable(Error::new(ErrorKind::InvalidInput, "a link leads out of the model's folder")));
    }
    file::read(&path, limit, advice)
}

/// toml gives no place for what concerns the whole file, such as a missing field at the top.
fn offset_of(error: &toml::de::Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn syntax(error: &toml::de::Error) -> Problem {
    Problem::Syntax(error.message().lines().collect::<Vec<_>>().join(", "))
}

fn hex(digest: [u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
        hex
    })
}
