//! One of two servers fails, each in its way: its clients are answered by the other, the robot beside misses nothing, and
//! what box, journal and servers wrote down agrees.

use std::{
    thread,
    time::{Duration, Instant},
};

use tests::{ClusterSite, Controller, FOUND_OUT, Fault, Outcome, PATIENCE, Watched, interpreter, judge};

/// Requests before and after.
const AROUND: u64 = 5;

/// Asks once: whether it was answered, and rightly.
fn answered(site: &ClusterSite) -> bool {
    let question = site.question();
    let doubled: Vec<f32> = question.values[..6].iter().map(|value| value * 2.0).collect();
    match site.asker.ask(&question) {
        Outcome::Result { values, .. } => {
            assert_eq!(values, doubled, "a wrong answer was handed on");
            true
        }
        Outcome::Refused { .. } | Outcome::Dropped => false,
    }
}

/// Lets the preferred server fail, and judges what follows. `lasts` is how long clients go on asking.
fn survives(test: &str, lasts: Duration, fail: impl FnOnce(&mut ClusterSite), mend: impl FnOnce(&mut ClusterSite)) {
    let Some(python) = interpreter(test) else { return };
    let mut site = ClusterSite::start(&python);
    let controller = Controller::connect(&site.genba, "steady");
    let watched = Watched::beside(&site.genba.status());
    let working = controller.start();
    working.await_more(200);
    let (mut asked, mut right) = (0, 0);
    for _ in 0..AROUND {
        asked += 1;
        right += u64::from(answered(&site));
    }
    assert_eq!(right, AROUND, "a cluster that is well answers");
    let before = site.servers[0].received("double").len();
    assert!(before > 0, "the preferred server was asked: {before}");
    fail(&mut site);
    let begun = Instant::now();
    let (mut failed_late, mut after) = (Vec::new(), 0);
    while begun.elapsed() < lasts || (after < AROUND && begun.elapsed() < PATIENCE) {
        let at = begun.elapsed();
        asked += 1;
        if answered(&site) {
            after += 1;
        } else if at > FOUND_OUT {
            failed_late.push(at);
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(after >= AROUND, "{test}: {after} answered within {PATIENCE:?}");
    right += after;
    mend(&mut site);
    working.await_more(200);
    let (account, _controller) = working.stop();
    let machine = watched.stop();
    println!("{test}: {asked} asked, {right} answered, failed although a probe had found out: {failed_late:?}");
    assert!(failed_late.is_empty(), "{test}: a probe had found out, and still they failed: {failed_late:?}");
    site.assert_ledgers(asked, right);
    let lost = account.lost(&site.genba.settled().of("steady"));
    judge(&account.windows(), lost, &machine).settle(test);
}

const A_WHILE: Duration = Duration::from_secs(2);

#[test]
fn a_server_is_killed() {
    survives("a killed server", A_WHILE, |site| site.servers[0].kill(), |_| ());
}

#[test]
fn the_process_of_its_model_is_killed() {
    survives("a killed stub", A_WHILE, |site| site.servers[0].kill_stub("double"), |_| ());
}

#[test]
fn its_network_is_cut_for_ten_seconds() {
    let lasts = Duration::from_secs(10);
    survives("a cut network", lasts, |site| site.wires[0].cut(), |site| site.wires[0].heal());
}

#[test]
fn its_answers_are_delayed_by_five_seconds() {
    faulty("answers delayed by 5 s", Fault::Delay(Duration::from_secs(5)));
}

#[test]
fn its_answers_have_a_wrong_shape() {
    faulty("answers of a wrong shape", Fault::Shape);
}

#[test]
fn its_answers_are_not_numbers() {
    faulty("answers that are not numbers", Fault::Nan);
}

#[test]
fn its_answers_have_a_hundred_mebibytes() {
    faulty("answers of 100 MiB", Fault::Large);
}

fn faulty(test: &str, fault: Fault) {
    survives(
        test,
        A_WHILE,
        |site| site.servers[0].fault("double", fault),
        |site| site.servers[0].fault("double", Fault::None),
    );
}
