//! Which members of a closed list a rule means.

use core::marker::PhantomData;

/// A member of a closed list of at most 64.
pub trait Member: Copy {
    /// Its place in the list, below 64.
    fn place(self) -> u8;
}

/// Some members of a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Set<T>(u64, PhantomData<T>);

impl<T: Member> Set<T> {
    /// No member.
    pub const EMPTY: Self = Self(0, PhantomData);

    /// Whether this one is meant.
    #[must_use]
    pub fn contains(self, member: T) -> bool {
        self.0 & bit(member) != 0
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<T: Member> FromIterator<T> for Set<T> {
    fn from_iter<I: IntoIterator<Item = T>>(members: I) -> Self {
        Self(members.into_iter().fold(0, |bits, member| bits | bit(member)), PhantomData)
    }
}

fn bit<T: Member>(member: T) -> u64 {
    1_u64.checked_shl(u32::from(member.place())).expect("a list has at most 64 members")
}
