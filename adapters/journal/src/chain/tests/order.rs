//! What comes before what.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
};

use super::{
    disk::{Control, Stubborn},
    *,
};

#[test]
fn a_receipt_comes_after_the_sync_and_one_sync_serves_all_that_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let (journal, _) = Journal::open_on(Box::new(Stubborn(control.clone())), settings(folder.path())).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    let before = journal.status().syncs;

    let (entered, enters) = mpsc::channel();
    let (leave, leaves) = mpsc::channel();
    control.gate(entered, leaves);
    let mut first = pin!(journal.intent(intent("first")).expect("room"));
    enters.recv().expect("the writer syncs");
    // The line is written, its sync has not returned.
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    let others: Vec<_> = (0..50).map(|n| journal.intent(intent(&format!("other-{n}"))).expect("room")).collect();
    leave.send(()).expect("the writer waits");
    enters.recv().expect("the writer syncs for the others");
    assert!(matches!(first.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
    drop(leave);
    let receipts: Vec<_> = others.into_iter().map(|pending| pending.wait().expect("a receipt")).collect();
    let syncs = journal.status().syncs - before;
    assert!(syncs <= 4, "{syncs} syncs for 51 intents, a head among them");

    for receipt in receipts {
        receipt.end(Outcome::Delivered, 12, Latency::default());
    }
    journal.close().expect("closed in order");
    assert_eq!(outcomes(folder.path()).len(), 51);
    assert_eq!(verdict(folder.path()).finding, Finding::Intact);
}

#[test]
fn an_intent_needs_the_policy_that_is_in_force_when_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = Journal::open(settings(folder.path())).expect("open");
    let ask = |version| journal.intent(Intent { policy: version, ..intent("one") }).expect("room").wait().map(|_| ());
    assert_eq!(ask(1), Err(Refusal::NoPolicy));
    journal.commit_policy(policy(1)).expect("a policy");
    assert_eq!(ask(1), Ok(()));
    journal.commit_policy(policy(2)).expect("a policy");
    assert_eq!(ask(1), Err(Refusal::PolicyChanged { named: 1, in_force: 2 }));
    assert_eq!(ask(2), Ok(()));
    journal.commit_policy(PolicyChange::Withdrawn { why: "audit".to_owned() }).expect("withdrawn");
    assert_eq!(ask(2), Err(Refusal::NoPolicy));
    journal.close().expect("closed in order");
    let kinds = records(folder.path()).into_iter().filter_map(|line| {
        if let Record::Intent(intent) = line.record {
            return Some(intent.policy);
        }
        let Record::Policy(change) = line.record else { return None };
        Some(match change {
            PolicyChange::Committed { version, .. } => version,
            PolicyChange::Withdrawn { .. } => 0,
        })
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [1, 1, 2, 2, 0]);
}

#[test]
fn who_goes_away_leaves_an_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let (journal, _) = Journal::open_on(Box::new(Stubborn(control.clone())), settings(folder.path())).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");

    // Before the sync returned.
    let (entered, enters) = mpsc::channel();
    let (leave, leaves) = mpsc::channel();
    control.gate(entered, leaves);
    let early = journal.intent(intent("early")).expect("room");
    enters.recv().expect("the writer syncs");
    drop(early);
    drop(leave);
    // After it, without having asked; and with a receipt, without an end.
    let unasked = journal.intent(intent("unasked")).expect("room");
    let held = journal.intent(intent("held")).expect("room").wait().expect("a receipt");
    let held_n = held.intent();
    drop(unasked);
    drop(held);
    assert_eq!(journal.load().1, 0, "no attempt is open");
    journal.close().expect("closed in order");
    let mut found = outcomes(folder.path());
    found.sort_unstable();
    let ends: Vec<_> = found.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(ends, [Outcome::NotSent, Outcome::NotSent, Outcome::Abandoned]);
    assert_eq!(found[2].0, held_n);
}

#[test]
fn a_full_journal_refuses_and_takes_every_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let settings = Settings { capacity: 8, ..settings(folder.path()) };
    let (journal, _) = Journal::open_on(Box::new(Stubborn(control.clone())), settings).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    let receipts: Vec<_> =
        (0..7).map(|n| journal.intent(intent(&n.to_string())).expect("room").wait().expect("a receipt")).collect();
    assert_eq!(journal.intent(intent("one more")).err(), Some(Refusal::Full { capacity: 8 }));
    for receipt in receipts {
        receipt.end(Outcome::Delivered, 1, Latency::default());
    }
    journal.close().expect("closed in order");
    assert_eq!(outcomes(folder.path()).len(), 7);
}

#[test]
fn what_is_no_record_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = Journal::open(settings(folder.path())).expect("open");
    for hand_off in ["", "line\nbreak", "日本", &"x".repeat(129)] {
        assert_eq!(journal.intent(intent(hand_off)).err(), Some(Refusal::Form), "{hand_off}");
    }
    let long = Intent { task: "x".repeat(40_000), ..intent("long") };
    assert_eq!(journal.intent(long).err(), Some(Refusal::Form));
    let long = Refused { task: "x".repeat(40_000), ..refused("long") };
    assert_eq!(journal.refused(long), Err(Refusal::Form));
    assert_eq!(journal.status().unrecorded, 1);
}

#[test]
fn nobody_waits_in_vain_for_a_writer_that_died() {
    let folder = tempfile::tempdir().expect("a folder");
    let broken = Arc::new(AtomicBool::new(false));
    let (right, seen) = (clock(), Arc::clone(&broken));
    let clock: Clock = Arc::new(move || {
        let writer = std::thread::current().name() == Some("genba-journal");
        assert!(!(writer && seen.load(Ordering::Relaxed)), "the clock fails on the writer's thread");
        right()
    });
    let (journal, _) = Journal::open(Settings { clock, ..settings(folder.path()) }).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    broken.store(true, Ordering::Relaxed);
    // It has something of its own to record then, which needs the time.
    journal.refused(Refused { task: "x".repeat(40_000), ..refused("long") }).expect_err("too long");
    let asked = journal.intent(intent("one")).expect("room").wait().map(|_| ());
    assert_eq!(asked, Err(Refusal::Closed));
    // Whether it comes before or after the queue is given up.
    let asked = journal.intent(intent("two")).and_then(Pending::wait).map(|_| ());
    assert_eq!(asked, Err(Refusal::Closed));
    assert!(journal.commit_policy(policy(2)).is_err());
    assert!(journal.close().is_err());
}

#[test]
fn a_journal_that_many_have_is_closed_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (journal, _) = Journal::open(settings(folder.path())).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    let receipt = journal.intent(intent("one")).expect("room").wait().expect("a receipt");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| journal.close().expect("closed in order"));
        }
    });
    assert_eq!(journal.intent(intent("two")).err(), Some(Refusal::Closed));
    assert_eq!(journal.refused(refused("three")), Err(Refusal::Closed));
    // Too late: the next start has it in doubt.
    receipt.end(Outcome::Delivered, 1, Latency::default());
    let closed = records(folder.path()).into_iter().filter(|line| matches!(line.record, Record::Closed(_))).count();
    assert_eq!(closed, 1);
    let (_again, in_doubt) = Journal::open(settings(folder.path())).expect("nobody has it any more");
    assert_eq!(in_doubt.len(), 1);
}
