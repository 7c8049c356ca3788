//! What was found, as the JSON file keeps it, and what it proves.

use serde::Serialize;

use super::tests::Tests;
use super::trtexec::Trtexec;
use crate::machine::Machine;
use crate::statistics::Quantiles;

/// One run of the proof.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) machine: Machine,
    pub(crate) gpus: Vec<String>,
    pub(crate) driver: Option<String>,
    pub(crate) library: String,
    /// `None`: left out.
    pub(crate) tests: Option<Tests>,
    pub(crate) models: Vec<ModelFindings>,
    pub(crate) verdict: Verdict,
}

/// One model.
#[derive(Debug, Serialize)]
pub(crate) struct ModelFindings {
    pub(crate) model: String,
    pub(crate) sha256: String,
    pub(crate) providers: Vec<ProviderFindings>,
    pub(crate) trtexec: Trtexec,
}

/// One model on one provider: measured, or why not.
#[derive(Debug, Serialize)]
pub(crate) struct ProviderFindings {
    pub(crate) provider: String,
    pub(crate) settings: String,
    pub(crate) refused: Option<String>,
    pub(crate) measured: Option<Measured>,
}

/// The figures of a model that is held whole.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// With engines built where none were kept.
    pub(crate) first_load_ms: u128,
    pub(crate) second_load_ms: u128,
    /// The largest difference from a golden vector; `None` where the model has none.
    pub(crate) deviation: Option<f32>,
    pub(crate) runs: u32,
    pub(crate) times: Quantiles,
}

/// What a run proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// On a GPU every test ran and passed, and every model is held by every provider.
    Proven,
    /// There is a GPU, and something did not hold.
    Failed,
    /// There is a GPU and nothing failed on it, but the tests did not all run.
    LeftOut,
    /// Nothing was tried.
    NoGpu,
}

impl Findings {
    pub(crate) fn judge(&self) -> Verdict {
        if self.gpus.is_empty() {
            return Verdict::NoGpu;
        }
        let mut providers = self.models.iter().flat_map(|model| &model.providers);
        let held = providers.all(|found| found.measured.is_some());
        match &self.tests {
            Some(tests) if !tests.good => Verdict::Failed,
            _ if !held => Verdict::Failed,
            Some(tests) if tests.skipped.is_empty() => Verdict::Proven,
            Some(_) | None => Verdict::LeftOut,
        }
    }
}

impl Verdict {
    /// In a sentence.
    pub(crate) const fn says(self) -> &'static str {
        match self {
            Self::Proven => {
                "proven on this GPU: every test passed, every provider holds every model and answers as declared"
            }
            Self::Failed => "NOT PROVEN: there is a GPU, and something did not hold on it",
            Self::LeftOut => "NOT PROVEN: there is a GPU, and tests that need it were left out or skipped",
            Self::NoGpu => "NOTHING PROVEN: there is no Nvidia GPU here; nothing was run on one",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(gpu: bool, tests: Option<(bool, bool)>, held: bool) -> Findings {
        let times = Quantiles { p50_us: 1.0, p99_us: 1.0, p999_us: 1.0, max_us: 1.0 };
        let measured = Measured { first_load_ms: 1, second_load_ms: 1, deviation: None, runs: 1, times };
        let provider = ProviderFindings {
            provider: "cuda:0".into(),
            settings: String::new(),
            refused: None,
            measured: held.then_some(measured),
        };
        let skipped = |skips| if skips { vec!["SKIPPED".to_owned()] } else { Vec::new() };
        Findings {
            date: String::new(),
            commit: None,
            machine: Machine::this(),
            gpus: if gpu { vec!["A GPU".into()] } else { Vec::new() },
            driver: None,
            library: String::new(),
            tests: tests.map(|(good, skips)| Tests { good, skipped: skipped(skips), said: Vec::new() }),
            models: vec![ModelFindings {
                model: "policy".into(),
                sha256: String::new(),
                providers: vec![provider],
                trtexec: Trtexec::NotRun(String::new()),
            }],
            verdict: Verdict::NoGpu,
        }
    }

    #[test]
    fn only_a_gpu_on_which_everything_ran_and_held_is_a_proof() {
        assert_eq!(findings(true, Some((true, false)), true).judge(), Verdict::Proven);
        assert_eq!(findings(true, Some((false, false)), true).judge(), Verdict::Failed, "a test failed");
        assert_eq!(findings(true, Some((true, true)), true).judge(), Verdict::LeftOut, "a test was skipped");
        assert_eq!(findings(true, None, true).judge(), Verdict::LeftOut, "the tests were left out");
        assert_eq!(findings(true, None, false).judge(), Verdict::Failed, "a provider refused");
        assert_eq!(findings(true, Some((true, false)), false).judge(), Verdict::Failed, "a provider refused");
        assert_eq!(findings(false, Some((true, false)), true).judge(), Verdict::NoGpu);
    }
}
