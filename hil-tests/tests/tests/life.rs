//! A box's end, and its heartbeat: SIGTERM, SIGINT, SIGKILL, a stalled engine.

use std::time::Duration;

use engine::Reason;
use message::NoticeKind;
use rig::{Priority, raise};
use tests::{BoxConfig, Controller, Genba, Stall, Stranger, eventually, policy, real_time_rights, skip, threads};

fn ready() -> (Genba, Controller) {
    let genba = Genba::start(&BoxConfig { robots: vec!["steady", "unheard"], ..BoxConfig::default() });
    let controller = Controller::connect(&genba, "steady");
    (genba, controller)
}

#[test]
fn sigterm_drains_and_says_farewell() {
    ends_in_order(libc::SIGTERM, "SIGTERM");
}

#[test]
fn sigint_drains_and_says_farewell() {
    ends_in_order(libc::SIGINT, "SIGINT");
}

/// What was accepted is answered, the controller is told, the token goes, and the exit code is 0.
fn ends_in_order(signal: i32, name: &str) {
    let (mut genba, controller) = ready();
    let boot = genba.status().boot();
    let site = genba.site("steady");
    let stranger = Stranger::connect(&genba, &site);
    let nobody = Stranger::connect(&genba, &genba.site("unheard"));
    let epoch = controller.epoch();
    let controller = controller.start();
    controller.await_more(250);
    genba.signal(signal);
    assert_eq!(genba.ended().code(), Some(0));

    let notice = stranger.notice();
    assert_eq!((notice.kind, notice.boot.value(), notice.epoch), (NoticeKind::Farewell, boot, epoch));
    assert_eq!((notice.address, notice.reason), (site.address(), Reason::Farewell.number()));
    assert!(!genba.is_alive(), "the token was taken back");
    let (account, controller) = controller.stop();
    account.assert_exact();
    assert_eq!(controller.watch().farewells(), 1);
    assert!(!nobody.has_notice(), "whoever was never heard is told nothing");
    let totals = account.ledger().totals();
    let draining = totals.refused.get(&Reason::Draining.row().number).copied().unwrap_or(0);
    assert_eq!(totals.refusals(), draining, "an observation that came while it drained is told so");
    assert!(genba.log().contains(name), "the log says why it ended");
    assert!(!genba.folder().join("status.sock").exists(), "the status socket is gone");
}

#[test]
fn sigkill_takes_the_token_with_it() {
    let (mut genba, controller) = ready();
    let controller = controller.start();
    controller.await_more(50);
    genba.signal(libc::SIGKILL);
    assert_eq!(genba.ended().code(), None);
    eventually("the token goes", || (!genba.is_alive()).then_some(()));
    let (account, controller) = controller.stop();
    account.assert_exact();
    assert_eq!(controller.watch().farewells(), 0, "nobody says farewell for a killed box");
}

/// Started as a service in a real-time class, it gives that class to nobody whom its config does not: a thread that
/// writes logs must not run before a worker.
#[test]
fn a_box_that_was_started_in_a_real_time_class_has_bystanders_in_the_default_class() {
    if !real_time_rights() {
        return skip("SKIPPED: no real-time rights: nothing can be started in their class");
    }
    let mut genba = Genba::start(&BoxConfig::default());
    genba.signal(libc::SIGKILL);
    let _ = genba.ended();
    // Whoever starts it gives it its own class.
    raise(0, Priority::new(2)).expect("the right is there");
    genba.restart();
    let policies: Vec<_> = threads(genba.process()).into_iter().map(|(id, name)| (name, policy(id))).collect();
    let of = |wanted: &str| policies.iter().find(|(name, _)| name == wanted).map(|(_, policy)| *policy);
    for bystander in ["genba-log", "genba-status"] {
        assert_eq!(of(bystander), Some(libc::SCHED_OTHER), "{bystander} of {policies:?}");
    }
    assert_eq!(of("genba-engine"), Some(libc::SCHED_FIFO), "{policies:?}");
}

/// Invariant 8: the watchdog reads a progress counter and withholds the heartbeat when the engine stops.
#[test]
fn the_heartbeat_is_withheld_while_the_engine_is_stalled() {
    if !real_time_rights() {
        return skip("SKIPPED: no real-time rights: a stall of the engine needs them");
    }
    let (genba, _controller) = ready();
    let engine = Stall::of(genba.process(), "genba-engine");
    let stalling = std::thread::spawn(move || engine.hold_up(Duration::from_millis(800)));
    eventually("the token goes", || (!genba.is_alive()).then_some(()));
    eventually("the token is back", || genba.is_alive().then_some(()));
    stalling.join().expect("the stall ends");
    assert!(genba.log().contains("E-504"), "the alarm is in the log");
    // It did not answer in the engine's place, and the engine goes on.
    assert_eq!(genba.settled().total().in_flight, 0);
}
