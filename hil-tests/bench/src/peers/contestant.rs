//! Who is measured.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::scene::Scene;

/// A server, and the client that asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contestant {
    /// `genba run`.
    Genba,
    /// The same, asked by the Python client, to stand beside dora.
    GenbaPython,
    /// Decode, run, put inside zenoh's callback, in Rust; zenoh as it comes.
    NaiveDefault,
    /// The same with the box's zenoh settings.
    NaiveTuned,
    /// `peers/zenoh_server.py`.
    PythonZenoh,
    /// Triton's python backend.
    Triton,
    /// With two priorities.
    TritonPriority,
    /// With two priorities and a queue time-out.
    TritonTimeout,
    /// A dataflow of dora's Python nodes.
    Dora,
}

/// What a contestant's client is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ClientIn {
    Rust,
    Python,
}

impl Contestant {
    pub(crate) const ALL: [Self; 9] = [
        Self::Genba,
        Self::GenbaPython,
        Self::NaiveDefault,
        Self::NaiveTuned,
        Self::PythonZenoh,
        Self::Triton,
        Self::TritonPriority,
        Self::TritonTimeout,
        Self::Dora,
    ];
    /// What needs nothing but the tests' Python packages.
    pub(crate) const SHORT: [Self; 3] = [Self::Genba, Self::NaiveDefault, Self::PythonZenoh];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Genba => "genba",
            Self::GenbaPython => "genba-python",
            Self::NaiveDefault => "naive-default",
            Self::NaiveTuned => "naive-tuned",
            Self::PythonZenoh => "python-zenoh",
            Self::Triton => "triton",
            Self::TritonPriority => "triton-priority",
            Self::TritonTimeout => "triton-timeout",
            Self::Dora => "dora",
        }
    }

    /// For people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Genba => "genba",
            Self::GenbaPython => "genba, Python client",
            Self::NaiveDefault => "naive Rust server",
            Self::NaiveTuned => "naive Rust server, our zenoh settings",
            Self::PythonZenoh => "Python onnxruntime + zenoh",
            Self::Triton => "Triton",
            Self::TritonPriority => "Triton, priorities",
            Self::TritonTimeout => "Triton, priorities and time-out",
            Self::Dora => "dora, Python client",
        }
    }

    pub(crate) fn client(self) -> ClientIn {
        match self {
            Self::GenbaPython | Self::Dora => ClientIn::Python,
            Self::Genba
            | Self::NaiveDefault
            | Self::NaiveTuned
            | Self::PythonZenoh
            | Self::Triton
            | Self::TritonPriority
            | Self::TritonTimeout => ClientIn::Rust,
        }
    }

    pub(crate) fn is_genba(self) -> bool {
        matches!(self, Self::Genba | Self::GenbaPython)
    }

    /// Whether its answers are made in Rust: such peers have genba's own language.
    pub(crate) fn is_rust(self) -> bool {
        self.is_genba() || matches!(self, Self::NaiveDefault | Self::NaiveTuned)
    }

    /// Whether the scene can tell it from its siblings.
    pub(crate) fn takes_part(self, scene: Scene) -> bool {
        match self {
            // There to compare latencies client for client; a flood is asked for by either client.
            Self::GenbaPython => scene.flood().is_none(),
            // A queue's policy shows where there is a queue.
            Self::TritonPriority | Self::TritonTimeout => scene.flood().is_some(),
            Self::Genba | Self::NaiveDefault | Self::NaiveTuned | Self::PythonZenoh | Self::Triton | Self::Dora => true,
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
