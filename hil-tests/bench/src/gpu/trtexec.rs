//! Nvidia's own timing of the same file, where its program is installed: what a session could cost at best.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use manifest::Manifest;
use serde::Serialize;

/// What trtexec said of a model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trtexec {
    /// Host to device, computing, device to host.
    Latency { median_us: f64, p99_us: f64 },
    /// It is not on the path, or there is no GPU to run it on.
    NotRun(String),
    /// It ran, and did not say a latency.
    Failed(String),
}

/// How much of a failure is kept, in characters.
const KEPT: usize = 2_000;

pub(crate) fn run(model: &Path, manifest: &Manifest, has_gpu: bool) -> Trtexec {
    if !has_gpu {
        return Trtexec::NotRun("there is no GPU".to_owned());
    }
    let mut shapes = String::new();
    for input in manifest.inputs() {
        let comma = if shapes.is_empty() { "" } else { "," };
        let shape: Vec<_> = input.tensor.shape.iter().map(usize::to_string).collect();
        write!(shapes, "{comma}{}:{}", input.tensor.name, shape.join("x")).expect("it is a String");
    }
    // Without TF32, as genba asks of CUDA, and by the same single stream.
    let model = format!("--onnx={}", model.display());
    let asked = ["--noTF32", "--useSpinWait", "--percentile=99", "--duration=10"];
    let with = |shapes: Option<String>| Command::new("trtexec").arg(&model).args(asked).args(shapes).output();
    // A graph that leaves no size open refuses to be told any.
    let done = with(Some(format!("--shapes={shapes}")))
        .and_then(|done| if done.status.success() { Ok(done) } else { with(None) });
    match done {
        Err(error) if error.kind() == ErrorKind::NotFound => Trtexec::NotRun("trtexec is not on the path".to_owned()),
        Err(error) => Trtexec::Failed(error.to_string()),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stdout).into_owned();
            latency(&said).unwrap_or_else(|| Trtexec::Failed(said.chars().take(KEPT).collect()))
        }
    }
}

/// `… Latency: min = … ms, max = …, mean = …, median = 0.0156 ms, …, percentile(99%) = 0.02 ms`
fn latency(said: &str) -> Option<Trtexec> {
    let line = said.lines().find(|line| line.contains("] Latency: "))?;
    let micros = |name: &str| {
        let (_, rest) = line.split_once(name)?;
        let millis: f64 = rest.split_whitespace().next()?.parse().ok()?;
        Some(millis * 1_000.0)
    };
    Some(Trtexec::Latency { median_us: micros("median = ")?, p99_us: micros("percentile(99%) = ")? })
}

#[cfg(test)]
mod tests {
    use super::{Trtexec, latency};

    #[test]
    fn its_latency_is_read_from_what_it_prints() {
        let said = "[11/28/2026-12:00:00] [I] H2D Latency: min = 0.001 ms, median = 0.002 ms, percentile(99%) = 0.003 ms\n\
                    [11/28/2026-12:00:00] [I] Latency: min = 0.0148 ms, max = 0.1 ms, mean = 0.0159 ms, median = 0.0156 ms, percentile(99%) = 0.02 ms\n";
        let Some(Trtexec::Latency { median_us, p99_us }) = latency(said) else { panic!("it says one") };
        assert!((median_us - 15.6).abs() < 1e-9 && (p99_us - 20.0).abs() < 1e-9, "{median_us} {p99_us}");
        assert!(latency("&&&& FAILED TensorRT.trtexec").is_none());
    }
}
