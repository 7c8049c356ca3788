//! Every way out of the box.

use super::set::Member;

/// How many jurisdictions a policy can tell apart.
pub const MAX_JURISDICTIONS: u8 = 32;

/// A jurisdiction: a place in the caller's list. It is known by a certificate chain, an allow-list and the operator's
/// word; where a machine stands is never proven by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Jurisdiction(u8);

impl Jurisdiction {
    /// The one at this place of the caller's list; none from [`MAX_JURISDICTIONS`] on.
    #[must_use]
    pub const fn new(place: u8) -> Option<Self> {
        if place < MAX_JURISDICTIONS { Some(Self(place)) } else { None }
    }

    /// Its place in the caller's list.
    #[must_use]
    pub const fn place(self) -> u8 {
        self.0
    }
}

/// Where data may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A cluster in this jurisdiction. Which one makes no difference: what may go to one of them may go to each, so
    /// that another takes over where one fails. No other jurisdiction ever does.
    Cluster(Jurisdiction),
    /// A zenoh router or peer that the box connects to.
    Router,
    /// ROS 2 topics.
    Ros,
    /// Metrics that somebody collects.
    Metrics,
    /// Traces that somebody collects.
    Traces,
    /// A recording that leaves the box.
    Recording,
}

impl Destination {
    /// The ways out that are no cluster, in the order of their declaration.
    pub const OTHERS: [Self; 5] = [Self::Router, Self::Ros, Self::Metrics, Self::Traces, Self::Recording];
}

impl Member for Destination {
    fn place(self) -> u8 {
        match self {
            Self::Cluster(jurisdiction) => jurisdiction.0,
            Self::Router => MAX_JURISDICTIONS,
            Self::Ros => MAX_JURISDICTIONS + 1,
            Self::Metrics => MAX_JURISDICTIONS + 2,
            Self::Traces => MAX_JURISDICTIONS + 3,
            Self::Recording => MAX_JURISDICTIONS + 4,
        }
    }
}
