//! What a run found: figures, goals, and what must not be.

use miette::Result;
use serde::Serialize;

use super::contestant::{ClientIn, Contestant};
use super::figures::{Figures, Side, Standstills, Summary};
use super::ledger::Counts;
use super::scene::{Capacity, Scene};
use super::turn::{BoxLedger, Seats, Turn};
use crate::machine::Machine;
use crate::statistics::{Spread, paired_ratio};

/// `peers.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    #[serde(flatten)]
    pub(crate) conditions: Conditions,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
    /// Counts that are wrong.
    pub(crate) bad: Vec<String>,
    /// Turns of peers that could not be measured as the others were: nothing is compared with them.
    pub(crate) void: Vec<String>,
    /// What could not be measured of genba, and what the machine may have spoiled.
    pub(crate) inconclusive: Vec<String>,
    /// The model's first action, as whoever answered first gave it, and who it was.
    #[serde(skip)]
    actions: Vec<(&'static str, Contestant, Vec<f32>)>,
}

/// Under which everything was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Conditions {
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) machine: Machine,
    pub(crate) command: String,
    /// That are in.
    pub(crate) rounds: u16,
    /// The kernel's setting, in microseconds of each second, and whether it was lifted.
    pub(crate) throttling: String,
    pub(crate) unthrottled: bool,
    pub(crate) seconds: f64,
    /// Not in the short form, which is there for the counts.
    pub(crate) times_count: bool,
    pub(crate) seats: Seats,
    pub(crate) capacity: Capacity,
}

/// One contestant in one scene.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) contestant: Contestant,
    pub(crate) client: ClientIn,
    pub(crate) scene: Scene,
    pub(crate) control: Summary,
    pub(crate) load: Option<Summary>,
    pub(crate) rounds: Vec<Figures>,
}

/// What genba is for, in a figure.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) found: Spread,
    pub(crate) met: bool,
}

impl Found {
    pub(crate) fn new(conditions: Conditions) -> Self {
        let (rows, goals, bad, void) = Default::default();
        let mut inconclusive = Vec::new();
        if !conditions.seats.fifo {
            inconclusive.push("no real-time rights: everything ran in the default class".to_owned());
        }
        if conditions.seats.servers == conditions.seats.load {
            inconclusive.push("one core: servers and clients shared it".to_owned());
        }
        Self { conditions, rows, goals, bad, void, inconclusive, actions: Vec::new() }
    }

    pub(crate) fn add(&mut self, contestant: Contestant, scene: Scene, turn: Result<Turn>) {
        let turn = match turn {
            Ok(turn) => turn,
            // genba must run; where a peer does not, nothing is compared with it.
            Err(error) if contestant.is_genba() => return self.bad.push(format!("{error:?}")),
            Err(error) => return self.void.push(format!("{error:?}")),
        };
        self.count(&turn);
        self.compare_action(&turn);
        if self.conditions.times_count {
            self.compare_load(&turn);
        }
        let Turn { control, load, of_the_box, .. } = &turn;
        let side = |kept| Side::of(kept, &turn.standstills);
        let figures = Figures {
            control: side(control),
            load: load.as_ref().map(side),
            of_the_box: of_the_box.clone(),
            standstills: Standstills::of(&turn.standstills),
        };
        if contestant.is_genba() && self.conditions.times_count {
            self.excuse(&format!("{contestant}, {scene}"), &figures);
        }
        let known = self.rows.iter_mut().find(|row| row.contestant == contestant && row.scene == scene);
        match known {
            Some(row) => row.rounds.push(figures),
            None => self.rows.push(Row {
                contestant,
                client: contestant.client(),
                scene,
                control: Summary::of(&[figures.control]),
                load: None,
                rounds: vec![figures],
            }),
        }
    }

    /// What must hold on any machine, however busy.
    fn count(&mut self, turn: &Turn) {
        let name = format!("{}, {}", turn.contestant, turn.scene);
        let sides = [Some(&turn.control), turn.load.as_ref()].into_iter().flatten().map(|kept| kept.counts);
        let sides: Vec<Counts> = sides.collect();
        for counts in sides.iter().filter(|counts| !counts.add_up()) {
            self.bad.push(format!("{name}: a client's ledger does not add up: {counts:?}"));
        }
        let Some(of_the_box) = &turn.of_the_box else { return };
        let sum = |count: fn(&Counts) -> u64| sides.iter().map(count).sum::<u64>();
        self.bad.extend(wrong(of_the_box, sum).into_iter().map(|line| format!("{name}: {line}")));
    }

    /// What did not come in time although no wrong count explains it.
    fn excuse(&mut self, name: &str, figures: &Figures) {
        let Standstills { count, total_ms, longest_ms } = figures.standstills;
        let sides = || [Some(&figures.control), figures.load.as_ref()].into_iter().flatten();
        let sum = |of: fn(&Side) -> u64| sides().map(of).sum::<u64>();
        let sent = sum(|side| side.counts.sent);
        let late = sum(|side| side.counts.sent - side.counts.on_time());
        let excused = sum(|side| side.excused.not_on_time);
        if late > excused {
            let missed = figures.of_the_box.as_ref().map_or(0, |ledger| ledger.missed);
            let reasons = figures.of_the_box.iter().flat_map(|ledger| &ledger.reasons);
            let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{count} x {reason}")).collect();
            self.inconclusive.push(format!(
                "{name}: {} of {sent} requests were not answered in time while no core stood still ({missed} missed by \
                 the box, which said so; {})",
                late - excused,
                reasons.join(", ")
            ));
        }
        if excused * MOST_EXCUSED > sent {
            self.inconclusive.push(format!(
                "{name}: {excused} of {sent} requests met a standstill of this machine ({count} of more than 1 ms, \
                 {total_ms:.0} ms in all, the longest {longest_ms:.0} ms)"
            ));
        }
    }

    /// A client that was kept from asking has not made the load.
    fn compare_load(&mut self, turn: &Turn) {
        let wanted = turn.scene.askers(self.conditions.capacity);
        for (asker, kept) in wanted.iter().zip([Some(&turn.control), turn.load.as_ref()].into_iter().flatten()) {
            let asked_hz = Side::of(kept, &[]).offered_hz;
            if asked_hz < asker.rate_hz * LEAST_LOAD {
                let spoiled = if turn.contestant.is_genba() { &mut self.inconclusive } else { &mut self.void };
                spoiled.push(format!(
                    "{}, {}: {} asked {asked_hz:.0} times a second instead of {:.0}: held up by this machine or the server",
                    turn.contestant, turn.scene, asker.task, asker.rate_hz
                ));
            }
        }
    }

    /// The same model gives the same action, whoever serves it.
    fn compare_action(&mut self, turn: &Turn) {
        let (model, action) = (turn.scene.parts()[0].model, &turn.control.action);
        if action.is_empty() {
            return;
        }
        let Some((_, other, expected)) = self.actions.iter().find(|(known, ..)| *known == model) else {
            self.actions.push((model, turn.contestant, action.clone()));
            return;
        };
        let near = |(ours, theirs): (&f32, &f32)| (ours - theirs).abs() <= 1e-4;
        if action.len() != expected.len() || !action.iter().zip(expected).all(near) {
            self.bad.push(format!("{} and {other} do not answer {model} alike", turn.contestant));
        }
    }

    /// After each round: medians of all that are in, held against what genba is for. A goal that is not met is a finding,
    /// told in the table, and no error: no canary sees all that a machine holds up.
    pub(crate) fn sum_up(&mut self, rounds: u16) {
        self.conditions.rounds = rounds;
        for row in &mut self.rows {
            let control: Vec<Side> = row.rounds.iter().map(|round| round.control).collect();
            let load: Vec<Side> = row.rounds.iter().filter_map(|round| round.load).collect();
            row.control = Summary::of(&control);
            row.load = (!load.is_empty()).then(|| Summary::of(&load));
        }
        if self.conditions.times_count {
            self.goals = [self.idle(), self.floods(), self.neighbour()].into_iter().flatten().collect();
        }
    }

    pub(crate) fn row(&self, contestant: Contestant, scene: Scene) -> Option<&Row> {
        self.rows.iter().find(|row| row.contestant == contestant && row.scene == scene)
    }

    /// Against every peer that its own client asked, or the other's in the same language.
    fn idle(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for peer in Contestant::ALL.into_iter().filter(|peer| !peer.is_genba()) {
            let ours = match peer.client() {
                ClientIn::Rust => Contestant::Genba,
                ClientIn::Python => Contestant::GenbaPython,
            };
            if !peer.is_rust() {
                let ratio = self.ratio((ours, Scene::Idle), (peer, Scene::Idle), |side| side.p50_us);
                goals.extend(ratio.map(|found| Goal::most(format!("idle p50, {ours} / {peer}"), 0.35, found)));
            }
            let ratio = self.ratio((ours, Scene::Idle), (peer, Scene::Idle), |side| side.p99_us);
            goals.extend(ratio.map(|found| Goal::most(format!("idle p99, {ours} / {peer}"), 1.0, found)));
        }
        goals
    }

    fn floods(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        for scene in [Scene::Flood2x, Scene::Flood5x] {
            let Some(row) = self.row(Contestant::Genba, scene) else { continue };
            let of = |figure: fn(&Figures) -> f64| Spread::of(row.rounds.iter().map(figure));
            let mut least =
                |what: &str, least: f64, found| goals.push(Goal::least(format!("{scene}: {what}"), least, found));
            least("control answered on time", 1.0, of(|round| round.control.on_time_share));
            least("... requests that met a standstill aside", 1.0, of(|round| round.control.judged_on_time));
            least("control answered by the model", 0.99, of(|round| round.control.model_share));
            least("... requests that met a standstill aside", 0.99, of(|round| round.control.judged_model));
            let what = format!("{scene}: answers that came late, to anyone");
            goals.push(Goal::most(what, 0.0, of(Figures::late)));
        }
        for (scene, least) in [(Scene::Flood1x, 0.9), (Scene::Flood5x, 0.6)] {
            let goodput = |scene: Scene, side: fn(&Figures) -> Option<f64>| -> Option<Vec<f64>> {
                self.row(Contestant::Genba, scene)?.rounds.iter().map(side).collect()
            };
            let beside = goodput(scene, |round| round.load.map(|load| load.goodput_hz));
            // Alone, the flood is the first and only client.
            let alone = goodput(Scene::FloodAlone, |round| Some(round.control.goodput_hz));
            if let Some((beside, alone)) = beside.zip(alone).filter(|(beside, alone)| beside.len() == alone.len()) {
                let what = format!("flood by the model in time, a second, {scene} / {}", Scene::FloodAlone);
                goals.push(Goal::least(what, least, paired_ratio(&beside, &alone)));
            }
        }
        goals
    }

    /// Against the same pace, and against the closed loop, whose machine never falls asleep.
    fn neighbour(&self) -> Vec<Goal> {
        let genba = Contestant::Genba;
        let against = [Scene::Paced, Scene::Idle].into_iter().filter_map(|scene| {
            let ratio = self.ratio((genba, Scene::Neighbour), (genba, scene), |side| side.p99_us)?;
            Some(Goal::most(format!("control p99, neighbour / {scene}"), 1.5, ratio))
        });
        against.collect()
    }

    /// Of figures of the same round.
    pub(crate) fn ratio(
        &self,
        ours: (Contestant, Scene),
        theirs: (Contestant, Scene),
        figure: fn(&Side) -> Option<f64>,
    ) -> Option<Spread> {
        let figures = |(contestant, scene)| -> Option<Vec<f64>> {
            self.row(contestant, scene)?.rounds.iter().map(|round| figure(&round.control)).collect()
        };
        let (ours, theirs) = (figures(ours)?, figures(theirs)?);
        (ours.len() == theirs.len()).then(|| paired_ratio(&ours, &theirs))
    }
}

impl Goal {
    pub(crate) fn most(what: String, most: f64, found: Spread) -> Self {
        Self { what, wanted: format!("<= {most}"), met: found.median <= most, found }
    }

    pub(crate) fn least(what: String, least: f64, found: Spread) -> Self {
        Self { what, wanted: format!(">= {least}"), met: found.median >= least, found }
    }
}

/// Of what a client should ask.
const LEAST_LOAD: f64 = 0.9;

/// More than one in so many requests that a standstill excuses, and the turn says nothing.
const MOST_EXCUSED: u64 = 50;

/// The box's ledger against its clients'.
pub(crate) fn wrong(of_the_box: &BoxLedger, sum: impl Fn(fn(&Counts) -> u64) -> u64) -> Vec<String> {
    let BoxLedger { received, model, fallback, superseded, refused, missed, balances, .. } = *of_the_box;
    let mut wrong = Vec::new();
    if !balances {
        wrong.push("the box's ledger does not balance".to_owned());
    }
    if received != model + fallback + superseded + refused + missed {
        wrong.push(format!("the box's outcomes do not add up: {of_the_box:?}"));
    }
    let breaches = sum(|counts| counts.age_breaches);
    if breaches > 0 {
        wrong.push(format!("{breaches} answers left the box after their deadline"));
    }
    if sum(|counts| counts.strays) > 0 {
        wrong.push(format!("{} answers to nothing that was open", sum(|counts| counts.strays)));
    }
    let (sent, unanswered) = (sum(|counts| counts.sent), sum(|counts| counts.unanswered));
    let answers = sum(Counts::answers);
    // What is lost on the link is missing on one side; all else is the same on both.
    if received > sent || answers > model + fallback || sum(|counts| counts.refused) > refused + missed {
        wrong.push(format!("{sent} sent, {answers} answers came, but the box says {of_the_box:?}"));
    }
    if unanswered == 0 && received == sent && answers != model + fallback {
        wrong.push(format!("{answers} answers came of {model} + {fallback}, but nothing was lost"));
    }
    wrong
}
