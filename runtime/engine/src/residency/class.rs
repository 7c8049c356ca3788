//! What data are, on two axes: what they show, and who could be hurt if they were shown elsewhere.

use core::{fmt, str::FromStr};

use super::set::Member;

/// What data show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Positions, velocities and torques of a robot's joints, in and out of it.
    JointState,
    /// Forces and torques at a tool, pressures, currents.
    Force,
    /// Where parts and tools are, in space.
    Pose,
    /// What a camera sees.
    Image,
    /// Distances as a picture.
    Depth,
    /// Distances as points in space.
    PointCloud,
    /// Sound.
    Audio,
    /// Words: commands of people, labels, serial numbers.
    Text,
    /// What a model made of any of these, such as a picture's features. Not anonymous by being unreadable.
    Embedding,
    /// References for a robot over time, and what they are computed from.
    Plan,
    /// Figures of machines and of the box: loads, temperatures, counts, latencies.
    Telemetry,
    /// What programs write down, which may hold anything.
    Log,
    /// Made up by the box itself and made of nothing that was measured: the probe of an endpoint's health.
    Synthetic,
}

impl Kind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::JointState,
        Self::Force,
        Self::Pose,
        Self::Image,
        Self::Depth,
        Self::PointCloud,
        Self::Audio,
        Self::Text,
        Self::Embedding,
        Self::Plan,
        Self::Telemetry,
        Self::Log,
        Self::Synthetic,
    ];

    /// As it is written in configs, policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JointState => "joint-state",
            Self::Force => "force",
            Self::Pose => "pose",
            Self::Image => "image",
            Self::Depth => "depth",
            Self::PointCloud => "point-cloud",
            Self::Audio => "audio",
            Self::Text => "text",
            Self::Embedding => "embedding",
            Self::Plan => "plan",
            Self::Telemetry => "telemetry",
            Self::Log => "log",
            Self::Synthetic => "synthetic",
        }
    }
}

impl Member for Kind {
    fn place(self) -> u8 {
        self as u8
    }
}

/// Who could be hurt if data were shown elsewhere.
///
/// There is no order among them, and so no "up to": a trade secret, a person and a state are protected by different
/// laws against different people, and a rule that allows the one says nothing of the other. A rule lists what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Sensitivity {
    /// Nobody: it is known, or made up.
    Public,
    /// The plant, a little: everyday operation.
    Internal,
    /// The plant or its customers: how something is made.
    TradeSecret,
    /// A person who can be told apart, by a face, a voice, a name or a badge.
    Personal,
    /// A state: what it controls the export of, or has others keep for it.
    Government,
}

impl Sensitivity {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Public, Self::Internal, Self::TradeSecret, Self::Personal, Self::Government];

    /// As it is written in configs, policies and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::TradeSecret => "trade-secret",
            Self::Personal => "personal",
            Self::Government => "government",
        }
    }
}

impl Member for Sensitivity {
    fn place(self) -> u8 {
        self as u8
    }
}

/// A data class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Class {
    /// What the data show.
    pub kind: Kind,
    /// Who could be hurt.
    pub sensitivity: Sensitivity,
}

impl Class {
    /// The class of what the box makes up itself, such as a probe.
    pub const SYNTHETIC: Self = Self { kind: Kind::Synthetic, sensitivity: Sensitivity::Public };
}

/// Why a text names no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassError {
    /// It is not two words with a `/` between them.
    Shape,
    /// The first word is no kind.
    Kind,
    /// The second word is no sensitivity.
    Sensitivity,
}

impl fmt::Display for ClassError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Shape => "a data class is written as kind/sensitivity, such as image/trade-secret",
            Self::Kind => "there is no such kind of data",
            Self::Sensitivity => "there is no such sensitivity",
        })
    }
}

impl core::error::Error for ClassError {}

impl FromStr for Kind {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, ClassError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(ClassError::Kind)
    }
}

impl FromStr for Sensitivity {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, ClassError> {
        Self::ALL.into_iter().find(|sensitivity| sensitivity.name() == text).ok_or(ClassError::Sensitivity)
    }
}

impl FromStr for Class {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, ClassError> {
        let (kind, sensitivity) = text.split_once('/').ok_or(ClassError::Shape)?;
        Ok(Self { kind: kind.parse()?, sensitivity: sensitivity.parse()? })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.sensitivity)
    }
}
