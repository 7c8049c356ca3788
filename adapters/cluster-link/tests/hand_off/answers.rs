//! What a server may answer, and what becomes of it.

use std::sync::atomic::Ordering;

use cluster_link::{AttemptFailure, BadAnswer, Code, Failure, HandOffError, Kind, Outcome, Security, TensorError};

use crate::{
    server::{Does, Server},
    world::{World, config},
};

fn failure(does: Does) -> Failure {
    let server = Server::start(None, does);
    let world = World::new(config(&[server.address], Security::Insecure));
    let failed = world.ask().expect_err("it is no answer");
    let HandOffError::Failed { attempts: 1, last } = failed else { panic!("{does:?}: {failed:?}") };
    let AttemptFailure::Sent(why) = last.why else { panic!("{does:?}: {last:?}") };
    world.holds_against(&[&server.state]);
    assert_eq!(world.gate.outcomes(), [Some(Outcome::Failed(why.clone()))], "{does:?}");
    let status = &world.link.status()[0];
    assert_eq!((status.attempts, status.answered, status.in_flight), (1, 0, 0));
    let counted: Vec<_> = status.failures.iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [&(Kind::from(&why), 1)], "{does:?}");
    why
}

#[test]
fn raw_and_typed_answers_are_the_same() {
    for does in [Does::Answer, Does::AnswerTyped] {
        let server = Server::start(None, does);
        let world = World::new(config(&[server.address], Security::Insecure));
        let answer = world.ask().expect("an answer");
        assert_eq!(answer.tensors[0].values_fp32().expect("numbers").collect::<Vec<_>>(), [0.0, 1.0]);
        assert_eq!((answer.endpoint, answer.attempts, &*answer.version), (server.address, 1, "1"));
    }
}

#[test]
fn a_redirect_is_not_followed() {
    assert_eq!(failure(Does::Http(301)), Failure::Redirect(301));
    assert_eq!(failure(Does::Http(307)), Failure::Redirect(307));
}

#[test]
fn what_is_no_grpc_says_so() {
    assert_eq!(failure(Does::Http(502)), Failure::Http(502));
    assert_eq!(failure(Does::NotGrpc), Failure::NotGrpc);
}

#[test]
fn a_status_keeps_its_words() {
    let said = "no such model".into();
    assert_eq!(failure(Does::Status(5)), Failure::Status { code: Code::NotFound, said });
    let Failure::Status { code: Code::Unknown, .. } = failure(Does::Status(99)) else { panic!("gRPC has no 99") };
}

#[test]
fn bad_answers_are_refused() {
    assert_eq!(failure(Does::WrongShape), BadAnswer::Shape("y".into()).into());
    let nan = BadAnswer::Values { name: "y".into(), why: TensorError::NotFinite(0) };
    assert_eq!(failure(Does::Nan), nan.into());
    assert_eq!(failure(Does::TrailingGarbage), BadAnswer::Framing.into());
    assert_eq!(failure(Does::Short), BadAnswer::Framing.into());
    assert_eq!(failure(Does::NoTrailers), BadAnswer::Framing.into());
}

#[test]
fn an_answer_that_is_too_long_is_not_read() {
    assert_eq!(failure(Does::Huge), BadAnswer::TooLong { announced: 100 << 20, most: 1 << 20 }.into());
}

#[test]
fn a_server_that_ends_the_connection_mid_send() {
    assert_eq!(failure(Does::CloseMidSend), Failure::Lost);
}

#[test]
fn a_bad_answer_ends_its_call_and_not_the_connection() {
    let server = Server::start(None, Does::Huge);
    let world = World::new(config(&[server.address], Security::Insecure));
    assert!(world.ask().is_err());
    server.state.does(Does::Answer);
    assert!(world.ask().is_ok());
    assert_eq!(server.state.connections.load(Ordering::SeqCst), 1);
}
