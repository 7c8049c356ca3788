//! One server of a cluster: its connection, and how it does.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::Notified};

use crate::{
    config::{self, Bounds, Config},
    connection::Connection,
    credentials::Credentials,
    error::{AttemptError, AttemptFailure, ConnectError},
    gate::Destination,
    revocation::Revocation,
    status::{Breaker, EndpointStatus},
    vitals::Vitals,
};

/// One server.
pub(crate) struct Endpoint {
    pub(crate) destination: Destination,
    declared: config::Endpoint,
    credentials: Option<Arc<Credentials>>,
    bounds: Bounds,
    /// So many failures in a row open its breaker.
    most_failures: u32,
    live: Mutex<Option<Arc<Connection>>>,
    /// Held while a connection is made. When the last try failed, and why: who waited for it need not try again.
    connecting: tokio::sync::Mutex<Option<(Instant, ConnectError)>>,
    in_flight: AtomicUsize,
    vitals: Mutex<Vitals>,
    /// Told when its breaker is no longer closed.
    opened: Notify,
    /// Payload.
    let_go: AtomicU64,
    /// On its sockets.
    written: Arc<AtomicU64>,
    revocation: Arc<Revocation>,
}

impl Endpoint {
    pub(crate) fn new(
        declared: config::Endpoint,
        config: &Config,
        credentials: Option<Arc<Credentials>>,
        revocation: Arc<Revocation>,
    ) -> Self {
        Self {
            destination: Destination {
                cluster: Arc::clone(&config.cluster),
                jurisdiction: Arc::clone(&config.jurisdiction),
                endpoint: declared.address(),
                insecure: credentials.is_none(),
            },
            declared,
            credentials,
            bounds: config.bounds,
            most_failures: config.probe.failures,
            live: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            in_flight: AtomicUsize::new(0),
            vitals: Mutex::new(Vitals::new()),
            opened: Notify::new(),
            let_go: AtomicU64::new(0),
            written: Arc::default(),
            revocation,
        }
    }

    /// Its live connection, or a new one, and whether it is new.
    pub(crate) async fn connection(&self) -> Result<(Arc<Connection>, bool), ConnectError> {
        let asked = Instant::now();
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        let mut refused = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok((live, false));
        }
        if let Some((at, why)) = &*refused
            && *at >= asked
        {
            return Err(why.clone());
        }
        let written = Arc::clone(&self.written);
        match Connection::open(&self.declared, self.credentials.as_deref(), &self.bounds, written).await {
            Ok(connection) => {
                let connection = Arc::new(connection);
                self.revocation.know(&connection.cargo);
                *self.slot() = Some(Arc::clone(&connection));
                Ok((connection, true))
            }
            Err(why) => {
                *refused = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Gives up a connection whose identity is no longer what it was.
    pub(crate) fn renew(&self) {
        if let Some(live) = self.live()
            && live.is_outdated(self.credentials.as_deref())
        {
            live.retire();
            drop(self.live());
        }
    }

    /// The live connection; one that no longer is is let go.
    fn live(&self) -> Option<Arc<Connection>> {
        let mut slot = self.slot();
        let old = slot.take_if(|live| !live.is_live());
        let live = slot.clone();
        drop(slot);
        drop(old);
        live
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Connection>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: as many as are allowed are on their way.
    pub(crate) fn enter(self: &Arc<Self>, deadline: Instant, probe: bool) -> Option<Passage> {
        let most = self.bounds.max_in_flight_per_endpoint;
        let enter = |now: usize| (now < most).then_some(now + 1);
        self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        self.vitals().attempts += 1;
        Some(Passage { endpoint: Arc::clone(self), deadline, probe, at_the_gate: false, ended: false })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.vitals().breaker == Breaker::Closed
    }

    /// Ready when its breaker opens after this call.
    pub(crate) fn opened(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// A probe decides whether it may be asked again.
    pub(crate) fn half_open(&self) {
        let mut vitals = self.vitals();
        if vitals.breaker == Breaker::Open {
            vitals.breaker = Breaker::HalfOpen;
        }
    }

    /// Half of its round trips took no longer.
    pub(crate) fn usual(&self) -> Duration {
        self.vitals().quantile(0.5).unwrap_or_default()
    }

    pub(crate) fn last_answer(&self) -> Option<Instant> {
        self.vitals().last_answer
    }

    pub(crate) fn last_failure(&self) -> Option<AttemptError> {
        let why = self.vitals().last_failure.clone()?;
        Some(AttemptError { endpoint: self.destination.endpoint, why })
    }

    pub(crate) fn most_answer_bytes(&self) -> usize {
        self.bounds.max_answer_bytes
    }

    /// So many bytes of payload begin to be sent.
    pub(crate) fn let_go(&self, bytes: u64) {
        self.let_go.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn status(&self) -> EndpointStatus {
        let live = self.live();
        let vitals = self.vitals();
        EndpointStatus {
            endpoint: self.destination.endpoint,
            breaker: vitals.breaker,
            peer: live.map(|live| live.peer.clone()),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            attempts: vitals.attempts,
            answered: vitals.answered,
            failures: vitals.failures(),
            last_failure: vitals.last_failure.clone(),
            round_trip: vitals.round_trip(),
            payload_bytes: self.let_go.load(Ordering::Relaxed),
            socket_bytes: self.written.load(Ordering::Relaxed),
        }
    }

    /// Changes how it does, and tells whoever waits for it where that opens its breaker.
    fn change(&self, change: impl FnOnce(&mut Vitals)) {
        let mut vitals = self.vitals();
        let was_closed = vitals.breaker == Breaker::Closed;
        change(&mut vitals);
        let opens = was_closed && vitals.breaker != Breaker::Closed;
        drop(vitals);
        if opens {
            self.opened.notify_waiters();
        }
    }

    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One attempt on its way to an endpoint. However it ends, it is counted once.
pub(crate) struct Passage {
    endpoint: Arc<Endpoint>,
    deadline: Instant,
    probe: bool,
    /// Policy or journal keep it waiting.
    pub(crate) at_the_gate: bool,
    ended: bool,
}

impl Passage {
    pub(crate) fn answered(mut self, round_trip: Duration) {
        self.ended = true;
        self.endpoint.vitals().answer(round_trip, Instant::now());
    }

    pub(crate) fn failed(mut self, why: &AttemptFailure) {
        self.ended = true;
        self.endpoint.change(|vitals| vitals.fail(why, self.probe, self.endpoint.most_failures));
    }

    /// The gate said no, which says nothing about the endpoint.
    pub(crate) fn refused(mut self) {
        self.ended = true;
        // An attempt is what might have been sent.
        self.endpoint.vitals().attempts -= 1;
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.endpoint.change(|vitals| {
            if !self.ended {
                let expired = Instant::now() >= self.deadline;
                vitals.give_up(expired, !self.at_the_gate, self.probe, self.endpoint.most_failures);
            }
            if self.probe && vitals.breaker == Breaker::HalfOpen {
                vitals.breaker = Breaker::Open;
            }
        });
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
