//! The servers themselves, asked by a client that has no code of the box: they do what the other tests rely on.

use std::{path::Path, time::Duration};

use tests::{Authority, Dialect, Fault, Identity, Server, TRITON, eventually, interpreter};

/// What a `scale` answers to the question of ask.py.
const SCALED: &str = "doubled\tFP32\t[1]\t[3.0]\nnext\tUINT8\t[2]\t[8, 0]\nnegated\tINT64\t[1]\t[1099511627776]\n";

struct Asked {
    answered: bool,
    said: String,
}

fn asked(server: &Server, python: &Path, client: Option<&Identity>, question: &[&str]) -> Asked {
    let output = server.ask(python, question, client);
    let text = if output.status.success() { output.stdout } else { output.stderr };
    Asked { answered: output.status.success(), said: String::from_utf8(text).expect("it prints UTF-8") }
}

#[test]
fn triton_answers_who_has_a_certificate_of_the_jurisdiction() {
    let Some(python) = interpreter("Triton by certificate") else { return };
    let jurisdiction = Authority::new("jp");
    let client = jurisdiction.client("spiffe://factory.jp/box/1");
    let elsewhere = Authority::new("elsewhere");
    let stranger = elsewhere.client("spiffe://factory.jp/box/1");
    let identity = jurisdiction.addressed_server(TRITON);
    let mut server = Server::triton(&python, &identity, &jurisdiction, &[("scale", "scale")]);
    server.await_ready(&python, Some(&client));
    let right = asked(&server, &python, Some(&client), &["scale", "scale"]);
    assert_eq!(right.said, SCALED);
    let wrong = asked(&server, &python, Some(&stranger), &["scale", "scale"]);
    assert!(!wrong.answered && wrong.said.contains("UNAVAILABLE"), "{}", wrong.said);
    let received = server.received("scale");
    assert_eq!(received.len(), 1, "the stranger's did not arrive: {received:?}");
    // One float, two bytes, one whole number.
    assert_eq!((received[0].id.as_str(), received[0].bytes), ("asked", 4 + 2 + 8));
}

#[test]
fn all_dialects_answer_alike_in_plain_text() {
    let Some(python) = interpreter("all dialects") else { return };
    for dialect in [Dialect::Triton, Dialect::MlServer, Dialect::MlServerTyped] {
        let mut server = Server::plain(&python, dialect, &[("scale", "scale")]);
        server.await_ready(&python, None);
        assert_eq!(asked(&server, &python, None, &["scale", "scale"]).said, SCALED, "{dialect:?}");
        assert_eq!(server.received("scale").len(), 1, "{dialect:?}");
    }
}

#[test]
fn faults_are_what_they_are_called() {
    let Some(python) = interpreter("faults of servers") else { return };
    let mut server = Server::plain(&python, Dialect::Triton, &[("scale", "scale")]);
    server.await_ready(&python, None);
    let faulty = |fault: Fault| {
        server.fault("scale", fault);
        asked(&server, &python, None, &["scale", "scale"])
    };
    assert!(faulty(Fault::Shape).said.starts_with("doubled\tFP32\t[2]\t[3.0, 3.0]\n"));
    assert!(faulty(Fault::Nan).said.starts_with("doubled\tFP32\t[1]\t[nan]\n"));
    assert!(faulty(Fault::Exception).said.contains("asked to fail"));
    let large = faulty(Fault::Large).said;
    let length = large.lines().next().map(|line| line.split('\t').nth(2) == Some("[26214400]"));
    assert_eq!(length, Some(true), "100 MiB");
    let late = faulty(Fault::Delay(Duration::from_secs(12)));
    assert!(late.said.contains("DEADLINE_EXCEEDED"), "ask.py waits ten seconds: {}", late.said);
    eventually("the delayed answer is over", || {
        let right = faulty(Fault::None);
        (right.answered && right.said == SCALED).then_some(())
    });
    assert!(!faulty(Fault::Crash).answered);
    let probe = asked(&server, &python, None, &["ready", "probe"]);
    assert!(probe.answered, "another model's process is its own: {}", probe.said);
}

#[test]
fn what_is_killed_answers_no_more() {
    let Some(python) = interpreter("killed servers") else { return };
    let mut server = Server::plain(&python, Dialect::Triton, &[("scale", "scale")]);
    server.await_ready(&python, None);
    server.kill_stub("scale");
    assert!(!asked(&server, &python, None, &["scale", "scale"]).answered);
    assert!(server.received("scale").is_empty());
    assert!(asked(&server, &python, None, &["ready", "probe"]).answered, "the server lives");
    server.kill();
    assert!(!asked(&server, &python, None, &["scale", "scale"]).answered);
}
