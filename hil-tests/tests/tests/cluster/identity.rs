//! Who does not prove to be a server of the jurisdiction gets not one byte of a request, and the refusal says why.

use engine::HandOffFailure;
use tests::{Authority, Behaviour, ClusterSite, Impostor, Mask, Outcome, TRITON, hand_off_number, interpreter};

/// Turns both ways to an impostor, asks, and turns them back.
fn told(site: &ClusterSite, impostor: &Impostor) -> Outcome {
    for wire in &site.wires {
        wire.turn_to(impostor.address());
    }
    let outcome = site.asker.ask(&site.question());
    for (wire, server) in site.wires.iter().zip(&site.servers) {
        wire.turn_to(server.address());
    }
    outcome
}

fn is_refused(outcome: &Outcome, because: &[HandOffFailure]) -> bool {
    match outcome {
        Outcome::Refused { reason, .. } => because.iter().any(|failure| hand_off_number(*failure) == *reason),
        Outcome::Result { .. } | Outcome::Dropped => false,
    }
}

#[test]
fn no_impostor_hears_a_byte_of_a_request() {
    let Some(python) = interpreter("impostors") else { return };
    let site = ClusterSite::start(&python);
    let other = Authority::new("elsewhere");
    let right = || site.asker.ask(&site.question());
    assert!(matches!(right(), Outcome::Result { .. }), "negative control: the right server is asked");
    let jurisdiction = site.jurisdiction.as_ref().expect("they have certificates");
    let cases = [
        ("another CA", Mask::Tls(&other.server(TRITON), jurisdiction)),
        ("expired", Mask::Tls(&jurisdiction.expired_server(TRITON), jurisdiction)),
        ("another id", Mask::Tls(&jurisdiction.server("spiffe://factory.us/gpu/triton"), jurisdiction)),
        ("plain text", Mask::Plain),
    ]
    .map(|(case, mask)| (case, Impostor::start(&mask, Behaviour::Silent)));
    for (case, impostor) in &cases {
        let outcome = told(&site, impostor);
        let because = [HandOffFailure::Identity, HandOffFailure::NoEndpoint];
        assert!(is_refused(&outcome, &because), "{case}: {outcome:?}");
        assert!(impostor.connections() > 0, "{case}: nobody came, so nothing was shown");
        assert_eq!(impostor.payload(), 0, "{case}: bytes of a request");
        tests::eventually("the right server is asked again", || {
            matches!(right(), Outcome::Result { .. }).then_some(())
        });
    }
}

#[test]
fn a_redirection_is_not_followed() {
    let Some(python) = interpreter("a redirection") else { return };
    let site = ClusterSite::start(&python);
    let elsewhere = Impostor::start(&Mask::Plain, Behaviour::Silent);
    let jurisdiction = site.jurisdiction.as_ref().expect("they have certificates");
    let identity = jurisdiction.server(TRITON);
    let proven = Impostor::start(&Mask::Tls(&identity, jurisdiction), Behaviour::Redirect(elsewhere.address()));
    for wire in &site.wires {
        wire.turn_to(proven.address());
    }
    // Negative control: who is proven is sent requests.
    tests::eventually("a request arrives", || {
        let outcome = site.asker.ask(&site.question());
        assert!(!matches!(outcome, Outcome::Result { .. }), "{outcome:?}");
        (proven.payload() > 0).then_some(())
    });
    assert_eq!((elsewhere.connections(), elsewhere.bytes()), (0, 0));
}
