//! The proof that anybody with a GPU can run: the tests that need one, and each shipped model on each provider, beside
//! trtexec where it is installed. Where there is no GPU it says so, and proves nothing.
//!
//! The modules stand in the order in which a run uses them.

mod tests;
mod trtexec;

mod findings;
mod page;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use manifest::Manifest;
use miette::{IntoDiagnostic, Result, WrapErr};
use onnx_model::{Kernel, Library, Loading, Model, ModelError, Provider};

use self::findings::{Findings, Measured, ModelFindings, ProviderFindings, Verdict};
use crate::machine;
use crate::progress::Progress;
use crate::statistics::Times;

/// Runs the tests that need a GPU, measures the shipped models on each provider, and writes one report.
///
/// Exits with 0 if all of it held on a GPU, 1 if something did not, 3 if there is no GPU or tests were left
/// out: then nothing is proven.
#[derive(Debug, Args)]
pub(crate) struct Gpu {
    /// ONNX Runtime for GPUs. Default: what `make native-gpu` fetched, else the one for processors.
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// Where all figures are kept.
    #[arg(long, value_name = "FILE", default_value = "gpu-proof.json")]
    json: PathBuf,
    /// The page of it.
    #[arg(long, value_name = "FILE", default_value = "gpu-proof.html")]
    html: PathBuf,
    /// Runs of each model on each provider.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    runs: u32,
    /// Leave out the group of tests, which takes cargo.
    #[arg(long)]
    without_tests: bool,
}

/// The shipped models, and who they are measured on.
const MODELS: [&str; 2] = ["models/ur5e-conveyor", "models/ur5e-conveyor-demo"];
const PROVIDERS: [Provider; 3] = [Provider::Cpu, Provider::Cuda { device: 0 }, Provider::TensorRt { device: 0 }];
/// Before anything is timed.
const WARM_UP: u32 = 200;
const NOTHING_PROVEN: u8 = 3;

impl Gpu {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (kernel, fetched) = (Kernel::default(), root.join("native/gpu/libonnxruntime.so.1.31.1"));
        let named = self.library.clone().or_else(|| Some(fetched).filter(|file| file.is_file()));
        let library = Library::load(&Library::find(named.as_deref()).into_diagnostic()?).into_diagnostic()?;
        let gpus = kernel.gpus();
        let tests = if self.without_tests { None } else { Some(tests::run(&root, library.path())?) };
        let mut findings = Findings {
            date: machine::now(),
            commit: machine::commit(),
            machine: machine::Machine::this(),
            gpus: gpus.iter().map(|gpu| format!("{} {}", gpu.name, gpu.uuid.as_deref().unwrap_or_default())).collect(),
            driver: kernel.driver(),
            library: format!("ONNX Runtime {} from {}", library.version(), library.path().display()),
            tests,
            models: Vec::new(),
            verdict: Verdict::NoGpu,
        };
        let mut progress = Progress::new("models on providers", MODELS.len() * PROVIDERS.len());
        for folder in MODELS {
            let manifest = Manifest::load(&root.join(folder)).into_diagnostic()?;
            let mut model = ModelFindings {
                model: manifest.name().to_owned(),
                sha256: manifest.digest().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat(),
                providers: Vec::new(),
                trtexec: trtexec::run(&root.join(folder).join("model.onnx"), &manifest, !gpus.is_empty()),
            };
            for provider in PROVIDERS {
                model.providers.push(self.on(&library, &manifest, provider, !gpus.is_empty(), &root));
                progress.step();
            }
            findings.models.push(model);
        }
        drop(progress);
        findings.verdict = findings.judge();
        self.write(&findings)?;
        println!("{} and {} hold the report", self.html.display(), self.json.display());
        println!("{}", findings.verdict.says());
        Ok(match findings.verdict {
            Verdict::Proven => ExitCode::SUCCESS,
            Verdict::Failed => ExitCode::FAILURE,
            Verdict::NoGpu | Verdict::LeftOut => ExitCode::from(NOTHING_PROVEN),
        })
    }

    fn on(
        &self,
        library: &Library,
        manifest: &Manifest,
        provider: Provider,
        has_gpu: bool,
        root: &Path,
    ) -> ProviderFindings {
        let largest = NonZeroUsize::MIN;
        let name = provider.to_string();
        let settings = Model::session_settings(manifest, provider, largest);
        if provider != Provider::Cpu && !has_gpu {
            return ProviderFindings {
                provider: name,
                settings,
                refused: Some("not tried: there is no GPU".to_owned()),
                measured: None,
            };
        }
        let engines = root.join("target/gpu-engines");
        let loading = Loading { provider, sizes: &[], largest, engines: Some(&engines) };
        match self.measure(library, manifest, &loading) {
            Ok(measured) => ProviderFindings { provider: name, settings, refused: None, measured: Some(measured) },
            Err(refused) => {
                ProviderFindings { provider: name, settings, refused: Some(refused.to_string()), measured: None }
            }
        }
    }

    /// The load compares with the golden vectors and asks every operator where it is; so what is timed is right.
    fn measure(&self, library: &Library, manifest: &Manifest, loading: &Loading<'_>) -> Result<Measured, ModelError> {
        let begun = Instant::now();
        drop(Model::load_as(library, manifest, loading)?);
        let first_load_ms = begun.elapsed().as_millis();
        let begun = Instant::now();
        let mut model = Model::load_as(library, manifest, loading)?;
        let second_load_ms = begun.elapsed().as_millis();
        let failed = |reason| ModelError::FirstRun { manifest: manifest.path().to_path_buf(), reason };
        let deviation = model.deviation(manifest).map_err(failed)?;
        let observations: Vec<_> = manifest.golden().map_or_else(Vec::new, |golden| {
            golden.vectors.iter().map(|vector| vector.inputs[manifest.observation().as_usize()].clone()).collect()
        });
        let mut times = Times::new();
        for run in 0..WARM_UP + self.runs {
            if !observations.is_empty() {
                let place = usize::try_from(run).unwrap_or(0) % observations.len();
                model.observation_mut().copy_from_slice(&observations[place]);
            }
            let begun = Instant::now();
            model.run().map_err(failed)?;
            if run >= WARM_UP {
                times.record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Ok(Measured { first_load_ms, second_load_ms, deviation, runs: self.runs, times: times.quantiles() })
    }

    fn write(&self, findings: &Findings) -> Result<()> {
        let json = serde_json::to_string_pretty(findings).into_diagnostic()?;
        for (path, text) in [(&self.json, json), (&self.html, page::page(findings))] {
            fs::write(path, text).into_diagnostic().wrap_err_with(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
