//! A box beside `MLServer`, the other dialect: in plain text, on this machine only, and told as that everywhere.

use std::{collections::BTreeSet, fs, time::Duration};

use engine::{HandOffFailure, Reason};
use message::{Place, Status};
use serde_json::Value;
use tests::{ClusterSite, Dialect, Fault, Outcome, Told, eventually, hand_off_number, interpreter};

/// How many values a request has; the model answers with twice the first six, and fails unless the last is 0 or 1.
const OBSERVED: usize = 21;
const ANSWERED: usize = 6;

/// What a request begins with: zero, both signs, what no single bit of a decimal holds, large and small ones.
const ASKED: [[f32; ANSWERED]; 4] = [
    [0.0, -0.0, 0.0, 0.0, 0.0, 0.0],
    [1.0, -2.0, 3.5, -4.25, 0.1, -0.3],
    [499_999.0, -499_999.0, 16_777_217.0 / 64.0, 1.0e-30, -1.0e-30, 0.0],
    [0.333_333_34, -0.666_666_7, 1.0e-7, -1.0e5, 12_345.678, -1.0],
];

/// What one client asked and was told.
#[derive(Default)]
struct Asking {
    asked: u64,
    answered: u64,
}

impl Asking {
    fn ask(&mut self, site: &ClusterSite, begins: &[f32; ANSWERED]) -> Told {
        let mut question = site.question();
        question.values = vec![0.0; OBSERVED];
        question.values[..ANSWERED].copy_from_slice(begins);
        let told = site.asker.send(question.bytes()).told().expect("it is replied to");
        self.asked += 1;
        if let Outcome::Result { request, values } = &told.outcome {
            self.answered += 1;
            assert_eq!(*request, question.request);
            assert_eq!(*values, begins.map(|value| value * 2.0), "a wrong answer was handed on");
        }
        told
    }
}

#[test]
fn mlserver_answers_a_client_and_every_report_says_that_it_proved_nothing() {
    answers_a_client(Dialect::MlServer, "a box beside MLServer");
}

#[test]
fn mlserver_that_answers_typed_is_read_alike() {
    answers_a_client(Dialect::MlServerTyped, "a box beside MLServer that answers typed");
}

fn answers_a_client(dialect: Dialect, test: &str) {
    let Some(python) = interpreter(test) else { return };
    let site = ClusterSite::insecure(&python, dialect);
    let mut asking = Asking::default();
    for begins in &ASKED {
        let told = asking.ask(&site, begins);
        assert!(matches!(told.outcome, Outcome::Result { .. }), "{told:?}");
        assert_eq!(told.place, Some(Place::Cluster));
        assert!(told.status.contains(Status::INSECURE), "{told:?}");
    }
    assert_eq!(site.assert_equal_lists(asking.asked, asking.answered), ASKED.len());
    let warning = Reason::LinkInsecure.to_string();
    is_said_by_check(&site, &warning);
    is_said_by_status(&site);
    assert!(site.genba.log().contains(&warning), "{}", site.genba.log());
    assert_eq!(peers(&site), BTreeSet::from(["{\"insecure\":{}}".to_owned()]), "the journal");
}

#[test]
fn what_mlserver_answers_wrongly_is_a_typed_refusal_and_the_next_right_answer_counts_again() {
    refuses_what_is_wrong(Dialect::MlServer, "wrong answers of MLServer");
}

#[test]
fn what_is_wrong_in_a_typed_answer_is_refused_alike() {
    refuses_what_is_wrong(Dialect::MlServerTyped, "wrong answers of MLServer that answers typed");
}

fn refuses_what_is_wrong(dialect: Dialect, test: &str) {
    let Some(python) = interpreter(test) else { return };
    let site = ClusterSite::insecure(&python, dialect);
    let mut asking = Asking::default();
    for (fault, failure) in [
        (Fault::Shape, HandOffFailure::WrongAnswer),
        (Fault::Nan, HandOffFailure::WrongAnswer),
        (Fault::Exception, HandOffFailure::Cluster),
    ] {
        site.servers[0].fault("double", fault);
        // A probe may find out first: then nobody is asked.
        let reasons = [failure, HandOffFailure::NoEndpoint].map(hand_off_number);
        eventually("the failure is told by its name", || {
            let told = asking.ask(&site, &ASKED[1]);
            let Outcome::Refused { reason, .. } = told.outcome else { panic!("{fault:?}: {told:?}") };
            assert!(reasons.contains(&reason), "{fault:?}: E-{reason}");
            assert_eq!(told.place, None);
            assert!(told.status.contains(Status::INSECURE), "{told:?}");
            mended(&site, fault, reason == reasons[0], &mut asking)
        });
    }
    let attempts = site.assert_equal_lists(asking.asked, asking.answered);
    println!("{test}: {} asked, {} answered, {attempts} attempts recorded and received", asking.asked, asking.answered);
}

/// Mends the server and waits until it answers again: then the fault comes back, unless it was told by its name.
fn mended(site: &ClusterSite, fault: Fault, told: bool, asking: &mut Asking) -> Option<()> {
    site.servers[0].fault("double", Fault::None);
    eventually("a right answer counts again", || {
        // Nobody is asked before a probe was answered.
        std::thread::sleep(Duration::from_millis(50));
        matches!(asking.ask(site, &ASKED[1]).outcome, Outcome::Result { .. }).then_some(())
    });
    if !told {
        site.servers[0].fault("double", fault);
    }
    told.then_some(())
}

fn is_said_by_check(site: &ClusterSite, warning: &str) {
    let output = site.genba.ask(&["check", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).expect("check prints JSON");
    let warnings = found["warnings"].as_array().expect("it has warnings");
    let of_it = |one: &Value| one.as_str().is_some_and(|one| one.starts_with(warning) && one.contains("tokyo"));
    assert!(warnings.iter().any(of_it), "{found}");
}

fn is_said_by_status(site: &ClusterSite) {
    let status = site.genba.status();
    assert_eq!(status.cluster()["insecure"], true, "{}", status.cluster());
    assert_eq!(status.cluster()["endpoints"][0]["peer"], "nobody proved anything");
    let output = site.genba.ask(&["status"]);
    let said = String::from_utf8(output.stdout).expect("it prints UTF-8");
    assert!(said.contains("cluster tokyo in jp, INSECURE: in plain text to this machine"), "{said}");
}

/// Whom the journal names as the other end, in all intents.
fn peers(site: &ClusterSite) -> BTreeSet<String> {
    let folder = fs::read_dir(site.genba.folder().join("journal")).expect("there is a journal").flatten();
    let files = folder.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let text: String = files.map(|path| fs::read_to_string(path).expect("the journal is text")).collect();
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let intents = records.filter_map(|line| line["record"].get("intent").cloned());
    intents.map(|intent| intent["peer"].to_string()).collect()
}
