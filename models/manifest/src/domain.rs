//! Whose operators a graph may use besides ONNX's own.

/// A domain of operators, `domains = ["com.microsoft"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// ONNX Runtime's own operators, which no other runtime has: quantised and fused ones above all.
    Microsoft,
}

impl Domain {
    /// As it stands in a graph and in `model.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Microsoft => "com.microsoft",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        (name == Self::Microsoft.name()).then_some(Self::Microsoft)
    }
}
