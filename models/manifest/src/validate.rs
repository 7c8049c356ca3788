//! From what is written to what may be run: the rules of a manifest, each said once.

use std::collections::HashSet;
use std::fmt::Display;
use std::path::{Component, Path};
use std::time::Duration;

use toml::Spanned;

use crate::elements::{Dtype, Envelope, InputElement, InputIndex, OutputElement, Provenance, Start, TooFast};
use crate::schema::{RawEnvelope, RawInputElement, RawManifest, RawOutputElement, RawProvenance, RawStart, RawTensor};

/// The largest observation: a 1024 × 1024 picture of four channels.
pub const MAX_INPUT_ELEMENTS: usize = 4_194_304;
/// The largest action; the engine holds the last one of every connection inline.
pub const MAX_OUTPUT_ELEMENTS: usize = 64;
/// The longest name or unit, so that a line of a report or of the contract stays a line.
pub const MAX_NAME_BYTES: usize = 128;
/// The longest `max_step_us`: an action older than that says nothing about where the robot is.
pub const MAX_STEP: Duration = Duration::from_mins(1);

/// A checked manifest, without the ONNX file's bytes.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) licence: String,
    pub(crate) provenance: Provenance,
    pub(crate) input: Tensor<InputElement>,
    pub(crate) output: Tensor<OutputElement>,
    pub(crate) envelope: Envelope,
    /// Relative, without a step upwards; the place is for errors about the file itself.
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<[u8; 32]>,
}

/// A tensor of the graph, the product of whose shape is the number of its elements.
#[derive(Debug)]
pub(crate) struct Tensor<Element> {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) elements: Vec<Element>,
}

/// A broken rule and the byte in `model.toml` where it is broken.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

pub(crate) fn validate(raw: RawManifest) -> Result<Checked, Flaw> {
    let input = only_one(raw.input, "input")?;
    let input = tensor(input, MAX_INPUT_ELEMENTS, input_elements)?;
    let output = only_one(raw.output, "output")?;
    let output = tensor(output, MAX_OUTPUT_ELEMENTS, |raw| output_elements(raw, &input.elements))?;
    Ok(Checked {
        name: label(raw.name, "name")?,
        version: label(raw.version, "version")?,
        description: filled(raw.description, "description")?,
        licence: filled(raw.licence, "licence")?,
        provenance: provenance(raw.provenance)?,
        input,
        output,
        envelope: envelope(&raw.envelope)?,
        file: inside(raw.file)?,
        sha256: digest(&raw.sha256)?,
    })
}

fn only_one<T>(tables: Vec<Spanned<T>>, field: &str) -> Result<T, Flaw> {
    let mut tables = tables.into_iter();
    let Some(first) = tables.next() else {
        return Err(Flaw { offset: 0, message: format!("there is no [[{field}]] table; add one") });
    };
    if let Some(second) = tables.next() {
        return flaw(&second, format!("a second [[{field}]] table; models with exactly one {field} are supported"));
    }
    Ok(first.into_inner())
}

fn tensor<Raw, Element>(
    raw: RawTensor<Raw>,
    max_elements: usize,
    elements: impl FnOnce(Vec<Raw>) -> Result<Vec<Element>, Flaw>,
) -> Result<Tensor<Element>, Flaw> {
    let dtype = match raw.dtype.get_ref().as_str() {
        "f32" => Dtype::F32,
        other => {
            return flaw(&raw.dtype, format!("dtype {other:?} is not supported; export the model with f32"));
        }
    };
    let shape = shape(&raw.shape)?;
    let declared = product(&shape).filter(|&count| count <= max_elements);
    let Some(declared) = declared else {
        return flaw(&raw.shape, format!("this shape has more than the {max_elements} elements that are supported"));
    };
    let named = raw.elements.get_ref().len();
    if named != declared {
        return flaw(
            &raw.elements,
            format!(
                "{named} elements, but the shape {shape:?} has {declared}; name every element, or correct the shape"
            ),
        );
    }
    Ok(Tensor { name: label(raw.name, "tensor name")?, dtype, shape, elements: elements(raw.elements.into_inner())? })
}

fn shape(raw: &Spanned<Vec<Spanned<u64>>>) -> Result<Vec<usize>, Flaw> {
    if raw.get_ref().is_empty() {
        return flaw(raw, "the shape is empty; a single number has the shape [1]");
    }
    raw.get_ref()
        .iter()
        .map(|dimension| match usize::try_from(*dimension.get_ref()) {
            Ok(size) if size > 0 => Ok(size),
            Ok(_) | Err(_) => {
                flaw(dimension, "a dimension must be at least 1; write the fixed size the model runs with")
            }
        })
        .collect()
}

fn product(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
}

fn input_elements(raw: Vec<RawInputElement>) -> Result<Vec<InputElement>, Flaw> {
    let mut names = HashSet::new();
    raw.into_iter()
        .map(|element| {
            let name = unique(element.name, &mut names)?;
            Ok(InputElement { name, unit: unit(element.unit)? })
        })
        .collect()
}

fn output_elements(raw: Vec<RawOutputElement>, inputs: &[InputElement]) -> Result<Vec<OutputElement>, Flaw> {
    let mut names = HashSet::new();
    raw.into_iter()
        .map(|element| {
            let name = unique(element.name.clone(), &mut names)?;
            output_element(name, element, inputs)
        })
        .collect()
}

fn output_element(name: String, raw: RawOutputElement, inputs: &[InputElement]) -> Result<OutputElement, Flaw> {
    let min = finite(&raw.min, "min")?;
    let max = finite(&raw.max, "max")?;
    if min >= max {
        return flaw(&raw.min, format!("min {min:?} is not less than max {max:?}; exchange or widen them"));
    }
    if !(max - min).is_finite() {
        return flaw(
            &raw.max,
            format!("from min {min:?} to max {max:?} is too far for a 32-bit float; narrow the range"),
        );
    }
    let max_change_per_s = finite(&raw.max_change_per_s, "max_change_per_s")?;
    if max_change_per_s <= 0.0 {
        return flaw(
            &raw.max_change_per_s,
            format!("max_change_per_s {max_change_per_s:?} is not more than 0; give the largest change in one second"),
        );
    }
    let limits = Limits { min, max };
    let rest = limits.inside(&raw.rest, finite(&raw.rest, "rest")?, "rest")?;
    let start = start(&raw.start, limits, inputs)?;
    Ok(OutputElement { name, unit: unit(raw.unit)?, min, max, max_change_per_s, rest, start })
}

fn start(raw: &Spanned<RawStart>, limits: Limits, inputs: &[InputElement]) -> Result<Start, Flaw> {
    match raw.get_ref() {
        RawStart::Value(value) if value.is_finite() => limits.inside(raw, *value, "start").map(Start::Value),
        RawStart::Value(_) => flaw(raw, "start is not a finite 32-bit float; give a number inside min and max"),
        RawStart::Observation(name) => match inputs.iter().position(|input| input.name == *name) {
            Some(index) => Ok(Start::Observation(InputIndex::new(index))),
            None => flaw(
                raw,
                format!("start names {name:?}, which is no input element; name one of them, or give a number"),
            ),
        },
    }
}

#[derive(Clone, Copy)]
struct Limits {
    min: f32,
    max: f32,
}

impl Limits {
    fn inside<T>(self, place: &Spanned<T>, value: f32, field: &str) -> Result<f32, Flaw> {
        let Self { min, max } = self;
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        flaw(place, format!("{field} {value:?} is outside {min:?} to {max:?}; move it inside, or widen min and max"))
    }
}

fn envelope(raw: &RawEnvelope) -> Result<Envelope, Flaw> {
    let too_fast = match raw.too_fast.get_ref().as_str() {
        "clamp" => TooFast::Clamp,
        "fallback" => TooFast::Fallback,
        other => {
            return flaw(&raw.too_fast, format!("too_fast {other:?} is unknown; write \"clamp\" or \"fallback\""));
        }
    };
    let max_step = Duration::from_micros(*raw.max_step_us.get_ref());
    if max_step.is_zero() || max_step > MAX_STEP {
        let message =
            format!("max_step_us must be from 1 to {}; a few control periods are usual", MAX_STEP.as_micros());
        return flaw(&raw.max_step_us, message);
    }
    Ok(Envelope { too_fast, max_step })
}

fn provenance(raw: RawProvenance) -> Result<Provenance, Flaw> {
    Ok(Provenance {
        source: filled(raw.source, "source")?,
        data: filled(raw.data, "data")?,
        trained: filled(raw.trained, "trained")?,
    })
}

/// A path that cannot leave the model's folder by its spelling; links are followed when it is opened.
fn inside(file: Spanned<String>) -> Result<Spanned<String>, Flaw> {
    let mut steps = Path::new(file.get_ref()).components().peekable();
    if steps.peek().is_none() || !steps.all(|step| matches!(step, Component::Normal(_))) {
        return flaw(
            &file,
            format!("file {:?} is not a path below the model's folder; put the file beside model.toml", file.get_ref()),
        );
    }
    Ok(file)
}

fn digest(raw: &Spanned<String>) -> Result<Spanned<[u8; 32]>, Flaw> {
    let digits = raw.get_ref().as_bytes();
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> =
        digits.chunks(2).map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?)).collect();
    match bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
        Some(bytes) => Ok(Spanned::new(raw.span(), bytes)),
        None => flaw(raw, "sha256 is not 64 lower-case hexadecimal digits; `sha256sum` of the ONNX file prints them"),
    }
}

fn unique(name: Spanned<String>, names: &mut HashSet<String>) -> Result<String, Flaw> {
    let offset = name.span().start;
    let name = label(name, "name")?;
    if !names.insert(name.clone()) {
        return Err(Flaw { offset, message: format!("the name {name:?} is used twice; names are unique in a tensor") });
    }
    Ok(name)
}

/// A name that stands in keys, reports and the contract: printable ASCII.
fn label(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    let printable = text.get_ref().bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !printable {
        return flaw(
            &text,
            format!("the {field} holds a character that is not printable ASCII; use letters, digits and signs"),
        );
    }
    short(text, field)
}

/// Any language and sign (°, µ), but no control character: tabs and line ends part the contract's fields.
fn unit(text: Spanned<String>) -> Result<String, Flaw> {
    if text.get_ref().chars().any(char::is_control) {
        return flaw(&text, "the unit holds a control character; remove it");
    }
    if text.get_ref().is_empty() {
        return flaw(&text, "the unit is empty; write \"1\" where a number has no unit");
    }
    short(text, "unit")
}

fn short(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    let bytes = text.get_ref().len();
    if bytes > MAX_NAME_BYTES {
        return flaw(&text, format!("the {field} has {bytes} bytes; shorten it to at most {MAX_NAME_BYTES}"));
    }
    filled(text, field)
}

fn filled(text: Spanned<String>, field: &str) -> Result<String, Flaw> {
    if text.get_ref().trim().is_empty() {
        return flaw(&text, format!("the {field} is empty; fill it in"));
    }
    Ok(text.into_inner())
}

fn finite(number: &Spanned<f32>, field: &str) -> Result<f32, Flaw> {
    if number.get_ref().is_finite() {
        return Ok(*number.get_ref());
    }
    flaw(number, format!("{field} is not a finite 32-bit float; limits must be numbers that can be compared"))
}

fn flaw<T, Place>(place: &Spanned<Place>, message: impl Display) -> Result<T, Flaw> {
    Err(Flaw { offset: place.span().start, message: message.to_string() })
}
