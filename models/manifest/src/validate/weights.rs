//! The files beside the ONNX file that hold tensors of it.

use std::path::{Component, Path};

use toml::Spanned;

use super::{Flaw, digest, flaw};
use crate::schema::RawWeights;

/// The most files; large models are cut into a few dozen.
const MAX_FILES: usize = 64;

/// One of them, by a name in the model's folder.
#[derive(Debug)]
pub(crate) struct WeightsFile {
    /// The place is for errors about the file itself.
    pub(crate) file: Spanned<String>,
    pub(crate) sha256: Spanned<[u8; 32]>,
}

pub(super) fn weights(raw: Vec<RawWeights>, model: &str) -> Result<Vec<WeightsFile>, Flaw> {
    let mut checked: Vec<WeightsFile> = Vec::with_capacity(raw.len().min(MAX_FILES));
    for RawWeights { file, sha256 } in raw {
        let name = file.get_ref().as_str();
        if checked.len() == MAX_FILES {
            return flaw(&file, format!("there are more than {MAX_FILES} [[weights]]; save them in fewer files"));
        }
        if !is_plain(name) {
            let message = format!(
                "weights {name:?} is not the name of a file in the model's folder; put it beside the ONNX file"
            );
            return flaw(&file, message);
        }
        if name == model || checked.iter().any(|other| other.file.get_ref() == name) {
            return flaw(&file, format!("the file {name:?} is declared twice; remove one"));
        }
        checked.push(WeightsFile { sha256: digest(&sha256)?, file });
    }
    Ok(checked)
}

/// A name and no way, on any system, of printable characters: it becomes part of what is signed off.
fn is_plain(name: &str) -> bool {
    let mut steps = Path::new(name).components();
    matches!((steps.next(), steps.next()), (Some(Component::Normal(only)), None) if only == name)
        && !name.contains(['/', '\\', ':'])
        && !name.chars().any(char::is_control)
}
