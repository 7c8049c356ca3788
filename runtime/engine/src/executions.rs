//! executions: how long one inference takes, by how many observations it answers.

use heapless::Vec;

use crate::{task::MAX_BATCH, time::Duration};

/// The execution C of one inference for each batch from 1 to the largest: never shorter for a larger batch, and
/// longer by at most C(1) for each member more. A batch is then worth its while: who waits behind it waits no longer
/// than if its members ran one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executions(Vec<Duration, MAX_BATCH>);

/// Why executions cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutionsError {
    /// There is none, or more than [`MAX_BATCH`].
    Sizes,
    /// A batch of this many is shorter than the one before it.
    Shorter(usize),
    /// A batch of this many is longer than the one before it and one alone.
    NotWorthIt(usize),
}

impl core::fmt::Display for ExecutionsError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Sizes => write!(formatter, "between 1 and {MAX_BATCH} batch sizes are needed"),
            Self::Shorter(members) => write!(formatter, "a batch of {members} is shorter than a smaller one"),
            Self::NotWorthIt(members) => {
                write!(formatter, "a batch of {members} takes longer than one of them alone after the others")
            }
        }
    }
}

impl core::error::Error for ExecutionsError {}

impl Executions {
    /// No batches: each inference answers one observation.
    #[must_use]
    pub fn single(execution: Duration) -> Self {
        let mut sizes = Vec::new();
        assert!(sizes.push(execution).is_ok(), "there is room for one");
        Self(sizes)
    }

    /// The executions of batches of 1, 2, and so on up to the largest.
    ///
    /// # Errors
    /// The first [`ExecutionsError`]; what comes before it can be declared.
    pub fn new(sizes: &[Duration]) -> Result<Self, ExecutionsError> {
        let alone = *sizes.first().ok_or(ExecutionsError::Sizes)?;
        for (members, pair) in (2..).zip(sizes.windows(2)) {
            let [fewer, more] = *pair else { continue };
            if more < fewer {
                return Err(ExecutionsError::Shorter(members));
            }
            if more > fewer.plus(alone) {
                return Err(ExecutionsError::NotWorthIt(members));
            }
        }
        Vec::from_slice(sizes).map(Self).map_err(|_| ExecutionsError::Sizes)
    }

    /// The most observations that one inference answers.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.0.len()
    }

    /// The execution of a batch of so many; none if it is empty or larger than the largest.
    #[must_use]
    pub fn of(&self, members: usize) -> Option<Duration> {
        self.0.get(members.checked_sub(1)?).copied()
    }

    /// The execution of one observation alone.
    #[must_use]
    pub fn alone(&self) -> Duration {
        self.of(1).expect("there is at least one size: the constructors check")
    }

    /// The execution of the largest batch.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.of(self.largest_batch()).expect("there is at least one size: the constructors check")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new<const N: usize>(micros: [u64; N]) -> Result<Executions, ExecutionsError> {
        Executions::new(&micros.map(Duration::from_micros))
    }

    #[test]
    fn a_larger_batch_is_no_shorter_and_no_longer_than_one_more_inference() {
        assert_eq!(new([]), Err(ExecutionsError::Sizes));
        assert_eq!(new([100; MAX_BATCH + 1]), Err(ExecutionsError::Sizes));
        assert_eq!(new([100, 120, 119]), Err(ExecutionsError::Shorter(3)));
        assert_eq!(new([100, 200, 301]), Err(ExecutionsError::NotWorthIt(3)));
        let executions = new([100, 100, 200]).unwrap();
        assert_eq!(
            [0, 1, 3, 4].map(|members| executions.of(members).map(Duration::nanos)),
            [None, Some(100_000), Some(200_000), None]
        );
        assert_eq!((executions.largest_batch(), executions.longest().nanos()), (3, 200_000));
    }
}
