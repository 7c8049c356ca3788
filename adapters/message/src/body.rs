//! What a response is: an action, a fallback or a refusal, each with what belongs to it and no more.

use core::num::NonZeroU16;

use crate::Malformed;

/// What a response is.
///
/// A refusal has nowhere to put values, so it cannot carry an action:
///
/// ```
/// # use message::{Body, ReasonNumber};
/// # let reason = ReasonNumber::new(214).unwrap();
/// let refusal = Body::Refusal { reason };
/// assert_eq!(refusal.values(), []);
/// ```
/// ```compile_fail,E0559
/// # use message::{Body, ReasonNumber};
/// # let reason = ReasonNumber::new(214).unwrap();
/// let refusal = Body::Refusal { reason, values: &[] };
/// # assert_eq!(refusal.values(), []);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Body<'a> {
    /// The model's action.
    Action {
        /// Where the model ran.
        place: Place,
        /// The output elements, laid out by the task.
        values: &'a [u8],
    },
    /// The task's declared substitute for an action.
    Fallback {
        /// Why no action of the model could be sent.
        reason: ReasonNumber,
        /// The output elements, laid out by the task.
        values: &'a [u8],
    },
    /// No action at all.
    Refusal {
        /// Why the observation was refused.
        reason: ReasonNumber,
    },
}

impl<'a> Body<'a> {
    /// The output elements; none in a refusal.
    #[must_use]
    pub const fn values(&self) -> &'a [u8] {
        match *self {
            Self::Action { values, .. } | Self::Fallback { values, .. } => values,
            Self::Refusal { .. } => &[],
        }
    }

    pub(crate) fn parse(tag: Tag, values: &'a [u8]) -> Result<Self, Malformed> {
        match tag.kind {
            ACTION => Ok(Self::Action { place: tag.place_without_reason()?, values }),
            FALLBACK => Ok(Self::Fallback { reason: tag.reason_from_nowhere()?, values }),
            REFUSAL if values.is_empty() => Ok(Self::Refusal { reason: tag.reason_from_nowhere()? }),
            REFUSAL => Err(Malformed::RefusalWithValues),
            _ => Err(Malformed::Kind),
        }
    }

    pub(crate) const fn tag(&self) -> Tag {
        match *self {
            Self::Action { place, .. } => Tag::from_place(ACTION, place),
            Self::Fallback { reason, .. } => Tag::from_nowhere(FALLBACK, reason),
            Self::Refusal { reason } => Tag::from_nowhere(REFUSAL, reason),
        }
    }
}

/// Where a model ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// On the box that answers.
    Box,
    /// On a cluster that the box handed the request to.
    Cluster,
}

/// The stable number of a reason, at least 1; `E-214` has 214. On the wire 0 says that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReasonNumber(NonZeroU16);

impl ReasonNumber {
    /// The reason with this number, none for 0.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match NonZeroU16::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number on the wire, at least 1.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0.get()
    }
}

/// The fields of a response or reply that say which body it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    pub(crate) reason: u16,
    pub(crate) kind: u8,
    pub(crate) place: u8,
}

impl Tag {
    /// A model ran here, and no reason says otherwise.
    pub(crate) const fn from_place(kind: u8, place: Place) -> Self {
        let place = match place {
            Place::Box => BOX,
            Place::Cluster => CLUSTER,
        };
        Self { reason: 0, kind, place }
    }

    /// No model's values, for this reason.
    pub(crate) const fn from_nowhere(kind: u8, reason: ReasonNumber) -> Self {
        Self { reason: reason.value(), kind, place: NOWHERE }
    }

    pub(crate) fn place_without_reason(self) -> Result<Place, Malformed> {
        match (self.place, self.reason) {
            (_, 1..) => Err(Malformed::Reason),
            (BOX, 0) => Ok(Place::Box),
            (CLUSTER, 0) => Ok(Place::Cluster),
            (_, 0) => Err(Malformed::Place),
        }
    }

    pub(crate) fn reason_from_nowhere(self) -> Result<ReasonNumber, Malformed> {
        let reason = ReasonNumber::new(self.reason).ok_or(Malformed::Reason)?;
        if self.place != NOWHERE {
            return Err(Malformed::Place);
        }
        Ok(reason)
    }
}

const ACTION: u8 = 1;
const FALLBACK: u8 = 2;
const REFUSAL: u8 = 3;

const NOWHERE: u8 = 0;
const BOX: u8 = 1;
const CLUSTER: u8 = 2;
