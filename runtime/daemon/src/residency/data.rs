//! What a task's model is given, with the class of each input.

use std::sync::Arc;

use engine::residency::Class;
use manifest::Manifest;
use miette::{Result, miette};

use crate::config::TaskConfig;

/// One input of a model: a field of the request that asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Datum {
    pub(crate) name: Arc<str>,
    /// `None`: nobody said, and it goes nowhere.
    pub(crate) class: Option<Class>,
}

/// A task's data, in the order of its model's inputs: all of them, what the box remembers as well as what it is sent.
pub(crate) fn data_of(task: &TaskConfig, manifest: &Manifest) -> Result<Arc<[Datum]>> {
    let inputs = || manifest.inputs().iter().map(|input| input.tensor.name.as_str());
    if let Some((name, _)) = task.data.iter().find(|(name, _)| !inputs().any(|input| input == name)) {
        return Err(miette!(
            help = format!("its model.toml declares: {}", inputs().collect::<Vec<_>>().join(", ")),
            "task {}: data has a class for {name:?}, and its model has no such input",
            task.name
        ));
    }
    let class = |name: &str| task.data.iter().find(|(of, _)| of == name).map(|(_, class)| *class);
    Ok(inputs().map(|name| Datum { name: name.into(), class: class(name) }).collect())
}
