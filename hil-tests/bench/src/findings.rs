//! What one mode found: figures a subject, ratios, where the time goes, and what must not be.

use serde::{Deserialize, Serialize};

use crate::genba::Status;
use crate::measure::{Round, Tally};
use crate::scheduling::{BOX_PRIORITY, PRIORITY, Place};
use crate::statistics::{Quantiles, Spread, Times, micros, paired_difference, paired_ratio, paired_sum};
use crate::subject::Subject;
use crate::way;

/// What a mode came to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It ran.
    Measured(Box<Found>),
    /// It could not run here.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// What was found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) scheduling: String,
    pub(crate) box_scheduling: String,
    pub(crate) rounds: usize,
    pub(crate) round_trips_a_round: usize,
    pub(crate) subjects: Vec<SubjectFound>,
    pub(crate) ratios: Ratios,
    /// The parts of the box's median round trip, in the order of the way; they add up to it in each round.
    pub(crate) where_the_time_goes: Vec<Part>,
    pub(crate) way: way::Found,
    /// Counted by the box itself while it was measured; absent where it was not built to count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) own_allocations_of_the_box: Option<u64>,
    /// What must not be.
    pub(crate) bad: Vec<String>,
    /// Why the figures compare nothing.
    pub(crate) inconclusive: Vec<String>,
}

/// One subject's figures: medians over the rounds, with the lowest and the highest round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SubjectFound {
    pub(crate) name: String,
    pub(crate) what: String,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) p999_us: Spread,
    pub(crate) max_us: Spread,
    /// CPU seconds of the server's process, all threads, for each answer.
    pub(crate) cpu_s_an_answer: Spread,
    pub(crate) answers: u64,
    pub(crate) fallbacks: u64,
    pub(crate) refusals: u64,
    pub(crate) unanswered: u64,
    pub(crate) rounds: Vec<Quantiles>,
}

/// The box against what it is made of and against naive servers; each a ratio of figures of the same round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ratios {
    pub(crate) p50_vs_parts: Spread,
    pub(crate) p99_vs_parts: Spread,
    pub(crate) p50_vs_naive_default: Spread,
    pub(crate) p50_vs_naive_tuned: Spread,
}

/// A part of the box's round trip.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) what: String,
    pub(crate) p50_us: Spread,
}

/// What every subject did in every round.
#[derive(Default)]
pub(crate) struct Rounds(Vec<(Subject, Kept)>);

#[derive(Default)]
struct Kept {
    quantiles: Vec<Quantiles>,
    cpu_us_an_answer: Vec<f64>,
    tally: Tally,
}

/// All that the findings are made of.
pub(crate) struct Books {
    pub(crate) way: way::Found,
    pub(crate) rounds: Rounds,
    /// The box's status before the first counted round.
    pub(crate) before: Status,
    /// And after the last.
    pub(crate) after: Option<Status>,
}

impl Rounds {
    pub(crate) fn add(&mut self, subject: Subject, round: &Round) {
        let mut times = Times::new();
        round.times.iter().for_each(|nanos| times.record(*nanos));
        let place = self.0.iter().position(|(known, _)| *known == subject).unwrap_or_else(|| {
            self.0.push((subject, Kept::default()));
            self.0.len() - 1
        });
        let kept = &mut self.0[place].1;
        kept.quantiles.push(times.quantiles());
        kept.cpu_us_an_answer.push(micros(round.cpu_ns) / micros(round.tally.answered() * 1_000));
        kept.tally.add(round.tally);
    }

    fn of(&self, subject: Subject) -> &Kept {
        let found = self.0.iter().find(|(known, _)| *known == subject);
        &found.expect("every subject has its turn in every round").1
    }

    fn p50(&self, subject: Subject) -> Vec<f64> {
        self.of(subject).quantiles.iter().map(|round| round.p50_us).collect()
    }

    fn p99(&self, subject: Subject) -> Vec<f64> {
        self.of(subject).quantiles.iter().map(|round| round.p99_us).collect()
    }

    fn ratios(&self) -> Ratios {
        use Subject::{Bare, Box, EchoHops, NaiveDefault, NaiveTuned};
        let (box_p50, box_p99) = (self.p50(Box), self.p99(Box));
        Ratios {
            p50_vs_parts: paired_ratio(&box_p50, &paired_sum(&self.p50(EchoHops), &self.p50(Bare))),
            p99_vs_parts: paired_ratio(&box_p99, &paired_sum(&self.p99(EchoHops), &self.p99(Bare))),
            p50_vs_naive_default: paired_ratio(&box_p50, &self.p50(NaiveDefault)),
            p50_vs_naive_tuned: paired_ratio(&box_p50, &self.p50(NaiveTuned)),
        }
    }

    fn where_the_time_goes(&self) -> Vec<Part> {
        use Subject::{Bare, Box, Echo, EchoHops, HopsRun};
        let [echo, hops, run, bare, whole] = [Echo, EchoHops, HopsRun, Bare, Box].map(|subject| self.p50(subject));
        let ran = paired_difference(&run, &hops);
        let cold: Vec<f64> = run.iter().zip(&hops).map(|(run, hops)| run - hops).collect();
        [
            ("zenoh, client to server and back (echo)", Spread::of(echo.iter().copied())),
            ("a hand-over to a worker (echo-hops - echo)", paired_difference(&hops, &echo)),
            ("codec and run on the worker (hops-run - echo-hops)", ran),
            ("  of it: the run itself (bare)", Spread::of(bare.iter().copied())),
            ("  of it: codec and cold caches (the rest)", paired_difference(&cold, &bare)),
            ("engine, guard, clock, timers (box - hops-run)", paired_difference(&whole, &run)),
            ("the box's round trip", Spread::of(whole.iter().copied())),
        ]
        .map(|(what, p50_us)| Part { what: what.to_owned(), p50_us })
        .into()
    }

    fn subject(&self, subject: Subject) -> SubjectFound {
        let Kept { quantiles, cpu_us_an_answer, tally } = self.of(subject);
        let spread = |figure: fn(&Quantiles) -> f64| Spread::of(quantiles.iter().map(figure));
        SubjectFound {
            name: subject.name().to_owned(),
            what: subject.what().to_owned(),
            p50_us: spread(|round| round.p50_us),
            p99_us: spread(|round| round.p99_us),
            p999_us: spread(|round| round.p999_us),
            max_us: spread(|round| round.max_us),
            cpu_s_an_answer: Spread::of(cpu_us_an_answer.iter().map(|us| us / 1e6)),
            answers: tally.answered(),
            fallbacks: tally.fallback,
            refusals: tally.refusal,
            unanswered: tally.unanswered,
            rounds: quantiles.clone(),
        }
    }
}

impl Ratios {
    /// With their names, in the order in which they are read.
    pub(crate) fn named(&self) -> [(&'static str, Spread); 4] {
        let Self { p50_vs_parts, p99_vs_parts, p50_vs_naive_default, p50_vs_naive_tuned } = *self;
        [
            ("p50_vs_parts", p50_vs_parts),
            ("p99_vs_parts", p99_vs_parts),
            ("p50_vs_naive_default", p50_vs_naive_default),
            ("p50_vs_naive_tuned", p50_vs_naive_tuned),
        ]
    }
}

impl Books {
    pub(crate) fn found(self, place: Place, round_trips: usize) -> Found {
        let Self { way, rounds, before, after } = self;
        let own = after.as_ref().unwrap_or(&before);
        let grown = own.own_allocations().zip(before.own_allocations()).map(|(after, before)| after - before);
        let mut found = Found {
            scheduling: match place.core() {
                Some(core) => format!(
                    "SCHED_FIFO {PRIORITY} on core {core}, client and servers; the box and the servers with hand-overs: \
                     engine {BOX_PRIORITY}, zenoh {PRIORITY}, worker {}",
                    BOX_PRIORITY - 2
                ),
                None => "default class, any core".to_owned(),
            },
            box_scheduling: own.scheduling(),
            rounds: rounds.of(Subject::Box).quantiles.len(),
            round_trips_a_round: round_trips,
            subjects: Subject::ALL.iter().map(|subject| rounds.subject(*subject)).collect(),
            ratios: rounds.ratios(),
            where_the_time_goes: rounds.where_the_time_goes(),
            way,
            own_allocations_of_the_box: grown,
            bad: Vec::new(),
            inconclusive: Vec::new(),
        };
        found.bad = bad(&found, &rounds, &before, own);
        found.inconclusive = inconclusive(&found);
        found
    }
}

/// What must hold on any machine, however busy.
fn bad(found: &Found, rounds: &Rounds, before: &Status, after: &Status) -> Vec<String> {
    let mut bad = Vec::new();
    let way::Allocations { observations, ours, negative_control } = found.way.allocations;
    if ours != 0 {
        bad.push(format!("{ours} allocations of ours on the way of {observations} observations; 0 are required"));
    }
    if negative_control != observations + ours {
        bad.push(format!(
            "the negative control counted {negative_control} allocations, not one for each of {observations} \
             observations: the count above is worth nothing"
        ));
    }
    if let Some(counted) = found.own_allocations_of_the_box.filter(|count| *count != 0) {
        bad.push(format!("the box counted {counted} allocations of its own while it was measured; 0 are required"));
    }
    for subject in found.subjects.iter().filter(|subject| subject.unanswered > 0) {
        bad.push(format!("{}: {} requests were not answered", subject.name, subject.unanswered));
    }
    for (name, _) in found.ratios.named().iter().filter(|(_, ratio)| !ratio.is_finite()) {
        bad.push(format!("{name} is not a number"));
    }
    let received =
        after.total("received").ok().zip(before.total("received").ok()).map(|(after, before)| after - before);
    let tally = rounds.of(Subject::Box).tally;
    let sent = tally.answered() + tally.unanswered;
    if received != Some(sent) {
        bad.push(format!("the box received {received:?} observations, {sent} were sent"));
    }
    if !after.balances() {
        bad.push("the box's ledger does not balance".to_owned());
    }
    bad
}

/// The box answers each request, but not each with its model: the figures are then not of the same thing.
fn inconclusive(found: &Found) -> Vec<String> {
    let beside = found.subjects.iter().filter(|subject| (subject.fallbacks + subject.refusals) * 100 > subject.answers);
    beside
        .map(|subject| {
            let SubjectFound { name, fallbacks, refusals, answers, .. } = subject;
            format!(
                "{name}: {fallbacks} fallbacks and {refusals} refusals among {answers} answers: the machine is too slow"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred round trips of this length, half of it the server's CPU time.
    fn round(micros: u64) -> Round {
        let tally = Tally { model: 100, ..Tally::default() };
        Round { times: vec![micros * 1_000; 100], tally, cpu_ns: micros * 100 * 1_000 / 2 }
    }

    /// Two rounds, the second on a machine half as fast.
    fn rounds() -> Rounds {
        let mut rounds = Rounds::default();
        for factor in [1, 2] {
            for (subject, us) in Subject::ALL.into_iter().zip([50, 60, 90, 20, 300, 100, 120]) {
                rounds.add(subject, &round(us * factor));
            }
        }
        rounds
    }

    fn near(ours: f64, expected: f64) -> bool {
        // Three digits of a histogram on each side of a fraction.
        (ours - expected).abs() <= expected.abs() / 100.0
    }

    #[test]
    fn ratios_are_of_the_box_to_the_others() {
        let ratios = rounds().ratios();
        for (spread, expected) in [
            (ratios.p50_vs_parts, 120.0 / 80.0),
            (ratios.p99_vs_parts, 120.0 / 80.0),
            (ratios.p50_vs_naive_default, 120.0 / 300.0),
            (ratios.p50_vs_naive_tuned, 120.0 / 100.0),
        ] {
            assert!(near(spread.median, expected) && near(spread.min, expected), "{spread:?} instead of {expected}");
        }
    }

    #[test]
    fn parts_add_up_to_the_box() {
        let parts = rounds().where_the_time_goes();
        let median = |place: usize| parts[place].p50_us.median;
        assert!(near(median(0) + median(1) + median(2) + median(5), median(6)));
        assert!(near(median(3) + median(4), median(2)));
        assert!(near(median(6), 180.0), "the median of 120 and 240");
    }

    #[test]
    fn cpu_time_is_of_one_answer() {
        let found = rounds().subject(Subject::Echo);
        assert!(near(found.cpu_s_an_answer.min, 25e-6), "{:?}", found.cpu_s_an_answer);
        assert_eq!((found.answers, found.unanswered), (200, 0));
    }
}
