//! What to install, for each kind of machine: exact names and versions, since the newest of each is often a wrong one.

use std::env::consts;

use onnx_model::Part;

/// What decides where Nvidia's libraries come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Machine {
    /// A PC or server.
    Pc,
    /// One of Nvidia's boards, with the release of its Linux.
    Jetson { release: String },
    /// Anything else: nothing is known about it.
    Other,
}

impl Machine {
    pub(super) fn this(release: Option<String>) -> Self {
        match (consts::ARCH, release) {
            (_, Some(release)) => Self::Jetson { release },
            ("x86_64", None) => Self::Pc,
            (_, None) => Self::Other,
        }
    }
}

/// What to do, in the order in which to do it. `lacks_provider`: the ONNX Runtime that was found is for processors.
pub(super) fn steps(machine: &Machine, lacks_provider: bool, missing: &[(Part, Option<String>)]) -> Vec<String> {
    let mut steps = Vec::new();
    if lacks_provider {
        steps.push(runtime(machine).to_owned());
    }
    let mut parts: Vec<_> = missing.iter().map(|(part, _)| *part).collect();
    parts.sort_unstable();
    parts.dedup();
    for part in parts {
        // The number in a library's name is its own; what the release is called goes by the first of them.
        let major = missing.iter().find(|(other, _)| *other == part).and_then(|(_, major)| major.as_deref());
        steps.push(step(machine, part, major.unwrap_or("the right")));
    }
    if !steps.is_empty() && *machine == Machine::Pc {
        steps.push(
            "Name the folders that hold the libraries in LD_LIBRARY_PATH of the service, or in a file below \
             /etc/ld.so.conf.d and run ldconfig; then `genba doctor` again."
                .to_owned(),
        );
    }
    steps
}

/// An ONNX Runtime that brings the providers.
fn runtime(machine: &Machine) -> &'static str {
    match machine {
        Machine::Pc => {
            "ONNX Runtime: `make native-gpu` fetches that of onnxruntime-gpu 1.31.1 into native/gpu (elsewhere: `python3 -m \
             pip download --no-deps onnxruntime-gpu==1.31.1`, and unzip onnxruntime/capi/lib* of it). Name its \
             libonnxruntime.so.1.31.1 as [onnx] library; its provider libraries must lie beside it. It takes CUDA 13, \
             cuDNN 9 and TensorRT 10."
        }
        Machine::Jetson { .. } => {
            "ONNX Runtime: PyPI has none with CUDA and TensorRT for a Jetson. Take the onnxruntime-gpu that Nvidia or the \
             board's vendor built for this JetPack, 1.24 or newer, and name its libonnxruntime.so as [onnx] library; its \
             provider libraries must lie beside it. JetPack 6 has CUDA 12, JetPack 7 has CUDA 13, both have cuDNN 9 and \
             TensorRT 10: the build must be for the same."
        }
        Machine::Other => {
            "ONNX Runtime: no build with CUDA or TensorRT is known for this kind of machine; let the config list \"cpu\"."
        }
    }
}

fn step(machine: &Machine, part: Part, major: &str) -> String {
    match (machine, part) {
        (Machine::Jetson { release }, part) => format!(
            "{}: it comes with JetPack (`sudo apt install nvidia-jetpack`), in the version that belongs to this Linux: \
             {release}. If that is another major version than {major}, take an ONNX Runtime that was built for it.",
            capital(part)
        ),
        (Machine::Other, part) => format!("{}: major version {major}, from its maker.", capital(part)),
        (Machine::Pc, Part::Driver) => {
            "The Nvidia driver, 580 or newer for CUDA 13 (Debian, Ubuntu: `sudo apt install nvidia-driver-580-server` or a \
             later one), and restart; libcuda.so.1 belongs to it. `nvidia-smi` then lists the GPU."
                .to_owned()
        }
        (Machine::Pc, Part::Cuda) => {
            "CUDA 13, its libraries alone: `python3 -m pip install --target cuda nvidia-cuda-runtime~=13.0 \
             nvidia-cublas~=13.0 nvidia-curand~=10.0 nvidia-cufft~=12.0 nvidia-cuda-nvrtc~=13.0`; they lie in \
             cuda/nvidia/cu13/lib. Or CUDA 13 out of Nvidia's package repository: cuda-libraries-13-0. CUDA 12 and \
             packages whose names end in -cu12 do not serve."
                .to_owned()
        }
        (Machine::Pc, Part::Cudnn) => {
            "cuDNN 9 for CUDA 13: `python3 -m pip install --target cuda nvidia-cudnn-cu13~=9.0`; it lies in \
             cuda/nvidia/cudnn/lib. nvidia-cudnn-cu12 does not serve."
                .to_owned()
        }
        (Machine::Pc, Part::TensorRt) => {
            "TensorRT 10 for CUDA 13: `python3 -m pip install --target cuda \"tensorrt-cu13-libs~=10.16\"`; it lies in \
             cuda/tensorrt_libs. Or libnvinfer10 and libnvonnxparsers10 out of Nvidia's package repository. PyPI's newest \
             `tensorrt` is TensorRT 11, which does not serve: name the version."
                .to_owned()
        }
    }
}

fn capital(part: Part) -> &'static str {
    match part {
        Part::Driver => "The Nvidia driver",
        Part::Cuda | Part::Cudnn | Part::TensorRt => part.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Vec<(Part, Option<String>)> {
        let all =
            [(Part::TensorRt, "10"), (Part::Cuda, "13"), (Part::Cudnn, "9"), (Part::Cuda, "13"), (Part::Driver, "1")];
        all.map(|(part, major)| (part, Some(major.to_owned()))).to_vec()
    }

    #[test]
    fn a_pc_is_told_each_package_once_and_in_order() {
        let steps = steps(&Machine::Pc, true, &missing());
        let begins: Vec<_> = steps.iter().map(|step| step.split([':', ',']).next().unwrap_or_default()).collect();
        assert_eq!(
            begins,
            [
                "ONNX Runtime",
                "The Nvidia driver",
                "CUDA 13",
                "cuDNN 9 for CUDA 13",
                "TensorRT 10 for CUDA 13",
                "Name the folders that hold the libraries in LD_LIBRARY_PATH of the service"
            ]
        );
        assert!(steps[4].contains("PyPI's newest `tensorrt` is TensorRT 11"), "{}", steps[4]);
    }

    #[test]
    fn a_jetson_is_sent_to_its_jetpack_and_never_to_pypi() {
        let release = "# R38 (release), REVISION: 2.1".to_owned();
        let steps = steps(&Machine::Jetson { release }, true, &missing());
        assert_eq!(steps.len(), 5);
        assert!(steps[0].contains("JetPack 7 has CUDA 13"), "{}", steps[0]);
        assert!(steps[1..].iter().all(|step| step.contains("nvidia-jetpack") && step.contains("R38")), "{steps:?}");
        assert!(steps.iter().all(|step| !step.contains("pip install")), "{steps:?}");
    }

    #[test]
    fn who_lacks_nothing_is_told_nothing() {
        for machine in [Machine::Pc, Machine::Other, Machine::Jetson { release: String::new() }] {
            assert_eq!(steps(&machine, false, &[]), [""; 0]);
        }
    }
}
