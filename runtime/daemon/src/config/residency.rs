//! The data classes of what a task's model is given, and the file that says what may leave, checked.

use std::{collections::BTreeMap, path::PathBuf};

use engine::residency::{Class, ClassError, Kind, Sensitivity};
use serde::Deserialize;
use toml::Spanned;

use super::{ConfigError, error::File};

/// Where the residency policy is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResidency {
    policy: PathBuf,
}

/// What is declared of each input, by its name. Whether the model has it is seen when its manifest is loaded.
pub(super) type RawData = BTreeMap<Spanned<String>, Spanned<String>>;

/// The policy's path. Where a cluster is declared there must be one.
pub(super) fn check_residency(
    file: &File<'_>,
    residency: Option<RawResidency>,
    a_cluster: Option<&Spanned<String>>,
) -> Result<Option<PathBuf>, ConfigError> {
    match (residency, a_cluster) {
        (Some(residency), _) => Ok(Some(file.in_folder(&residency.policy))),
        (None, None) => Ok(None),
        (None, Some(cluster)) => {
            let what = "nothing leaves the box without a rule, and there is no [residency]".to_owned();
            let help =
                "declare [residency] policy = \"policy.toml\"; `genba policy template jp` writes one to begin with";
            Err(file.at(cluster, what, help))
        }
    }
}

/// Each input's class.
pub(super) fn check_data(file: &File<'_>, data: RawData) -> Result<Vec<(String, Class)>, ConfigError> {
    data.into_iter().map(|(name, class)| Ok((name.into_inner(), check_class(file, &class)?))).collect()
}

fn check_class(file: &File<'_>, written: &Spanned<String>) -> Result<Class, ConfigError> {
    written.get_ref().parse().map_err(|error: ClassError| {
        let help = match error {
            ClassError::Shape => "such as \"image/trade-secret\"".to_owned(),
            ClassError::Kind => format!("the kinds are {}", Kind::ALL.map(Kind::name).join(", ")),
            ClassError::Sensitivity => {
                format!("the sensitivities are {}", Sensitivity::ALL.map(Sensitivity::name).join(", "))
            }
        };
        file.at(written, format!("{:?}: {error}", written.get_ref()), &help)
    })
}
