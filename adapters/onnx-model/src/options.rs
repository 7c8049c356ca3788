//! What each provider is told: keys and values as ONNX Runtime's documentation of the providers lists them.
//!
//! Two things are deliberately absent until `make gpu-proof` has been run on a GPU and shows that they pay and are right:
//! CUDA graphs with pinned buffers, which are known to replay stale inputs, and int8. Both are written out as off, here
//! and nowhere else.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use manifest::{Manifest, Tensor};
use ort::ep::{ArbitrarilyConfigurableExecutionProvider as _, CUDA, ExecutionProviderDispatch, TensorRT};

use crate::Provider;

/// Keys and values, in the order in which they are told.
pub(crate) type Options = Vec<(&'static str, String)>;

/// What changes what a provider computes, or how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Half precision, which only a manifest may declare.
    pub(crate) fp16: bool,
    /// The sizes that an engine is built for; `None` where the graph leaves none open.
    pub(crate) profile: Option<Profile>,
}

/// The smallest, usual and largest shapes of each input, as `TensorRT` reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    smallest: String,
    usual: String,
    largest: String,
}

impl Profile {
    /// From one observation to `largest`; what is usual is one, by which deadlines are kept.
    pub(crate) fn of(manifest: &Manifest, largest: NonZeroUsize) -> Self {
        let tensors: Vec<_> = manifest.inputs().iter().map(|input| &input.tensor).collect();
        let one = shapes(&tensors, NonZeroUsize::MIN);
        Self { smallest: one.clone(), usual: one, largest: shapes(&tensors, largest) }
    }
}

/// `observation:1x21,image:1x3x320x320`
fn shapes(tensors: &[&Tensor], rows: NonZeroUsize) -> String {
    let mut text = String::new();
    for tensor in tensors {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{}:", tensor.name).expect("writing to a String cannot fail");
        for (axis, size) in tensor.shape.iter().enumerate() {
            // Beyond one row the first size counts observations: only such graphs are run with more.
            let (by, size) = if axis == 0 { ("", size * rows.get()) } else { ("x", *size) };
            write!(text, "{by}{size}").expect("writing to a String cannot fail");
        }
    }
    text
}

/// All that a provider is told but for where it keeps what it builds: part of what a measurement and a built engine
/// hold for.
pub(crate) fn options(provider: Provider, asked: &Asked) -> Options {
    match provider {
        Provider::Cpu => Vec::new(),
        Provider::Cuda { device } => vec![
            ("device_id", device.to_string()),
            // What is allocated at load stays; it does not grow by powers of two beside other processes.
            ("arena_extend_strategy", "kSameAsRequested".to_owned()),
            // The default tries each algorithm in the first run of each shape, and may choose another at each start.
            ("cudnn_conv_algo_search", "HEURISTIC".to_owned()),
            // It rounds 32-bit inputs to 19 bits, which nobody declared.
            ("use_tf32", "0".to_owned()),
            ("enable_cuda_graph", "0".to_owned()),
        ],
        Provider::TensorRt { device } => {
            let mut options = vec![
                ("device_id", device.to_string()),
                // The default leaves what is small to the next provider, and there is none.
                ("trt_min_subgraph_size", "1".to_owned()),
                ("trt_fp16_enable", truth(asked.fp16)),
                ("trt_int8_enable", truth(false)),
                ("trt_cuda_graph_enable", truth(false)),
            ];
            if let Some(Profile { smallest, usual, largest }) = &asked.profile {
                options.push(("trt_profile_min_shapes", smallest.clone()));
                options.push(("trt_profile_opt_shapes", usual.clone()));
                options.push(("trt_profile_max_shapes", largest.clone()));
            }
            options
        }
    }
}

/// Where `TensorRT` keeps the engines that it built and what it learnt while it did.
pub(crate) fn kept_in(folder: &Path) -> Options {
    let folder = folder.display().to_string();
    vec![
        ("trt_engine_cache_enable", truth(true)),
        ("trt_engine_cache_path", folder.clone()),
        ("trt_timing_cache_enable", truth(true)),
        ("trt_timing_cache_path", folder),
    ]
}

/// What must be registered besides the processor; a failure to register it is an error.
pub(crate) fn accelerator(provider: Provider, options: &Options) -> Option<ExecutionProviderDispatch> {
    let all = options.iter();
    match provider {
        Provider::Cpu => None,
        Provider::Cuda { .. } => {
            let told = all.fold(CUDA::default(), |told, (key, value)| told.with_arbitrary_config(key, value));
            Some(told.build().error_on_failure())
        }
        Provider::TensorRt { .. } => {
            let told = all.fold(TensorRT::default(), |told, (key, value)| told.with_arbitrary_config(key, value));
            Some(told.build().error_on_failure())
        }
    }
}

/// For people, and for what a record is bound to; nothing for the processor.
pub(crate) fn told(options: &Options) -> String {
    options.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn truth(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile { smallest: "x:1x2".into(), usual: "x:1x2".into(), largest: "x:8x2".into() }
    }

    #[test]
    fn the_processor_is_told_nothing() {
        assert_eq!(options(Provider::Cpu, &Asked { fp16: true, profile: Some(profile()) }), []);
        assert!(accelerator(Provider::Cpu, &Vec::new()).is_none());
    }

    #[test]
    fn cuda_is_told_its_device_and_to_compute_as_declared() {
        let options = options(Provider::Cuda { device: 3 }, &Asked { fp16: true, profile: Some(profile()) });
        assert_eq!(
            told(&options),
            "device_id=3 arena_extend_strategy=kSameAsRequested cudnn_conv_algo_search=HEURISTIC use_tf32=0 enable_cuda_graph=0"
        );
    }

    #[test]
    fn tensorrt_is_told_the_declared_shapes_and_precision_and_no_other() {
        let exact = options(Provider::TensorRt { device: 1 }, &Asked::default());
        assert_eq!(
            told(&exact),
            "device_id=1 trt_min_subgraph_size=1 trt_fp16_enable=0 trt_int8_enable=0 trt_cuda_graph_enable=0"
        );
        let half = options(Provider::TensorRt { device: 1 }, &Asked { fp16: true, profile: Some(profile()) });
        assert_eq!(
            told(&half),
            "device_id=1 trt_min_subgraph_size=1 trt_fp16_enable=1 trt_int8_enable=0 trt_cuda_graph_enable=0 \
             trt_profile_min_shapes=x:1x2 trt_profile_opt_shapes=x:1x2 trt_profile_max_shapes=x:8x2"
        );
    }

    #[test]
    fn shapes_are_written_as_tensorrt_reads_them() {
        let tensor = |name: &str, shape: &[usize]| Tensor {
            name: name.to_owned(),
            dtype: manifest::Dtype::F32,
            shape: shape.to_vec(),
        };
        let (one, other) = (tensor("observation", &[1, 21]), tensor("image", &[1, 3, 320, 320]));
        let four = NonZeroUsize::new(4).expect("it is not zero");
        assert_eq!(shapes(&[&one, &other], four), "observation:4x21,image:4x3x320x320");
    }

    #[test]
    fn engines_are_kept_where_the_caller_says() {
        assert_eq!(
            told(&kept_in(Path::new("/engines/a"))),
            "trt_engine_cache_enable=1 trt_engine_cache_path=/engines/a \
             trt_timing_cache_enable=1 trt_timing_cache_path=/engines/a"
        );
    }
}
