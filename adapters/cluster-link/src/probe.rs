//! Whether an endpoint answers, while nobody asks it: a request like any other, through the same gate, with declared values.
//! A server that says it is ready may refuse every call.

use std::{sync::Arc, time::Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::{sleep_until, timeout_at};

use crate::{HandOffId, Purpose, Request, endpoint::Endpoint, gate::Gate, link::Shared};

/// Probes an endpoint a period after its last answer or probe, for ever.
pub(crate) async fn watch<G: Gate>(shared: Arc<Shared<G>>, endpoint: Arc<Endpoint>) {
    let period = shared.config.probe.period;
    let mut probed: Option<Instant> = None;
    loop {
        endpoint.renew();
        let answered = endpoint.last_answer().filter(|_| endpoint.is_closed());
        let due = probed.max(answered).map_or_else(Instant::now, |last| last + period);
        if due > Instant::now() {
            sleep_until(due.into()).await;
            continue;
        }
        probed = Some(Instant::now());
        probe(&shared, &endpoint).await;
    }
}

async fn probe<G: Gate>(shared: &Shared<G>, endpoint: &Arc<Endpoint>) {
    let declared = &shared.config.probe;
    let mut id = [0; 16];
    if SystemRandom::new().fill(&mut id).is_err() {
        return; // Then there is no TLS either.
    }
    let request = Request {
        id: HandOffId(u128::from_le_bytes(id)),
        task: Arc::clone(&shared.config.cluster),
        purpose: Purpose::Probe,
        model: Arc::clone(&declared.model),
        version: Arc::clone(&declared.version),
        priority: None,
        deadline: Instant::now() + declared.timeout,
        inputs: declared.inputs.clone(),
        outputs: Arc::clone(&declared.outputs),
    };
    // It is busy: whoever keeps it so tells how it does.
    let Some(passage) = endpoint.enter(request.deadline, true) else { return };
    endpoint.half_open();
    // The endpoint's own counts hold what came of it.
    let attempt = shared.attempt(&request, endpoint, passage, 1);
    drop(timeout_at(request.deadline.into(), attempt).await);
}
