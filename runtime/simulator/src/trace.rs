//! Everything that went in and came out, as one running hash and, where asked for, as lines of text.

use std::collections::VecDeque;

/// How a run is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Only the hash.
    Hash,
    /// The hash and the last lines.
    Tail,
    /// The hash and every line.
    All,
}

const TAIL: usize = 40;

pub(crate) struct Trace {
    keep: Keep,
    hash: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, hash: FNV_OFFSET, lines: VecDeque::new() }
    }

    /// Takes bytes into the hash.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.number(u64::from_le_bytes(*word));
        }
        for byte in rest {
            self.number(u64::from(*byte));
        }
    }

    /// Takes a number into the hash.
    pub(crate) fn number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(FNV_PRIME).rotate_left(29);
    }

    /// Takes a line, if lines are kept at all.
    pub(crate) fn line(&mut self, line: impl FnOnce() -> String) {
        match self.keep {
            Keep::Hash => {}
            Keep::Tail | Keep::All => {
                if self.keep == Keep::Tail && self.lines.len() == TAIL {
                    self.lines.pop_front();
                }
                self.lines.push_back(line());
            }
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
