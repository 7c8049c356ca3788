//! What a timing record holds for: one model on one worker of one machine, with everything that its times depend on.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::present::hex;

/// Where and how something was measured, or would run now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    /// Of the ONNX file, in hexadecimal digits.
    pub(crate) model_sha256: String,
    /// As in the config: `cpu`, `cuda:0`.
    pub(crate) provider: String,
    pub(crate) device: Device,
    pub(crate) library: LibraryFile,
    /// The kernel; for a GPU its driver as well.
    pub(crate) driver: String,
    /// How `adapters/onnx-model` sets a session up.
    pub(crate) session: String,
    /// The worker's scheduling class, as it was granted.
    pub(crate) scheduling: String,
    /// The thread that hands inferences out and takes their results: its way is part of every time.
    pub(crate) engine: EngineThread,
    /// Whether the process's memory is locked.
    pub(crate) memory_locked: bool,
    /// The governors of the worker's cores, or `unknown`.
    pub(crate) power_mode: String,
    /// The other workers that serve at the same time, in the config's order.
    pub(crate) co_runners: Vec<CoRunner>,
}

/// What computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// The processor; on a GPU the GPU as well.
    pub(crate) name: String,
    /// Those that the worker's thread may use.
    pub(crate) cores: Vec<usize>,
}

/// The library that computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LibraryFile {
    pub(crate) version: String,
    pub(crate) sha256: String,
}

/// The engine's thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EngineThread {
    pub(crate) scheduling: String,
    pub(crate) cores: Vec<usize>,
}

/// Another worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoRunner {
    /// The digests of its models, in the config's order.
    pub(crate) models: Vec<String>,
    /// The providers of these models.
    pub(crate) providers: Vec<String>,
    pub(crate) cores: Vec<usize>,
}

/// One thing that a record is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Model,
    Provider,
    Device,
    Cores,
    Library,
    Driver,
    Session,
    Scheduling,
    Engine,
    Memory,
    PowerMode,
    CoRunners,
}

/// Something that is not as it was when it was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) bound: Bound,
    pub(crate) measured: String,
    pub(crate) present: String,
}

impl Binding {
    /// Every bound and its value, for people.
    pub(crate) fn rows(&self) -> [(Bound, String); 12] {
        let Self { device, library, engine, co_runners, .. } = self;
        let co_runners: Vec<_> = co_runners.iter().map(CoRunner::to_string).collect();
        [
            (Bound::Model, self.model_sha256.clone()),
            (Bound::Provider, self.provider.clone()),
            (Bound::Device, device.name.clone()),
            (Bound::Cores, cores(&device.cores)),
            (Bound::Library, format!("ONNX Runtime {}, SHA-256 {}", library.version, library.sha256)),
            (Bound::Driver, self.driver.clone()),
            (Bound::Session, self.session.clone()),
            (Bound::Scheduling, self.scheduling.clone()),
            (Bound::Engine, format!("{}, {}", engine.scheduling, cores(&engine.cores))),
            (Bound::Memory, if self.memory_locked { "locked" } else { "not locked" }.to_owned()),
            (Bound::PowerMode, self.power_mode.clone()),
            (Bound::CoRunners, if co_runners.is_empty() { "none".to_owned() } else { co_runners.join("; ") }),
        ]
    }

    /// Twelve digits that tell bindings apart in the names of files.
    pub(crate) fn short_digest(&self) -> String {
        let rows = self.rows().map(|(bound, value)| format!("{}\n{value}\n", bound.name()));
        hex(&Sha256::digest(rows.concat())[..6])
    }

    /// What is not as it was when `self` was measured; nothing: the record holds.
    pub(crate) fn differences(&self, present: &Self) -> Vec<Difference> {
        let rows = self.rows().into_iter().zip(present.rows());
        rows.filter(|(measured, present)| measured != present)
            .map(|((bound, measured), (_, present))| Difference { bound, measured, present })
            .collect()
    }
}

impl Bound {
    /// What it is called where people read it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Device => "device",
            Self::Cores => "worker's cores",
            Self::Library => "library",
            Self::Driver => "kernel and driver",
            Self::Session => "session",
            Self::Scheduling => "worker's scheduling class",
            Self::Engine => "engine's thread",
            Self::Memory => "memory",
            Self::PowerMode => "power mode",
            Self::CoRunners => "co-runners",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: measured {:?}, now {:?}", self.bound.name(), self.measured, self.present)
    }
}

impl fmt::Display for CoRunner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let models = self.models.iter().zip(&self.providers).map(|(model, provider)| format!("{model} on {provider}"));
        let models: Vec<_> = models.collect();
        write!(formatter, "a worker on {} with {}", cores(&self.cores), models.join(" and "))
    }
}

/// Cores, for people.
pub(crate) fn cores(cores: &[usize]) -> String {
    match cores {
        [] => "no core".to_owned(),
        [one] => format!("core {one}"),
        several => format!("cores {}", several.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    use super::*;

    pub(crate) fn binding() -> Binding {
        let engine = EngineThread { scheduling: "SCHED_FIFO 80".into(), cores: vec![0, 1] };
        let digest = |digit: &str| digit.repeat(64);
        let co_runner = CoRunner { models: vec![digest("b")], providers: vec!["cpu".into()], cores: vec![1] };
        Binding {
            model_sha256: digest("a"),
            provider: "cpu".into(),
            device: Device { name: "A Processor".into(), cores: vec![0] },
            library: LibraryFile { version: "1.31.1".into(), sha256: digest("c") },
            driver: "Linux 6.18".into(),
            session: "graph optimization Level3".into(),
            scheduling: "SCHED_FIFO 78".into(),
            engine,
            memory_locked: true,
            power_mode: "performance".into(),
            co_runners: vec![co_runner],
        }
    }

    /// Every value of the file's form, changed one by one; in a list, its first element, and its length.
    pub(crate) fn changed(value: &Value, place: &str) -> Vec<(String, Value)> {
        match value {
            Value::Object(fields) => {
                let each = fields.iter().flat_map(|(name, inner)| {
                    changed(inner, &format!("{place}/{name}")).into_iter().map(|(place, inner)| {
                        let mut fields = fields.clone();
                        fields.insert(name.clone(), inner);
                        (place, Value::Object(fields))
                    })
                });
                each.collect()
            }
            Value::Array(elements) => {
                let (first, rest) = elements.split_first().expect("the binding has no empty list");
                let inner = changed(first, &format!("{place}/0"))
                    .into_iter()
                    .map(|(place, first)| (place, Value::Array([&[first], rest].concat())));
                let shorter = (format!("{place} is shorter"), Value::Array(rest.to_vec()));
                inner.chain([shorter]).collect()
            }
            Value::String(text) => vec![(place.to_owned(), Value::String(format!("{text}x")))],
            Value::Bool(truth) => vec![(place.to_owned(), Value::Bool(!truth))],
            Value::Number(number) => {
                vec![(place.to_owned(), Value::from(number.as_u64().expect("numbers are counts") + 1))]
            }
            Value::Null => panic!("{place} is nothing"),
        }
    }

    #[test]
    fn whatever_differs_is_told() {
        let measured = binding();
        assert_eq!(measured.differences(&binding()), []);
        let all = changed(&serde_json::to_value(&measured).expect("it can be written"), "");
        assert_eq!(all.len(), 22, "each field, each element and the length of each list: {all:?}");
        for (place, value) in all {
            let present: Binding = serde_json::from_value(value).expect("it keeps its form");
            assert_eq!(measured.differences(&present).len(), 1, "{place}");
        }
    }

    #[test]
    fn difference_names_both_sides() {
        let present = Binding { power_mode: "powersave".into(), ..binding() };
        let told: Vec<_> = binding().differences(&present).iter().map(Difference::to_string).collect();
        assert_eq!(told, ["power mode: measured \"performance\", now \"powersave\""]);
    }
}
