//! What is measured side by side, and under which keys.

use std::fmt;

use clap::ValueEnum;
use zenoh_link::RouteKeys;

/// Whose round trip is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// The box's link echoes inside zenoh's callback.
    Echo,
    /// The same, with as many hand-overs between threads as the box: one, to a worker.
    EchoHops,
    /// The same, and the worker runs the model.
    HopsRun,
    /// The model's session alone: no link.
    Bare,
    /// Decode, run, put inside zenoh's callback; zenoh as it comes, scouting off.
    NaiveDefault,
    /// The same with the box's zenoh settings.
    NaiveTuned,
    /// `genba run`.
    #[value(skip)]
    Box,
}

impl Subject {
    /// In the order of the first round.
    pub(crate) const ALL: [Self; 7] =
        [Self::Echo, Self::EchoHops, Self::HopsRun, Self::Bare, Self::NaiveDefault, Self::NaiveTuned, Self::Box];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::EchoHops => "echo-hops",
            Self::HopsRun => "hops-run",
            Self::Bare => "bare",
            Self::NaiveDefault => "naive-default",
            Self::NaiveTuned => "naive-tuned",
            Self::Box => "box",
        }
    }

    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Echo => "zenoh echo in its callback, the box's settings",
            Self::EchoHops => "the same echo over a hand-over to a worker",
            Self::HopsRun => "the same, the worker runs the model",
            Self::Bare => "the session's run alone, no link",
            Self::NaiveDefault => "decode, run, put in the callback; zenoh's defaults",
            Self::NaiveTuned => "the same with the box's settings",
            Self::Box => "genba run",
        }
    }

    /// Below which the keys lie; of the box, its `key_prefix`.
    pub(crate) fn key_prefix(self) -> String {
        format!("bench/{}", self.name())
    }

    /// The one connection's keys.
    pub(crate) fn route(self, max_frame_bytes: usize) -> RouteKeys {
        let key = |leaf| format!("{}/{ROBOT}/{TASK}/{leaf}", self.key_prefix());
        let (observation, response, notice) = (key("observation"), key("response"), key("notice"));
        RouteKeys { observation, response, notice, reset: None, max_frame_bytes }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The robot in every key and frame.
pub(crate) const ROBOT: &str = "arm";
/// Its task.
pub(crate) const TASK: &str = "track";
