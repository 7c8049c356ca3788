//! The first provider of a list that holds the whole model. Nothing that is not in the list is ever used.

use std::fmt;

use manifest::Manifest;
use thiserror::Error;

use crate::{Library, Loading, Model, ModelError, Provider};

/// A model on the provider that holds it.
pub struct Holds {
    /// The model; [`Model::provider`] says where it is.
    pub model: Model,
    /// Those that stand before it in the list, and why it is on none of them.
    pub passed: Vec<Passed>,
}

/// A provider that does not hold the model.
#[derive(Debug)]
pub struct Passed {
    /// The provider.
    pub provider: Provider,
    /// Why it does not hold it.
    pub reason: ModelError,
}

/// No provider of the list holds the model, or what is wrong is wrong on every one: the last reason is that.
#[derive(Debug, Error)]
#[error("{}", list(.0))]
pub struct NoneHolds(pub Vec<Passed>);

/// Loads a model on the first of `providers` that holds all of it, as `loading` says but for the provider. `begun` is told
/// of each that is tried, before it is.
///
/// # Errors
/// [`NoneHolds`] with every reason.
///
/// # Panics
/// Without a provider.
pub fn first_that_holds(
    library: &Library,
    manifest: &Manifest,
    providers: &[Provider],
    loading: &Loading<'_>,
    mut begun: impl FnMut(Provider),
) -> Result<Holds, NoneHolds> {
    assert!(!providers.is_empty(), "a list names at least one provider");
    let mut passed = Vec::new();
    for &provider in providers {
        begun(provider);
        match Model::load_as(library, manifest, &Loading { provider, ..*loading }) {
            Ok(model) => return Ok(Holds { model, passed }),
            Err(reason) => {
                let may_hold_elsewhere = reason.is_of_the_provider();
                passed.push(Passed { provider, reason });
                if !may_hold_elsewhere {
                    break;
                }
            }
        }
    }
    Err(NoneHolds(passed))
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not on {}: {}", self.provider, self.reason)
    }
}

/// One reason is its own text; several follow each other.
fn list(passed: &[Passed]) -> String {
    match passed {
        [one] => one.reason.to_string(),
        several => {
            let reasons: Vec<_> = several.iter().map(Passed::to_string).collect();
            format!("none of the listed providers holds the whole model\n{}", reasons.join("\n"))
        }
    }
}
