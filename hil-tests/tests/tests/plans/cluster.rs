//! The same plans from a cluster, behind a wire that takes its time: Triton answers, with mutual TLS.

use std::{fs, path::Path, thread, time::Duration};

use engine::Reason;
use message::Place;
use tests::{
    Authority, BoxConfig, Course, Genba, Server, TRITON, Way, Wire, cluster_section, follow, home_policy, interpreter,
    repository,
};

use crate::{course, each_is_answered_by_the_step_of_its_instant, planner, ridden, settled, stood_still};

/// The task's model, as every test's box calls it.
const MODEL: &str = "policy";

/// For each round trip that the wire adds, what the tool keeps to: twice what `models/ur5e-planner/plans.json` has.
const WITHIN_MM: [(u64, f64); 3] = [(50, 10.0), (150, 22.0), (300, 55.0)];

#[test]
fn plans_from_a_cluster_keep_the_tool_on_the_part_whatever_the_round_trip() {
    let Some(site) = Site::start("plans from a cluster") else { return };
    for (epoch, (delay_ms, within_mm)) in (1..).zip(WITHIN_MM) {
        site.wire.delay(Duration::from_millis(delay_ms));
        let ride = ridden(&site.genba, &format!("plans, {delay_ms} ms"), &course(Way::Plans, epoch));
        each_is_answered_by_the_step_of_its_instant(&ride, Place::Cluster);
        if stood_still(&ride) {
            continue;
        }
        assert_eq!(ride.lost_ms, None, "{delay_ms} ms");
        assert!(ride.rms_mm(settled) < within_mm, "{delay_ms} ms: {} mm", ride.rms_mm(settled));
    }
}

#[test]
fn a_cut_that_is_longer_than_the_horizon_is_answered_by_fallbacks_and_the_plans_come_back() {
    let Some(site) = Site::start("a cut while plans are played") else { return };
    site.wire.delay(Duration::from_millis(50));
    let course = Course { length_ms: 12_000, ends_lost: false, ..course(Way::Plans, 1) };
    let ride = thread::scope(|scope| {
        let wire = &site.wire;
        scope.spawn(move || {
            thread::sleep(Duration::from_secs(4));
            wire.cut();
            thread::sleep(Duration::from_secs(2));
            wire.heal();
        });
        follow(&site.genba, &site.genba.site("steady"), &course)
    });
    assert_eq!(ride.unanswered(), 0);
    let ran_out = ride.fallbacks(Reason::PlanRanOut.row().number);
    println!("a cut of 2 s: {ran_out} fallbacks, {:.2} mm RMS at the end", ride.rms_mm(|ms| ms > 10_000));
    assert!(ran_out > 0, "the plan ran out");
    let last = ride.answers.last().expect("there are answers");
    assert_eq!((last.fallback, last.place), (None, Some(Place::Cluster)), "plans are played again: {last:?}");
    if stood_still(&ride) {
        return;
    }
    assert!(ride.rms_mm(|ms| ms > 10_000) < WITHIN_MM[0].1, "{} mm", ride.rms_mm(|ms| ms > 10_000));
}

/// A box whose task's model is on a cluster of one Triton behind a wire.
struct Site {
    genba: Genba,
    wire: Wire,
    /// Ends with this value.
    _server: Server,
    /// Its folder holds everybody's certificates.
    _jurisdiction: Authority,
}

impl Site {
    /// `None`, noted as skipped, where this machine has no Triton.
    fn start(test: &str) -> Option<Self> {
        let python = interpreter(test)?;
        let jurisdiction = Authority::new("jp");
        let (identity, client) =
            (jurisdiction.addressed_server(TRITON), jurisdiction.client("spiffe://factory.jp/box/1"));
        let model = repository().join("models/ur5e-planner/model.onnx").display().to_string();
        let mut server = Server::triton(&python, &identity, &jurisdiction, &[(MODEL, &model)]);
        server.await_ready(&python, Some(&client));
        let wire = Wire::to(server.address());
        let endpoints = [wire.address().to_string()];
        let declared = cluster_section(&endpoints, &[MODEL], (&jurisdiction, &client), (500, 450));
        let prepare = |config: &Path| {
            let written = fs::read_to_string(config).expect("the config is there");
            fs::write(config, written + &declared).expect("the folder can be written");
            let policy = config.parent().expect("it is in a folder").join("policy.toml");
            fs::write(policy, home_policy(&[("synthetic", "public"), ("joint-state", "internal")]))
                .expect("the folder can be written");
            true
        };
        let options = "plan = { interpolation = \"cubic\", blend_ms = 40, refresh_ms = 40 }\n\
                       data = { observation = \"joint-state/internal\" }";
        let config = BoxConfig { task_options: options, ..planner() };
        let genba = Genba::start_if(&config, prepare).expect("nothing speaks against it");
        Some(Self { genba, wire, _server: server, _jurisdiction: jurisdiction })
    }
}
