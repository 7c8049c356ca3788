//! Something goes wrong for one robot while another one, on a connection of its own, must notice nothing.

use std::collections::BTreeMap;

use engine::{Reason, ReasonKind};

use crate::{
    config::BoxConfig,
    controller::{Controller, Working},
    genba::Genba,
    judge::{Watched, judge},
    status::Counts,
    stranger::{Heard, Said, Stranger},
};

/// A box with a steady controller at 500 Hz, a watched machine, and a second robot for a stranger.
pub struct Beside {
    /// The box.
    pub genba: Genba,
    steady: Working,
    watched: Watched,
}

/// The robot that must notice nothing.
const STEADY: &str = "steady";
/// The robot whose keys the stranger uses.
const ROUGH: &str = "rough";

/// The steady controller sends this many before and after, so that there is something to judge: a second each.
const AROUND: u64 = 500;

impl Beside {
    /// Starts all of it.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&BoxConfig::default())
    }

    /// Starts all of it with this config, whose robots are set.
    #[must_use]
    pub fn with(config: &BoxConfig) -> Self {
        let genba = Genba::start(&BoxConfig { robots: vec![STEADY, ROUGH], ..config.clone() });
        let steady = Controller::connect(&genba, STEADY);
        let watched = Watched::beside(&genba.status());
        let steady = steady.start();
        steady.await_more(AROUND);
        Self { genba, steady, watched }
    }

    /// The stranger's robot.
    #[must_use]
    pub fn site(&self) -> rig::Site {
        self.genba.site(ROUGH)
    }

    /// A stranger on the rough robot's keys.
    #[must_use]
    pub fn stranger(&self) -> Stranger {
        Stranger::connect(&self.genba, &self.site())
    }

    /// Ends all of it: the box's ledger of the rough robot is what the stranger `tally` counted, and the
    /// steady one missed nothing.
    ///
    /// # Panics
    /// If it is otherwise.
    pub fn finish(self, test: &str, tally: &Tally) {
        self.steady.await_more(AROUND);
        let (account, _controller) = self.steady.stop();
        let machine = self.watched.stop();
        let status = self.genba.settled();
        let rough = status.of(ROUGH);
        assert_eq!(tally.refused, refusals(&rough), "refusals by reason: heard, and counted by the box");
        assert_eq!(tally.sent, rough.received, "the box received what was sent: {rough:?}");
        assert_eq!(tally.answered, rough.model + rough.fallback, "{rough:?}");
        assert_eq!(tally.missed, rough.missed, "what the platform held up: {rough:?}");
        let windows = account.windows();
        let lost = account.lost(&status.of(STEADY));
        judge(&windows, lost, &machine).settle(test);
        println!("{test}: the other robot: {rough:?}");
    }
}

/// What a stranger sent and heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub sent: u64,
    /// Actions and fallbacks.
    pub answered: u64,
    /// Refused because the platform held up the box until it was too late.
    pub missed: u64,
    /// Other refusals, by reason number.
    pub refused: BTreeMap<u16, u64>,
}

impl Tally {
    /// Sends a frame and hears its answer.
    ///
    /// # Panics
    /// If none comes.
    pub fn exchange(&mut self, stranger: &Stranger, frame: Vec<u8>) -> Heard {
        stranger.send(frame);
        self.sent += 1;
        let heard = stranger.hear();
        self.note(heard);
        heard
    }

    /// Sends a frame, which must be refused for this reason, with this sequence echoed.
    ///
    /// # Panics
    /// If it is not.
    pub fn refused(&mut self, stranger: &Stranger, frame: Vec<u8>, reason: Reason, sequence: Option<u64>) {
        let heard = self.exchange(stranger, frame);
        let expected = (Said::Refusal(reason.row().number), sequence);
        assert_eq!((heard.said, heard.sequence), expected, "{reason} was expected");
    }

    /// Counts an answer.
    pub fn note(&mut self, heard: Heard) {
        match heard.said {
            Said::Action | Said::Fallback(_) => self.answered += 1,
            Said::Refusal(number) if is_a(ReasonKind::Miss, number) => self.missed += 1,
            Said::Refusal(number) => *self.refused.entry(number).or_default() += 1,
        }
    }
}

/// The refusals among the box's reasons.
fn refusals(counts: &Counts) -> BTreeMap<u16, u64> {
    let refusal = |number: &u16| is_a(ReasonKind::Refusal, *number);
    counts.reasons.iter().filter(|(number, _)| refusal(number)).map(|(number, count)| (*number, *count)).collect()
}

fn is_a(kind: ReasonKind, number: u16) -> bool {
    Reason::from_number(number).is_some_and(|reason| reason.row().kind == kind)
}
