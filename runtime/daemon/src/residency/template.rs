//! Policies to begin with.

use clap::ValueEnum;

/// Whose law a template has in mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Template {
    /// Japan.
    Jp,
    /// The European Union.
    Eu,
    /// The United States.
    Us,
}

impl Template {
    /// The policy, as it is to be filled in.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Jp => include_str!("../../policies/jp.toml"),
            Self::Eu => include_str!("../../policies/eu.toml"),
            Self::Us => include_str!("../../policies/us.toml"),
        }
    }
}
