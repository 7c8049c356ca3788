//! One-off requests over real sockets: answered as the model answers, refused with a reason, each client for itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use engine::Reason;
use manifest::Manifest;
use onnx_model::{Library, Model, Provider};
use tests::{
    Asker, Books, BoxConfig, Client, Controller, Frame, Genba, Outcome, Said, Stranger, Watched, eventually, judge,
    repository,
};

/// A client that no period holds back.
const FREE: Client = Client { name: "free", min_period_us: 1, arrival_jitter_us: 1_000_000, queue: 8 };
/// One that may ask ten times a second.
const SLOW: Client = Client { name: "slow", min_period_us: 100_000, arrival_jitter_us: 0, queue: 4 };

fn ready(clients: &[Client]) -> (Genba, BoxConfig) {
    let config = BoxConfig { clients: clients.to_vec(), ..BoxConfig::default() };
    (Genba::start(&config), config)
}

fn is_refused(outcome: &Outcome, because: Reason) -> bool {
    match outcome {
        Outcome::Refused { reason, .. } => *reason == because.row().number,
        Outcome::Result { .. } | Outcome::Dropped => false,
    }
}

/// Asks with a valid request, which must be answered.
fn answered(asker: &Asker, books: &mut Books) {
    let outcome = asker.ask(&asker.question());
    books.note(&outcome);
    assert!(matches!(outcome, Outcome::Result { .. }), "{outcome:?}");
}

#[test]
fn a_request_is_answered_with_what_the_model_says() {
    let (genba, config) = ready(&[FREE]);
    let asker = Asker::connect(&genba, &config, "free");
    let manifest = Manifest::load(&repository().join("models").join(config.model)).expect("the model is good");
    let library = Library::load(&Library::find(None).expect("make native")).expect("make native");
    let mut model = Model::load(&library, &manifest, Provider::Cpu).expect("the model is good");
    let mut books = Books::default();
    for step in 0..50_u8 {
        let mut question = asker.question();
        question.values[0] += f32::from(step) * 0.001;
        model.observation_mut().copy_from_slice(&question.values);
        let bare = model.run().expect("the model runs").action().to_vec();
        let outcome = asker.ask(&question);
        books.note(&outcome);
        assert_eq!(outcome, Outcome::Result { request: question.request, values: bare });
    }
    let status = genba.settled();
    books.assert_equal(&status.client("free"));
    assert_eq!(status.total().received, 0, "no observation came");
    println!("{}", String::from_utf8_lossy(&genba.ask(&["status"]).stdout));
}

#[test]
fn refusals_say_why() {
    let (genba, config) = ready(&[FREE, SLOW]);
    let asker = Asker::connect(&genba, &config, "free");
    let mut books = Books::default();
    let question = asker.question();
    let bytes = question.bytes();
    let mut flipped = bytes.clone();
    flipped[60] ^= 1;
    let mut foreign = question.clone();
    foreign.contract = message::ContractDigest::new([7; 16]);
    let mut astray = question.clone();
    astray.address = message::Address::of("slow", "inspect");
    let mut hasty = question.clone();
    hasty.budget_us = 1;
    let mut short = question.clone();
    short.values.pop();
    let mut long = question.clone();
    long.values.push(0.0);
    let mut infinite = question.clone();
    infinite.values[0] = f32::INFINITY;
    let site = genba.site("steady");
    for (bytes, reason) in [
        (Vec::new(), Reason::Truncated),
        (bytes[..40].to_vec(), Reason::Truncated),
        (Frame::of(&site, 1, 1).bytes()[..bytes.len()].to_vec(), Reason::WrongType),
        (flipped, Reason::Checksum),
        (astray.bytes(), Reason::Address),
        (foreign.bytes(), Reason::Contract),
        (short.bytes(), Reason::ValuesLength),
        (infinite.bytes(), Reason::ObservationNotFinite),
        (hasty.bytes(), Reason::Budget),
        (long.bytes(), Reason::TooLarge),
        (vec![0; 64 << 20], Reason::TooLarge),
    ] {
        let outcome = asker.send(bytes).outcome();
        books.note(&outcome);
        assert!(is_refused(&outcome, reason), "{reason} was expected: {outcome:?}");
    }
    answered(&asker, &mut books);

    let slow = Asker::connect(&genba, &config, "slow");
    let mut slows = Books::default();
    answered(&slow, &mut slows);
    eventually("it asks twice within its period", || {
        let soon = slow.ask(&slow.question());
        slows.note(&soon);
        is_refused(&soon, Reason::Period).then_some(())
    });
    let status = genba.settled();
    books.assert_equal(&status.client("free"));
    slows.assert_equal(&status.client("slow"));
}

/// A time of the hanging model, found by asking.
fn iterations(asker: &Asker, books: &mut Books, hang: Duration) -> f32 {
    let mut iterations = 1_000.0;
    loop {
        let begun = Instant::now();
        let outcome = asker.ask(&asker.hanging(iterations));
        books.note(&outcome);
        assert!(matches!(outcome, Outcome::Result { .. }), "{outcome:?}");
        let took = begun.elapsed().as_secs_f32();
        if took > 0.05 {
            return iterations / took * hang.as_secs_f32();
        }
        iterations *= 4.0;
    }
}

#[test]
fn a_request_that_waits_beyond_its_budget_expires() {
    let (genba, config) = ready(&[FREE]);
    let asker = Asker::connect(&genba, &config, "free");
    let mut books = Books::default();
    let hang = iterations(&asker, &mut books, Duration::from_millis(500));
    let busy = asker.send(asker.hanging(hang).bytes());
    let mut question = asker.question();
    question.budget_us = 20_000;
    let outcome = asker.ask(&question);
    books.note(&outcome);
    let Outcome::Refused { request, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!((request, books.expired), (question.request, 1), "{books:?}");
    books.note(&busy.outcome());
    answered(&asker, &mut books);
    books.assert_equal(&genba.settled().client("free"));
}

#[test]
fn what_finds_its_queue_full_is_refused_or_dropped_and_counted() {
    let few = Client { queue: 2, ..FREE };
    let (genba, config) = ready(&[few]);
    let asker = Asker::connect(&genba, &config, "free");
    let mut books = Books::default();
    let hang = iterations(&asker, &mut books, Duration::from_millis(500));
    let all: Vec<_> = [hang].into_iter().chain([0.0; 50]).map(|hang| asker.send(asker.hanging(hang).bytes())).collect();
    let before = books.answered;
    for outcome in all.into_iter().map(tests::Asked::outcome) {
        books.note(&outcome);
    }
    println!("{books:?}");
    assert!((3..20).contains(&(books.answered - before)), "the one that runs and those that wait: {books:?}");
    books.assert_equal(&genba.settled().client("free"));
}

#[test]
fn a_box_that_drains_refuses_new_requests_and_answers_open_ones() {
    let (mut genba, config) = ready(&[FREE]);
    let asker = Asker::connect(&genba, &config, "free");
    let mut books = Books::default();
    let hang = iterations(&asker, &mut books, Duration::from_secs(1));
    let open = asker.send(asker.hanging(hang).bytes());
    eventually("it is in flight", || (genba.status().client("free").in_flight == 1).then_some(()));
    genba.signal(libc::SIGTERM);
    // Until the signal is seen, further ones wait behind the one that is open.
    let mut waiting = Vec::new();
    let last = eventually("one is refused since the box drains", || {
        let further = asker.send(asker.question().bytes());
        thread::sleep(Duration::from_millis(60));
        if genba.log().contains("SIGTERM") {
            return Some(further);
        }
        waiting.push(further);
        None
    });
    let outcomes: Vec<_> = waiting.into_iter().map(tests::Asked::outcome).collect();
    let last = last.outcome();
    assert!(matches!(open.outcome(), Outcome::Result { .. }), "what was open is answered");
    assert!(is_refused(&last, Reason::Draining), "{outcomes:?}, {last:?}");
    assert!(genba.ended().success());
}

/// Invariant 6: one client that floods costs no other one an answer.
#[test]
fn a_client_that_floods_takes_nothing_from_another() {
    let calm = Client { name: "calm", ..FREE };
    let (genba, config) = ready(&[SLOW, calm]);
    let flooding = Asker::connect(&genba, &config, "slow");
    let flood = thread::spawn(move || flood(&flooding, Duration::from_secs(4)));
    let calm = Asker::connect(&genba, &config, "calm");
    let (mut calms, mut longest) = (Books::default(), Duration::ZERO);
    while !flood.is_finished() {
        let begun = Instant::now();
        answered(&calm, &mut calms);
        longest = longest.max(begun.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    let floods = flood.join().expect("the flood ends");
    let status = genba.settled();
    println!("the flood: {floods:?}; beside it {} requests, all answered, the slowest in {longest:?}", calms.sent);
    assert!(floods.sent > 1_000 && calms.sent > 20, "{floods:?} {calms:?}");
    assert!((10..=50).contains(&floods.answered), "ten a second, at most: {floods:?}");
    floods.assert_equal(&status.client("slow"));
    calms.assert_equal(&status.client("calm"));
}

/// Invariant 6: nor does it cost a robot one.
#[test]
fn a_client_that_floods_costs_a_robot_no_answer_by_the_model() {
    let (genba, config) = ready(&[SLOW]);
    let controller = Controller::connect(&genba, "steady");
    let flooding = Asker::connect(&genba, &config, "slow");
    let before = genba.settled();
    let watched = Watched::beside(&before);
    let controller = controller.start();
    let floods = flood(&flooding, Duration::from_secs(3));
    let (account, _controller) = controller.stop();
    let machine = watched.stop();
    let status = genba.settled();
    let counts = status.of("steady");
    println!("the flood: {floods:?}; the robot: {counts:?}");
    floods.assert_equal(&status.client("slow"));
    let lost = account.lost(&counts);
    judge(&account.windows_of_the_model(), lost, &machine).settle("a flood of requests beside a robot");
}

/// Some 2000 requests a second, whatever becomes of them.
fn flood(asker: &Asker, lasts: Duration) -> Books {
    let (mut books, begun) = (Books::default(), Instant::now());
    let mut open = Vec::new();
    while begun.elapsed() < lasts {
        open.extend((0..20).map(|_| asker.send(asker.question().bytes())));
        thread::sleep(Duration::from_millis(10));
    }
    for asked in open {
        books.note(&asked.outcome());
    }
    books
}

#[test]
fn a_client_that_went_away_is_still_accounted_for_and_disturbs_nobody() {
    let other = Client { name: "other", ..FREE };
    let (genba, config) = ready(&[FREE, other]);
    let (gone, stays) = (Asker::connect(&genba, &config, "free"), Asker::connect(&genba, &config, "other"));
    let mut books = Books::default();
    let hang = iterations(&gone, &mut books, Duration::from_millis(300));
    let asked = [gone.send(gone.hanging(hang).bytes()), gone.send(gone.question().bytes())];
    eventually("both are in flight", || (genba.status().client("free").in_flight == 2).then_some(()));
    gone.leave();
    drop(asked);
    answered(&stays, &mut Books::default());
    let of_box = genba.settled().client("free");
    assert_eq!((of_box.received, of_box.answered), (books.sent + 2, books.answered + 2), "{of_box:?}");
    assert!(genba.is_alive());
}

#[test]
fn check_says_whom_a_request_may_hold_up() {
    let (genba, _config) = ready(&[SLOW]);
    let found = genba.ask(&["check", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).expect("check prints JSON");
    let clients = found["tasks"][1]["clients"].as_array().expect("the task has clients");
    let expected = serde_json::json!([{
        "client": "slow",
        "infer_key": "test/cell/slow/inspect/infer",
        "min_period_us": 100_000,
        "queue": 4,
        "may_hold_up": ["track"],
    }]);
    assert_eq!(*clients, *expected.as_array().expect("an array"));
    let said = String::from_utf8(genba.ask(&["check"]).stdout).expect("it speaks UTF-8");
    let line = "client    slow: test/cell/slow/inspect/infer, at most each 100.000 ms; how long a request may hold up track \
                was not measured";
    assert!(said.lines().any(|said| said == line), "{said}");
}

#[test]
fn a_query_on_a_topic_is_refused_beside_clients_as_before() {
    let (genba, _config) = ready(&[FREE]);
    let site = genba.site("steady");
    let stranger = Stranger::connect(&genba, &site);
    let refused = stranger.query(&site.observation_key).expect_err("a topic is no service");
    assert_eq!(refused.said, Said::Refusal(Reason::QueryOnTopic.row().number));
    let status = genba.settled();
    assert_eq!(status.requests(), (1, 1));
    assert_eq!(status.client("free").received, 0, "it is no client's");
}
