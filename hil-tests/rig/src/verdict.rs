//! What a run proves: the promise held, it did not, or this machine could not tell.

use std::process::ExitCode;
use std::time::Duration;

use crate::pacing::Canary;
use crate::recording::Recording;
use crate::robot::{End, Report};
use crate::summary::ms;

/// The tracking error that the demo must stay under, root mean square.
pub(crate) const GOAL_MM: f64 = 1.0;

/// The box answers by its own clock; on the way to the robot an answer may take one period of the
/// robot more. Beyond that the box's account of its own time is not believed.
pub(crate) const LINK_ALLOWANCE: Duration = Duration::from_millis(2);

/// What a run proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The arm tracked and the promise held.
    Held,
    /// It did not; each reason is a sentence.
    Broken(Vec<String>),
    /// The run says nothing; each reason is a sentence.
    Inconclusive(Vec<String>),
}

impl Verdict {
    /// Judges a run.
    #[must_use]
    pub fn of(recording: &Recording, report: &Report, canary: &Canary) -> Self {
        let exact = inexact(recording);
        if !exact.is_empty() {
            // no machine is too slow for these
            return Self::Broken(exact);
        }
        let mut doubts = doubts(report, canary);
        let late = late(recording, report);
        match (late.is_empty(), doubts.is_empty()) {
            (true, true) => Self::Held,
            (_, false) => Self::Inconclusive(doubts.into_iter().chain(late).collect()),
            (false, true) => {
                doubts.extend(excuses(recording, report));
                if doubts.is_empty() {
                    return Self::Broken(late);
                }
                Self::Inconclusive(doubts.into_iter().chain(late).collect())
            }
        }
    }

    /// The same with something that breaks it on any machine.
    #[must_use]
    pub fn and_broken(self, reason: String) -> Self {
        match self {
            Self::Held => Self::Broken(vec![reason]),
            Self::Broken(mut reasons) | Self::Inconclusive(mut reasons) => {
                reasons.insert(0, reason);
                Self::Broken(reasons)
            }
        }
    }

    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broken(_) => "broken",
            Self::Inconclusive(_) => "inconclusive",
        }
    }

    /// Why, in sentences; none if it held.
    #[must_use]
    pub fn reasons(&self) -> &[String] {
        match self {
            Self::Held => &[],
            Self::Broken(reasons) | Self::Inconclusive(reasons) => reasons,
        }
    }

    /// 0 held, 1 broken, 3 inconclusive.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Held => 0,
            Self::Broken(_) => 1,
            Self::Inconclusive(_) => 3,
        })
    }
}

/// Windows without an action or fallback in time, as the robot saw it, that the machine does not excuse.
#[must_use]
pub(crate) fn uncovered(recording: &Recording) -> u64 {
    let limit = recording.deadline + LINK_ALLOWANCE;
    let uncovered = recording.ledger.windows().filter(|window| {
        let end = window.sent_at + limit;
        let in_time = window.covered_at.is_some_and(|at| at <= end);
        let waited = window.covered_at.map_or(end, |at| at.max(end));
        !window.missed && !in_time && !recording.pacing.is_spoilt(window.sent_at, waited)
    });
    uncovered.count() as u64
}

/// Observations that the box says it missed and that the machine does not excuse.
#[must_use]
pub(crate) fn missed(recording: &Recording) -> u64 {
    let missed = recording.ledger.windows().filter(|window| {
        window.missed && !recording.pacing.is_spoilt(window.sent_at, window.sent_at + recording.deadline)
    });
    missed.count() as u64
}

/// What breaks the promise on any machine.
fn inexact(recording: &Recording) -> Vec<String> {
    let totals = recording.ledger.totals();
    let counts = [
        (totals.twice, "observations were answered twice"),
        (totals.out_of_order, "actions or fallbacks came out of order"),
        (totals.over_age, "actions or fallbacks left the box after their deadline"),
        (totals.malformed, "responses could not be read"),
        (totals.unasked, "responses answered nothing that was sent"),
    ];
    sentences(&counts)
}

/// What breaks it on a machine that keeps time.
fn late(recording: &Recording, report: &Report) -> Vec<String> {
    let mut reasons = sentences(&[
        (missed(recording), "observations were missed by the box"),
        (uncovered(recording), "observations had no action or fallback in time at the robot"),
        (recording.ledger.totals().refusals(), "observations were refused"),
        (recording.pacing.unsent, "observations were refused by the robot's own link"),
    ]);
    if report.end == End::Lost {
        reasons.push("the arm lost the part".into());
    }
    match recording.tracking.rms_mm() {
        Some(rms_mm) if rms_mm < GOAL_MM => {}
        Some(rms_mm) => reasons.push(format!("the tracking error was {rms_mm:.2} mm RMS, not under {GOAL_MM} mm")),
        None => reasons.push("the run was too short to measure the tracking error".into()),
    }
    reasons
}

/// Why the run says nothing.
fn doubts(report: &Report, canary: &Canary) -> Vec<String> {
    let mut doubts = Vec::new();
    if report.end == End::Stopped {
        doubts.push("the run was stopped before its end".into());
    }
    if report.overflowed > 0 {
        doubts.push(format!("the robot's own books lack {} entries", report.overflowed));
    }
    if canary.is_silent() {
        doubts.push(format!(
            "this machine stood still for more than {} in {} of {} windows, and the robot skipped {} observations \
             (canaries: p99 {}, max {}; the robot's loop: p99 {}, max {})",
            ms(canary.tolerance_us),
            canary.spoilt,
            canary.windows,
            canary.skipped,
            ms(canary.p99_us),
            ms(canary.max_us),
            ms(canary.robot_p99_us),
            ms(canary.robot_max_us)
        ));
    }
    doubts
}

/// What does not spoil a run that went well, but excuses one that did not.
fn excuses(recording: &Recording, report: &Report) -> Vec<String> {
    let mut excuses = Vec::new();
    if !report.class.is_real_time() {
        excuses.push("the robot has no real-time rights, so its timing proves nothing".into());
    }
    if let Some(hang) = recording.hang
        && hang.lasted_ms() > hang.asked_ms + hang.asked_ms / 4
    {
        excuses.push(format!("the model hung for {} ms instead of {} ms", hang.lasted_ms(), hang.asked_ms));
    }
    excuses
}

fn sentences(counts: &[(u64, &str)]) -> Vec<String> {
    let seen = counts.iter().filter(|(count, _)| *count > 0);
    seen.map(|(count, what)| format!("{count} {what}")).collect()
}

#[cfg(test)]
mod tests {
    use message::{Epoch, Sequence};

    use super::*;
    use crate::answer::{Answer, ReasonCode, What};
    use crate::canary::Wake;
    use crate::clock::Moment;
    use crate::priority::{Class, ROBOT};
    use crate::recording::HangSeen;
    use crate::robot::Event;

    const DEADLINE: Duration = Duration::from_millis(8);
    const MODEL: What = What::Model([0.0; 6]);

    fn at(ms: u32) -> Moment {
        Moment::from_nanos(u64::from(ms) * 1_000_000)
    }

    /// A second of good service; `event` may change what happens to an answer.
    fn recording(mut change: impl FnMut(u32, Answer) -> Option<Answer>) -> Recording {
        let mut recording = Recording::new(Duration::from_secs(1), DEADLINE, Duration::from_millis(1));
        for now_ms in 0..1000 {
            recording.note(Event::Woke { due: at(now_ms), late: Duration::from_micros(20) });
            if now_ms % 2 == 0 {
                recording.note(Event::Tracked { now_ms, error_m: 0.0003 });
                recording.note(Event::Sent { at: at(now_ms) });
                let answer = Answer {
                    at: at(now_ms) + Duration::from_micros(300),
                    epoch: Epoch::new(1),
                    sequence: Sequence::new(u64::from(now_ms / 2 + 1)),
                    sent_at: at(now_ms),
                    age: Duration::from_micros(100),
                    what: MODEL,
                };
                if let Some(answer) = change(now_ms, answer) {
                    recording.note(Event::Answered { answer, now_ms });
                }
            }
        }
        recording
    }

    fn report() -> Report {
        Report { end: End::Complete, class: Class::Fifo(ROBOT), overflowed: 0 }
    }

    fn judge(recording: &Recording, report: &Report) -> Verdict {
        let canary = recording.pacing.canary(recording.ledger.windows(), DEADLINE);
        Verdict::of(recording, report, &canary)
    }

    #[test]
    fn good_service_holds() {
        let recording = recording(|_, answer| Some(answer));
        assert_eq!(judge(&recording, &report()), Verdict::Held);
    }

    #[test]
    fn a_silence_that_a_newer_answer_ends_in_time_holds() {
        let gap = recording(|now_ms, answer| (!(500..508).contains(&now_ms)).then_some(answer));
        assert_eq!(gap.ledger.totals().superseded, 4);
        assert_eq!(judge(&gap, &report()), Verdict::Held);
    }

    #[test]
    fn a_longer_silence_breaks_it() {
        let gap = recording(|now_ms, answer| (!(500..514).contains(&now_ms)).then_some(answer));
        let verdict = judge(&gap, &report());
        assert_eq!(verdict.word(), "broken");
        assert!(verdict.reasons()[0].contains("no action or fallback in time"), "{verdict:?}");
    }

    #[test]
    fn a_silence_while_the_machine_stood_still_is_excused() {
        let gap = recording(|now_ms, answer| (!(500..514).contains(&now_ms)).then_some(answer));
        assert_eq!(uncovered(&gap), 3, "those of 500, 502 and 504 ms");
        let mut excused = recording(|now_ms, answer| (!(986..1000).contains(&now_ms)).then_some(answer));
        assert_eq!(uncovered(&excused), 7);
        excused.pacing.woke(Wake { due: at(1000), late: Duration::from_millis(5) });
        assert_eq!(uncovered(&excused), 2, "the first two ended before");
    }

    #[test]
    fn a_miss_and_a_refusal_break_it() {
        for (number, reason) in [(401, "missed by the box"), (208, "refused")] {
            let what = What::Refusal(ReasonCode::new(number));
            let refused = |answer| Answer { what, ..answer };
            let recording = recording(|now_ms, answer| Some(if now_ms == 500 { refused(answer) } else { answer }));
            let verdict = judge(&recording, &report());
            assert_eq!(verdict.word(), "broken");
            assert!(verdict.reasons()[0].contains(reason), "{verdict:?}");
        }
    }

    #[test]
    fn an_action_after_its_deadline_breaks_it_on_any_machine() {
        let age = DEADLINE + Duration::from_micros(1);
        let recording = recording(|now_ms, answer| Some(if now_ms == 500 { Answer { age, ..answer } } else { answer }));
        let slow = Report { class: Class::Default, ..report() };
        assert_eq!(judge(&recording, &slow).word(), "broken");
    }

    #[test]
    fn a_machine_that_cannot_pace_the_physics_proves_nothing() {
        let mut recording = recording(|_, answer| Some(answer));
        for _ in 0..11 {
            recording.note(Event::Skipped);
        }
        let verdict = judge(&recording, &report());
        assert_eq!(verdict.word(), "inconclusive");
        assert!(verdict.reasons()[0].contains("stood still"), "{verdict:?}");
    }

    #[test]
    fn without_real_time_rights_lateness_proves_nothing() {
        let gap = recording(|now_ms, answer| (!(500..514).contains(&now_ms)).then_some(answer));
        let slow = Report { class: Class::Default, ..report() };
        assert_eq!(judge(&gap, &slow).word(), "inconclusive");
        let stopped = Report { end: End::Stopped, ..report() };
        assert_eq!(judge(&gap, &stopped).word(), "inconclusive");
    }

    #[test]
    fn a_hang_that_lasts_longer_than_asked_excuses_the_arm() {
        let verdict_of = |back_ms: u32| {
            let mut hung = recording(|_, answer| Some(answer));
            hung.hang = Some(HangSeen { from_ms: 500, asked_ms: 200, until_ms: Some(back_ms), sequence: 251 });
            hung.note(Event::Tracked { now_ms: 1000, error_m: 0.1 });
            judge(&hung, &report()).word()
        };
        assert_eq!(verdict_of(749), "broken");
        assert_eq!(verdict_of(800), "inconclusive");
    }

    #[test]
    fn an_arm_that_does_not_track_breaks_it() {
        let mut far = recording(|_, answer| Some(answer));
        far.note(Event::Tracked { now_ms: 1000, error_m: 0.3 });
        let lost = Report { end: End::Lost, ..report() };
        let verdict = judge(&far, &lost);
        assert!(verdict.reasons().iter().any(|reason| reason.contains("lost the part")), "{verdict:?}");
        assert!(verdict.reasons().iter().any(|reason| reason.contains("mm RMS")), "{verdict:?}");
    }
}
