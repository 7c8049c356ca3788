//! What the box and a controller must agree on before the first action, and its digest.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{Manifest, Role, Source, Tensor};

/// The names, order, units and limits of one task, as a text that both sides can write.
///
/// The text is UTF-8, one line for each fact, each line ended by a line feed, the fields of a line
/// parted by one tab:
///
/// ```text
/// genba-contract-v1
/// task⇥<task>
/// in⇥<name>⇥<unit>                                   one line an element of the observation, in order
/// join⇥<input>⇥<name>⇥<unit>                         one line an element of a joined input, in order
/// out⇥<name>⇥<unit>⇥<min>⇥<max>⇥<max_change_per_s>   one line an output element, in order
/// ```
///
/// The output elements of a plan are those of one step: that is what a response holds. How many steps there are and how
/// they lie in time is the box's own affair.
///
/// A model without an action has its results in place of its action's elements, and its observation may be one tensor whose
/// elements are unnamed. The sizes of a shape are parted by commas:
///
/// ```text
/// tensor⇥<input>⇥<dtype>⇥<shape>                      the observation
/// result⇥<output>⇥<dtype>⇥<shape>                     one line a result, in order
/// give⇥<output>⇥<name>⇥<unit>                         one line an element of a result that names them, after its line
/// ```
///
/// A model without joined inputs has no such lines. What a model remembers is the box's own affair and not in it.
///
/// No field holds a control character, so the text reads back in one way only. Numbers are 32-bit
/// floats in the shortest decimal form that reads back as the same float, always with a point or an
/// exponent: `100.0`, `-0.25`, `1e16` (from 1e16 on), `1e-5` (below 1e-4), as Rust's `{:?}` writes them.
/// The digest is the first 16 bytes of the text's SHA-256. `tests/contract.py` does the same in Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    text: String,
    digest: [u8; 16],
}

/// Why there is no contract for a task.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ContractError {
    /// The task's name is empty or holds a control character, which would make the text ambiguous.
    #[error("the task name {0:?} is empty or holds a control character; give the task a printable name")]
    TaskName(String),
}

impl Contract {
    /// The contract of `task` when `manifest`'s model answers it.
    ///
    /// # Errors
    /// [`ContractError::TaskName`] where the task's name cannot stand in the text.
    pub fn new(task: &str, manifest: &Manifest) -> Result<Self, ContractError> {
        if task.is_empty() || task.chars().any(char::is_control) {
            return Err(ContractError::TaskName(task.to_owned()));
        }
        let text = text(task, manifest);
        let whole: [u8; 32] = Sha256::digest(&text).into();
        let mut digest = [0; 16];
        digest.copy_from_slice(&whole[..16]);
        Ok(Self { text, digest })
    }

    /// The canonical text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first 16 bytes of the text's SHA-256.
    #[must_use]
    pub fn digest(&self) -> [u8; 16] {
        self.digest
    }
}

fn text(task: &str, manifest: &Manifest) -> String {
    let mut text = format!("genba-contract-v1\ntask\t{task}\n");
    for element in manifest.input_elements() {
        line(&mut text, format_args!("in\t{}\t{}", element.name, element.unit));
    }
    let shape = |tensor: &Tensor| tensor.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    if manifest.input_elements().is_empty() {
        let tensor = &manifest.inputs()[manifest.observation().as_usize()].tensor;
        line(&mut text, format_args!("tensor\t{}\t{}\t{}", tensor.name, tensor.dtype, shape(tensor)));
    }
    for input in manifest.inputs() {
        let Source::Joined(elements) = &input.source else { continue };
        for element in elements {
            line(&mut text, format_args!("join\t{}\t{}\t{}", input.tensor.name, element.name, element.unit));
        }
    }
    for output in manifest.outputs().iter().filter(|_| manifest.action().is_none()) {
        let Role::Result(elements) = &output.role else { continue };
        let tensor = &output.tensor;
        line(&mut text, format_args!("result\t{}\t{}\t{}", tensor.name, tensor.dtype, shape(tensor)));
        for element in elements {
            line(&mut text, format_args!("give\t{}\t{}\t{}", tensor.name, element.name, element.unit));
        }
    }
    for element in manifest.output_elements() {
        line(
            &mut text,
            format_args!(
                "out\t{}\t{}\t{:?}\t{:?}\t{:?}",
                element.name, element.unit, element.min, element.max, element.max_change_per_s
            ),
        );
    }
    text
}

fn line(text: &mut String, fields: std::fmt::Arguments<'_>) {
    writeln!(text, "{fields}").expect("writing to a String cannot fail");
}
