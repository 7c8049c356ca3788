//! P1 and P2 over real sockets: overruns, a hang, a kill, a restarted controller, a robot that stops reading.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use engine::Reason;
use message::Sequence;
use rig::{Answer, What};
use tests::{
    Account, Beside, BoxConfig, Controller, Counts, Frame, Genba, Said, Stall, Stranger, Tally, Watched,
    end_with_parent, eventually, judge, real_time_rights, signal, skip,
};

const OVERRUNS: u64 = 1_000;
/// Four milliseconds after its fallback fell due.
const OVERRUN: Duration = Duration::from_millis(9);
const HANG: Duration = Duration::from_secs(10);
/// A minute at 500 Hz.
const TOO_LONG: u64 = 30_000;

/// Invariant 4: a hung worker still gets its fallback out on time. Invariant 5: its result is discarded and counted.
#[test]
fn a_thousand_overruns_are_answered_by_fallbacks_in_time() {
    let (genba, mut controller) = ready();
    let hang = controller.calibrate().iterations(OVERRUN);
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let (account, _controller) = controller.run(|account| (account.fallbacks(Reason::Late) < OVERRUNS).then_some(hang));
    let machine = watched.stop();
    let status = genba.settled();
    let counts = status.of("steady") - &before.of("steady");

    let totals = account.ledger().totals();
    println!("{} observations: {totals:?}", account.sent());
    assert_eq!((totals.model, counts.model), (0, 0), "a late result was sent");
    assert_eq!((totals.refusals(), counts.refused), (0, 0));
    let overruns = counts.reasons[&Reason::Late.row().number];
    assert!(overruns >= OVERRUNS);
    assert_discarded(&counts);
    let lost = account.lost(&counts);
    judge(&account.windows(), lost, &machine).settle("a thousand overruns");
}

#[test]
fn a_hang_of_ten_seconds_is_bridged_by_fallbacks_in_time() {
    // On a machine whose cores share their work with others, ten seconds have become thirty.
    let (genba, mut controller) = ready_with(&BoxConfig { hang_ms: 120_000, ..BoxConfig::default() });
    let calibration = controller.calibrate();
    // A second first: over a longer time the machine may be slower or faster than over two milliseconds.
    let second = calibration.iterations(Duration::from_secs(1));
    let (account, controller) = hang_once(controller.restarted(), second);
    let took = hung_for(&account).as_secs_f32();
    println!("a hang of a second took {took:.2} s");
    let controller = controller.restarted();
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let (account, _controller) = hang_once(controller, second / took * HANG.as_secs_f32() * 1.25);
    let machine = watched.stop();
    let status = genba.settled();
    let counts = status.of("steady") - &before.of("steady");

    let totals = account.ledger().totals();
    println!("{} observations, hung for {:?}: {totals:?}", account.sent(), hung_for(&account));
    assert!(hung_for(&account) >= HANG, "the hang was over after {:?}", hung_for(&account));
    let to_the_hung: Vec<_> = account.answers().iter().filter(|answer| answer.sequence == Sequence::new(1)).collect();
    assert!(
        matches!(to_the_hung[..], [Answer { what: What::Fallback(..) | What::Refusal(_), .. }]),
        "its result was sent: {to_the_hung:?}"
    );
    assert_eq!(totals.refusals(), 0);
    assert_discarded(&counts);
    let lost = account.lost(&counts);
    judge(&account.windows(), lost, &machine).settle("a hang of ten seconds");
}

/// The negative control of the judge: the engine's thread alone is held up, and the canary is not. Whatever the model
/// answers in time needs that thread no more, so here each answer is a fallback.
#[test]
fn a_stall_of_the_engine_is_no_excuse() {
    if !real_time_rights() {
        return skip("SKIPPED: no real-time rights: a stall of the engine needs them");
    }
    let (genba, mut controller) = ready();
    let hang = controller.calibrate().iterations(OVERRUN);
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let controller = controller.start_with(hang);
    controller.await_more(500);
    let engine = Stall::of(genba.process(), "genba-engine");
    for _ in 0..10 {
        engine.hold_up(Duration::from_millis(30));
        controller.await_more(100);
    }
    let (account, _controller) = controller.stop();
    let machine = watched.stop();
    let status = genba.settled();
    let lost = account.lost(&(status.of("steady") - &before.of("steady")));
    let verdict = judge(&account.windows(), lost, &machine);
    println!("{verdict:?}");
    match verdict {
        tests::Verdict::Failed(_) => {}
        tests::Verdict::Inconclusive(figures) => {
            skip(&format!("SKIPPED-INCONCLUSIVE: a stall of the engine: {figures}"));
        }
        tests::Verdict::Held(_) | tests::Verdict::NoRealTime => panic!("the judge excused a stalled engine"),
    }
}

#[test]
fn a_killed_box_is_silent_and_a_restarted_one_answers_by_itself() {
    let (mut genba, controller) = ready();
    let boot = genba.status().boot();
    let site = genba.site("steady");
    let stranger = Stranger::connect(&genba, &site);
    let controller = controller.start();
    let heard = stranger.hear();
    assert_eq!((heard.boot, genba.is_alive()), (boot, true));

    genba.signal(libc::SIGKILL);
    assert!(!genba.ended().success());
    eventually("the dead box's token goes", || (!genba.is_alive()).then_some(()));
    while stranger.hear_within(Duration::from_millis(200)).is_some() {}
    let sent = controller.sent();
    assert_eq!(stranger.hear_within(Duration::from_millis(500)), None, "nobody answers for a dead box");
    assert!(controller.sent() > sent, "the controller goes on");

    genba.restart();
    let heard = stranger.hear();
    let status = genba.status();
    assert_ne!(status.boot(), boot);
    assert_eq!(heard.boot, status.boot(), "the box answers under its new boot");
    assert_ne!(heard.said, Said::Refusal(Reason::Epoch.row().number), "the first epoch after a boot is current");
    controller.await_more(250);
    let (account, _controller) = controller.stop();
    account.assert_exact();
    let (totals, counts) = (account.ledger().totals(), genba.settled().of("steady"));
    println!("{} sent, {} of them lost with the box; the new boot: {counts:?}", account.sent(), totals.open());
    assert!(counts.model > 0 && counts.refused == 0, "{counts:?}");
}

#[test]
fn a_restarted_controller_is_answered_at_once() {
    let (genba, controller) = ready();
    let (first, controller) = controller.run(|account| (account.sent() < 250).then_some(0.0));
    let old = controller.epoch();
    let (second, _controller) = controller.restarted().run(|account| (account.sent() < 250).then_some(0.0));
    for account in [&first, &second] {
        account.assert_exact();
        let answer = account.answers().first().expect("the box answers");
        assert!(!matches!(answer.what, What::Refusal(_)), "{answer:?}");
    }
    let total = genba.settled().of("steady");
    assert_eq!(total.refused, 0, "{total:?}");
    assert_eq!(total.received, first.sent() + second.sent());

    // The old instance was not dead after all.
    let site = genba.site("steady");
    let stranger = Stranger::connect(&genba, &site);
    stranger.send(Frame::of(&site, old.value(), 251).bytes());
    assert_eq!(stranger.hear().said, Said::Refusal(Reason::Epoch.row().number));
}

/// Invariant 6: a robot that stops reading costs no other robot a response.
#[test]
fn a_robot_that_stops_reading_costs_another_nothing() {
    let beside = Beside::with(&BoxConfig { endpoint_options: "#so_sndbuf=8192", ..BoxConfig::default() });
    let (site, stranger) = (beside.site(), beside.stranger());
    let mut command = Command::new(env!("CARGO_BIN_EXE_stopped-robot"));
    command.args([beside.genba.endpoint(), &site.response_key]).stdout(Stdio::piped());
    end_with_parent(&mut command);
    let mut child = command.spawn().expect("the robot starts");
    let mut words = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
    let mut next = || words.next().expect("the robot speaks").expect("the robot speaks UTF-8");
    assert_eq!(next(), "listening");

    let mut tally = Tally::default();
    let mut sequence = 0;
    let mut send = |times: u64| {
        for _ in 0..times {
            sequence += 1;
            tally.exchange(&stranger, Frame::of(&site, 7, sequence).bytes());
        }
    };
    send(100);
    assert_eq!(next(), "heard");
    signal(child.id(), libc::SIGSTOP);
    // Some 180 bytes each: a hundred times what the two sockets' buffers hold.
    send(10_000);
    child.kill().expect("the robot can be ended");
    child.wait().expect("the robot ends");
    beside.finish("a robot that stops reading", &tally);
}

fn ready() -> (Genba, Controller) {
    ready_with(&BoxConfig::default())
}

fn ready_with(config: &BoxConfig) -> (Genba, Controller) {
    let genba = Genba::start(config);
    let controller = Controller::connect(&genba, "steady");
    (genba, controller)
}

/// Each late result is discarded and counted, also where the platform kept its fallback from leaving in time.
fn assert_discarded(counts: &Counts) {
    let late = counts.reasons[&Reason::Late.row().number];
    assert!((late..=late + counts.missed).contains(&counts.discarded_late_results), "{counts:?}");
}

/// One observation that hangs, then ordinary ones until the model is back, or for too long.
fn hang_once(controller: Controller, iterations: f32) -> (Account, Controller) {
    controller.run(|account| match account.sent() {
        0 => Some(iterations),
        1..TOO_LONG => (account.ledger().totals().model == 0).then_some(0.0),
        _ => None,
    })
}

/// From the hung observation to the model's return.
fn hung_for(account: &Account) -> Duration {
    let back = account.answers().iter().find(|answer| matches!(answer.what, What::Model(_)));
    back.expect("the model came back").at.since(account.moment_of(1))
}
