//! A disk that fails: hand-offs are refused, nothing that was confirmed is lost, and the journal comes back.

use super::{
    disk::{Control, Stubborn, Wrong},
    *,
};

fn ask(journal: &Journal, hand_off: &str) -> Result<Receipt, Refusal> {
    journal.intent(intent(hand_off)).expect("room").wait()
}

#[test]
fn a_disk_that_fails_refuses_and_comes_back_with_a_signed_record() {
    let wrongs = [Wrong::Full(0), Wrong::Full(100), Wrong::Full(600), Wrong::Sync, Wrong::ReadOnly];
    for wrong in wrongs {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Control::new();
        let disk = Box::new(Stubborn(control.clone()));
        let (journal, _) = Journal::open_on(disk, settings(folder.path())).expect("open");
        journal.commit_policy(policy(1)).expect("a policy");
        let kept = ask(&journal, "kept").expect("a receipt");
        let kept_n = kept.intent();

        control.set(wrong);
        let refusal = ask(&journal, "refused").err();
        let Some(Refusal::Failing { since, fault }) = refusal else { panic!("{wrong:?}: {refusal:?}") };
        match wrong {
            Wrong::Full(_) => assert!(matches!(fault, Fault::DiskFull { .. }), "{fault}"),
            Wrong::ReadOnly => assert!(matches!(fault, Fault::ReadOnly { .. }), "{fault}"),
            Wrong::Sync | Wrong::Nothing => assert!(matches!(fault, Fault::Other { .. }), "{fault}"),
        }
        // It stays refused, since the same moment, and an outcome that comes meanwhile waits.
        kept.end(Outcome::Delivered, 5, Latency::default());
        let again = ask(&journal, "refused again").err();
        assert!(matches!(again, Some(Refusal::Failing { since: still, .. }) if still == since), "{wrong:?}: {again:?}");
        assert!(journal.refused(refused("unrecorded")).is_err());

        control.set(Wrong::Nothing);
        let after = ask(&journal, "after").expect("a receipt: the disk is well again");
        let after_n = after.intent();
        after.end(Outcome::Delivered, 5, Latency::default());
        assert_eq!(journal.status().failing, None);
        journal.close().expect("closed in order");

        let lines = records(folder.path());
        let intents = lines.iter().filter_map(|line| {
            let Record::Intent(intent) = &line.record else { return None };
            Some((line.n, intent.hand_off.as_str()))
        });
        let intents = intents.collect::<Vec<_>>();
        assert_eq!(intents, [(kept_n, "kept"), (after_n, "after")], "{wrong:?}");
        assert_eq!(outcomes(folder.path()), [(kept_n, Outcome::Delivered), (after_n, Outcome::Delivered)], "{wrong:?}");
        let recovered = lines.iter().find_map(|line| {
            let Record::Recovered(recovered) = &line.record else { return None };
            Some(recovered)
        });
        let recovered = recovered.expect("a record of what was cut");
        assert_eq!(recovered.why, RecoveredWhy::Disk, "{wrong:?}");
        let unrecorded = lines.iter().filter_map(|line| {
            let Record::Unrecorded(unrecorded) = &line.record else { return None };
            Some(unrecorded.refusals)
        });
        assert_eq!(unrecorded.sum::<u64>(), 1, "{wrong:?}");
        assert_eq!(recovered.open.iter().map(|open| open.intent).collect::<Vec<_>>(), [kept_n], "{wrong:?}");
        let verdict = verdict(folder.path());
        assert_eq!((verdict.finding, verdict.recoveries), (Finding::Intact, 1), "{wrong:?}");
    }
}

#[test]
fn a_withdrawal_that_cannot_be_recorded_withdraws_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let (journal, _) = Journal::open_on(Box::new(Stubborn(control.clone())), settings(folder.path())).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    control.set(Wrong::Full(10));
    let withdrawn = journal.commit_policy(PolicyChange::Withdrawn { why: "audit".to_owned() });
    assert!(matches!(withdrawn, Err(Refusal::Failing { .. })), "{withdrawn:?}");
    control.set(Wrong::Nothing);
    assert_eq!(ask(&journal, "one").err(), Some(Refusal::NoPolicy));
    journal.commit_policy(policy(2)).expect("a policy");
    let allowed = journal.intent(Intent { policy: 2, ..intent("two") }).expect("room").wait();
    allowed.expect("a receipt").end(Outcome::Delivered, 1, Latency::default());
}

/// The control of the one above: a failure that no change of policy has part in leaves the policy in force.
#[test]
fn a_failed_intent_leaves_the_policy_in_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let control = Control::new();
    let (journal, _) = Journal::open_on(Box::new(Stubborn(control.clone())), settings(folder.path())).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    control.set(Wrong::Full(10));
    assert!(ask(&journal, "one").is_err());
    control.set(Wrong::Nothing);
    ask(&journal, "two").expect("a receipt").end(Outcome::Delivered, 1, Latency::default());
}

#[test]
fn it_opens_on_a_disk_that_takes_nothing_and_begins_when_it_does() {
    for chain_before in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        if chain_before {
            let (journal, _) = Journal::open(settings(folder.path())).expect("open");
            journal.commit_policy(policy(1)).expect("a policy");
            std::mem::forget(ask(&journal, "in doubt").expect("a receipt"));
            drop(journal);
        }
        let control = Control::new();
        control.set(Wrong::ReadOnly);
        let disk = Box::new(Stubborn(control.clone()));
        let (journal, in_doubt) = Journal::open_on(disk, settings(folder.path())).expect("open, and failing");
        assert_eq!(in_doubt.len(), usize::from(chain_before));
        assert!(matches!(ask(&journal, "one").err(), Some(Refusal::Failing { .. })));
        control.set(Wrong::Nothing);
        journal.commit_policy(policy(1)).expect("a policy");
        ask(&journal, "two").expect("a receipt").end(Outcome::Delivered, 1, Latency::default());
        journal.close().expect("closed in order");
        let told = records(folder.path()).into_iter().filter_map(|line| {
            let Record::Opened(opened) = line.record else { return None };
            Some(opened.in_doubt.len())
        });
        assert_eq!(told.collect::<Vec<_>>().last(), Some(&usize::from(chain_before)));
        assert_eq!(verdict(folder.path()).finding, Finding::Intact);
    }
}

#[test]
fn an_anchor_that_cannot_be_written_is_an_alarm_and_no_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let elsewhere = folder.path().join("elsewhere");
    let anchors = vec![elsewhere.join("anchor.jsonl")];
    let (journal, _) = Journal::open(Settings { anchors, ..settings(folder.path()) }).expect("open");
    journal.commit_policy(policy(1)).expect("a policy");
    ask(&journal, "one").expect("a receipt").end(Outcome::Delivered, 1, Latency::default());
    let status = journal.status();
    assert!(status.anchors[0].failing.is_some());
    assert_eq!(status.anchors[0].anchored, None);
    assert_eq!(status.not_anchored(), status.last);

    std::fs::create_dir(&elsewhere).expect("a folder");
    let status = journal.close().expect("closed in order");
    assert_eq!(status.anchors[0].failing, None);
    assert_eq!(status.not_anchored(), 1, "the last head itself");
}
