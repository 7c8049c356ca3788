//! A worker that overruns too often or hangs is taken out of service: a spare takes over, or the process ends.

use std::time::Duration;

use engine::Reason;
use message::{NoticeKind, ReasonNumber};
use tests::{Account, BoxConfig, Controller, Genba, PATIENCE, Stranger, Watched, eventually, judge};

/// Long enough to be late by milliseconds, short enough for eight of them.
const OVERRUN: Duration = Duration::from_millis(12);

fn by_count(spare: bool) -> BoxConfig {
    BoxConfig { spare, max_overruns: 8, overrun_window_ms: 60_000, ..BoxConfig::default() }
}

fn by_hang(spare: bool) -> BoxConfig {
    BoxConfig { spare, hang_ms: 500, ..BoxConfig::default() }
}

#[test]
fn a_spare_takes_over_from_a_worker_that_overruns_too_often() {
    let (genba, mut controller) = ready(&by_count(true));
    let overrun = controller.calibrate().iterations(OVERRUN);
    let (account, controller) = controller.run(|account| match account.fallbacks(Reason::Late) {
        0..8 => Some(overrun),
        _ => None,
    });
    account.assert_exact();
    // The eighth counts when it returns.
    eventually("the spare is active", || (genba.status().workers() == ["quarantined", "active"]).then_some(()));
    assert!(genba.log().contains("E-501"), "the alarm is in the log");
    answers_again(&genba, controller, "after a quarantine by count");
}

#[test]
fn a_spare_takes_over_from_a_worker_that_hangs() {
    let (genba, mut controller) = ready(&by_hang(true));
    let hang = controller.calibrate().iterations(Duration::from_secs(8));
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let (account, controller) = controller.run(hang_until_back(hang));
    let machine = watched.stop();
    // The hung inference still runs: the spare answered.
    let status = genba.status();
    let counts = status.of("steady") - &before.of("steady");
    assert_eq!(status.workers(), ["quarantined", "active"]);
    assert_eq!(counts.discarded_late_results, 0, "the hung worker is still at it");
    assert!(genba.log().contains("E-502"), "the alarm is in the log");
    let lost = account.lost(&counts);
    judge(&account.windows(), lost, &machine).settle("a quarantine by hang");
    answers_again(&genba, controller, "after a quarantine by hang");
}

#[test]
fn without_a_spare_a_hang_ends_the_process_with_a_farewell() {
    let (mut genba, mut controller) = ready(&by_hang(false));
    let hang = controller.calibrate().iterations(Duration::from_secs(8));
    ends_with_farewell(&mut genba, controller, "E-502", hang_until_back(hang));
}

#[test]
fn without_a_spare_overruns_end_the_process_with_a_farewell() {
    let (mut genba, mut controller) = ready(&by_count(false));
    let overrun = controller.calibrate().iterations(OVERRUN);
    ends_with_farewell(&mut genba, controller, "E-501", move |_| Some(overrun));
}

fn ready(config: &BoxConfig) -> (Genba, Controller) {
    let genba = Genba::start(config);
    let controller = Controller::connect(&genba, "steady");
    (genba, controller)
}

/// One observation that hangs, then ordinary ones until the model answers again.
fn hang_until_back(hang: f32) -> impl FnMut(&Account) -> Option<f32> + Send {
    move |account| match account.sent() {
        0 => Some(hang),
        _ => (account.ledger().totals().model == 0).then_some(0.0),
    }
}

fn answers_again(genba: &Genba, controller: Controller, when: &str) {
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let (account, _controller) = controller.restarted().run(|account| (account.sent() < 1_000).then_some(0.0));
    let machine = watched.stop();
    let status = genba.settled();
    let counts = status.of("steady") - &before.of("steady");
    assert!(counts.model > 900, "the spare answers: {counts:?}");
    let lost = account.lost(&counts);
    judge(&account.windows(), lost, &machine).settle(when);
}

/// Runs the controller until the box has ended: non-zero, after a farewell to this controller.
fn ends_with_farewell(
    genba: &mut Genba,
    controller: Controller,
    alarm: &str,
    mut next: impl FnMut(&Account) -> Option<f32> + Send,
) {
    let site = genba.site("steady");
    let stranger = Stranger::connect(genba, &site);
    let (boot, epoch) = (genba.status().boot(), controller.epoch());
    let begun = std::time::Instant::now();
    // Silence follows the farewell: two seconds without an answer, and it is over.
    let (account, controller) = controller.run(|account| {
        let last = account.answers().last().map(|answer| answer.at);
        let silent = last.is_some_and(|last| rig::Moment::now().since(last) > Duration::from_secs(2));
        (!silent && begun.elapsed() < PATIENCE).then(|| next(account)).flatten()
    });
    assert_eq!(genba.ended().code(), Some(1));
    account.assert_exact();
    let notice = stranger.notice();
    assert_eq!((notice.kind, notice.boot.value(), notice.epoch), (NoticeKind::Farewell, boot, epoch));
    assert_eq!(Some(notice.reason), ReasonNumber::new(Reason::Farewell.row().number));
    assert_eq!(notice.address, site.address());
    assert_eq!(controller.watch().farewells(), 1);
    assert!(!genba.is_alive(), "the heartbeat is gone");
    for number in [alarm, "E-503"] {
        assert!(genba.log().contains(number), "{number} is in the log");
    }
    let totals = account.ledger().totals();
    println!("{} observations, {} of them after the box had ended: {totals:?}", account.sent(), totals.open());
}
