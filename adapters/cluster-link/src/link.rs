//! A cluster, as the box uses it: one call that ends by its deadline, whatever its endpoints do.

use std::{
    error::Error,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use tokio::{task::AbortHandle, time::timeout_at};

use crate::{
    Answer, Request, answer,
    attempt::{Ruled, Stop},
    config::{Config, Security},
    credentials::Credentials,
    driver::Runtime,
    endpoint::{Endpoint, Passage},
    error::{AttemptError, AttemptFailure, ConfigError, ConnectError, Failure, HandOffError, NotSent},
    gate::{Carried, Gate},
    probe,
    revocation::Revocation,
    status::EndpointStatus,
};

/// A request that has expired says so by itself; that much later its caller stops waiting for it to say so.
const GRACE: Duration = Duration::from_millis(5);

/// An open cluster. Its clones are the same one; dropping the last ends its probes and its connections.
pub struct Link<G: Gate> {
    owner: Arc<Owner<G>>,
}

struct Owner<G: Gate> {
    shared: Arc<Shared<G>>,
    probes: Vec<AbortHandle>,
    runtime: Runtime,
}

/// What requests and probes share.
pub(crate) struct Shared<G: Gate> {
    pub(crate) config: Config,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    gate: Arc<G>,
    revocation: Arc<Revocation>,
    in_flight: AtomicUsize,
}

impl<G: Gate> Link<G> {
    /// Reads the credentials once, and begins to probe. Nothing is sent before the driver runs.
    ///
    /// # Errors
    /// A declaration that cannot work, or credentials that cannot be used.
    pub fn open(runtime: &Runtime, config: Config, gate: Arc<G>) -> Result<Self, ConfigError> {
        config.check()?;
        let credentials = match &config.security {
            Security::Mutual(files) => Some(Arc::new(Credentials::read(files.clone())?)),
            Security::Insecure => None,
        };
        let revocation = Arc::new(Revocation::default());
        let endpoint = |declared: &crate::config::Endpoint| {
            Arc::new(Endpoint::new(declared.clone(), &config, credentials.clone(), Arc::clone(&revocation)))
        };
        let endpoints: Vec<_> = config.endpoints.iter().map(endpoint).collect();
        let shared = Arc::new(Shared { endpoints, gate, revocation, in_flight: AtomicUsize::new(0), config });
        let probe = |endpoint: &Arc<Endpoint>| {
            let watch = probe::watch(Arc::clone(&shared), Arc::clone(endpoint));
            runtime.handle().spawn(watch).abort_handle()
        };
        let probes = shared.endpoints.iter().map(probe).collect();
        Ok(Self { owner: Arc::new(Owner { shared, probes, runtime: runtime.clone() }) })
    }

    /// Hands a request off, and waits for its answer until its deadline, on the driver's runtime. Dropped before, it is
    /// cancelled at the server.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn infer(&self, request: Request) -> Result<Answer, HandOffError<G::Refusal>> {
        self.owner.shared.infer(&request).await
    }

    /// The same for a thread that may block, which must not be the driver's. It returns by the deadline.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn infer_blocking(&self, request: Request) -> Result<Answer, HandOffError<G::Refusal>> {
        let (shared, deadline) = (Arc::clone(&self.owner.shared), request.deadline);
        let (told, hear) = mpsc::sync_channel(1);
        let handed_off = self.owner.runtime.handle().spawn(async move {
            // Nobody waits: nobody hears.
            drop(told.send(shared.infer(&request).await));
        });
        let wait = deadline.saturating_duration_since(Instant::now()) + GRACE;
        hear.recv_timeout(wait).unwrap_or_else(|why| {
            handed_off.abort();
            Err(match why {
                mpsc::RecvTimeoutError::Timeout => HandOffError::Expired { attempts: 0, last: None },
                mpsc::RecvTimeoutError::Disconnected => HandOffError::Closed,
            })
        })
    }

    /// Cuts each connection that carried something that no longer `holds`, and returns how many: not one byte of it
    /// leaves the box after that. What was ruled before is ruled again before it is sent. So: first let
    /// [`Gate::rule`] answer by the new policy, then call this, then record that the policy changed. From any thread;
    /// `holds` must not call the link.
    pub fn revoke(&self, holds: impl FnMut(&Carried) -> bool) -> usize {
        self.owner.shared.revocation.revoke(holds)
    }

    /// How its endpoints do, in their declared order.
    #[must_use]
    pub fn status(&self) -> Vec<EndpointStatus> {
        self.owner.shared.endpoints.iter().map(|endpoint| endpoint.status()).collect()
    }
}

impl<G: Gate> Clone for Link<G> {
    fn clone(&self) -> Self {
        Self { owner: Arc::clone(&self.owner) }
    }
}

impl<G: Gate> Drop for Owner<G> {
    fn drop(&mut self) {
        self.probes.iter().for_each(AbortHandle::abort);
    }
}

/// How far a request came.
#[derive(Default)]
struct Progress {
    attempts: u32,
    last: Option<AttemptError>,
    /// One may have arrived, and was not answered.
    unanswered: bool,
    /// The endpoints that it was tried on.
    tried: Vec<usize>,
}

impl<G: Gate> Shared<G> {
    async fn infer(&self, request: &Request) -> Result<Answer, HandOffError<G::Refusal>> {
        let _place = Place::take(&self.in_flight, self.config.bounds.max_in_flight)
            .ok_or(HandOffError::TooManyInFlight { most: self.config.bounds.max_in_flight })?;
        let mut progress = Progress::default();
        let result = timeout_at(request.deadline.into(), self.attempts(request, &mut progress)).await;
        let attempts = progress.attempts;
        match result {
            Ok(Err(why)) if progress.unanswered && nothing_was_sent(&why) => {
                Err(HandOffError::InDoubt { attempts, why: Box::new(why) })
            }
            Ok(ended) => ended,
            Err(_) => Err(HandOffError::Expired { attempts, last: progress.last }),
        }
    }

    async fn attempts(&self, request: &Request, progress: &mut Progress) -> Result<Answer, HandOffError<G::Refusal>> {
        loop {
            let (place, passage) = self.choose(request, progress)?;
            let endpoint = &self.endpoints[place];
            let pause = self.pause(place, progress);
            if request.deadline.saturating_duration_since(Instant::now()) <= pause + endpoint.usual() {
                passage.refused();
                return Err(HandOffError::Expired { attempts: progress.attempts, last: progress.last.take() });
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            progress.attempts += 1;
            progress.tried.push(place);
            let Some(ended) = self.attempt_while_up(request, place, passage, progress).await else {
                progress.unanswered = true;
                progress.last = endpoint.last_failure();
                continue;
            };
            match ended {
                Ok(answer) => return Ok(answer),
                Err(Stop::Refused(refusal)) => return Err(HandOffError::Refused(refusal)),
                Err(Stop::Unsendable(why)) => return Err(HandOffError::Unsendable(why)),
                Err(Stop::Failed(why)) => {
                    let again = may_be_tried_again(&why) && progress.attempts < self.config.retry.attempts;
                    progress.unanswered |= matches!(why, AttemptFailure::Sent(Failure::Lost));
                    let last = AttemptError { endpoint: endpoint.destination.endpoint, why };
                    if !again {
                        return Err(HandOffError::Failed { attempts: progress.attempts, last });
                    }
                    progress.last = Some(last);
                }
            }
        }
    }

    /// `None`: the endpoint's breaker opened while it had not answered, and another one may be asked in its place.
    async fn attempt_while_up(
        &self,
        request: &Request,
        place: usize,
        passage: Passage,
        progress: &Progress,
    ) -> Option<Result<Answer, Stop<G::Refusal>>> {
        let endpoint = &self.endpoints[place];
        let opened = endpoint.opened();
        let mut attempt = pin!(self.attempt(request, endpoint, passage, progress.attempts));
        tokio::select! {
            biased;
            ended = &mut attempt => return Some(ended),
            () = opened => {}
        }
        let left = request.deadline.saturating_duration_since(Instant::now());
        let may_ask = |(other, endpoint): (usize, &Arc<Endpoint>)| {
            other != place && endpoint.is_closed() && left > self.pause(other, progress) + endpoint.usual()
        };
        if progress.attempts < self.config.retry.attempts && self.endpoints.iter().enumerate().any(may_ask) {
            return None;
        }
        // Nobody else is there: a late answer is better than none.
        Some(attempt.await)
    }

    /// The first endpoint in the declared order that may be asked; one that was not tried comes first.
    fn choose(&self, request: &Request, progress: &Progress) -> Result<(usize, Passage), HandOffError<G::Refusal>> {
        let mut closed: Vec<usize> =
            (0..self.endpoints.len()).filter(|place| self.endpoints[*place].is_closed()).collect();
        if closed.is_empty() {
            let last = progress.last.clone();
            return Err(match last {
                Some(last) => HandOffError::Failed { attempts: progress.attempts, last },
                None => HandOffError::NoEndpoint { last: self.endpoints.iter().find_map(|one| one.last_failure()) },
            });
        }
        closed.sort_by_key(|place| progress.tried.iter().filter(|tried| *tried == place).count());
        let enter = |place: usize| Some((place, self.endpoints[place].enter(request.deadline, false)?));
        let most = self.config.bounds.max_in_flight_per_endpoint;
        closed.into_iter().find_map(enter).ok_or(HandOffError::TooManyInFlight { most })
    }

    /// None before an endpoint that was not tried; it doubles with each time that it was.
    fn pause(&self, place: usize, progress: &Progress) -> Duration {
        let tried = u32::try_from(progress.tried.iter().filter(|tried| **tried == place).count()).unwrap_or(u32::MAX);
        let doubled = tried.checked_sub(1).map(|times| 2_u32.saturating_pow(times));
        doubled.map(|factor| self.config.retry.pause.saturating_mul(factor)).unwrap_or_default()
    }

    /// One attempt; it ends at the request's deadline only if its caller drops it there.
    pub(crate) async fn attempt(
        &self,
        request: &Request,
        endpoint: &Endpoint,
        mut passage: Passage,
        number: u32,
    ) -> Result<Answer, Stop<G::Refusal>> {
        let result = self.steps(request, endpoint, &mut passage, number).await;
        match &result {
            Ok(answer) => passage.answered(answer.round_trip),
            Err(Stop::Failed(why)) => passage.failed(why),
            Err(Stop::Refused(_) | Stop::Unsendable(_)) => passage.refused(),
        }
        result
    }

    async fn steps(
        &self,
        request: &Request,
        endpoint: &Endpoint,
        passage: &mut Passage,
        number: u32,
    ) -> Result<Answer, Stop<G::Refusal>> {
        let ruled = Ruled::ask(&*self.gate, request, endpoint, &self.revocation)?;
        let proven = ruled.prove(endpoint).await?;
        passage.at_the_gate = true;
        let cleared = proven.clear(&self.gate, request, number).await?;
        passage.at_the_gate = false;
        let sent = cleared.send(endpoint, &self.revocation, request.deadline).await;
        let replied = sent.map_err(Stop::Failed)?;
        let bytes = replied.message.len() as u64;
        match answer::read(replied.message, request) {
            Ok((tensors, version)) => {
                let round_trip = replied.open.answered(bytes);
                let endpoint = endpoint.destination.endpoint;
                Ok(Answer { tensors, version, endpoint, round_trip, attempts: number })
            }
            Err(bad) => Err(Stop::Failed(replied.open.failed(bad.into()))),
        }
    }
}

/// Whether the last attempt, by itself, left nothing behind.
fn nothing_was_sent<R: Error>(why: &HandOffError<R>) -> bool {
    match why {
        HandOffError::Refused(_)
        | HandOffError::TooManyInFlight { .. }
        | HandOffError::Unsendable(_)
        | HandOffError::NoEndpoint { .. }
        | HandOffError::Failed { last: AttemptError { why: AttemptFailure::NotSent(_), .. }, .. } => true,
        HandOffError::Expired { .. }
        | HandOffError::Failed { last: AttemptError { why: AttemptFailure::Sent(_), .. }, .. }
        | HandOffError::InDoubt { .. }
        | HandOffError::Closed => false,
    }
}

fn may_be_tried_again(why: &AttemptFailure) -> bool {
    match why {
        AttemptFailure::NotSent(NotSent::Connect(ConnectError::Credentials(_)) | NotSent::Expired) => false,
        AttemptFailure::Sent(Failure::Status { code, .. }) => !code.is_permanent(),
        AttemptFailure::NotSent(NotSent::Connect(_) | NotSent::Lost | NotSent::Revoked | NotSent::Cancelled)
        | AttemptFailure::Sent(
            Failure::Lost
            | Failure::Redirect(_)
            | Failure::Http(_)
            | Failure::NotGrpc
            | Failure::BadAnswer(_)
            | Failure::Revoked,
        ) => true,
    }
}

/// One of a bounded number.
struct Place<'c>(&'c AtomicUsize);

impl<'c> Place<'c> {
    fn take(count: &'c AtomicUsize, most: usize) -> Option<Self> {
        let enter = |now: usize| (now < most).then_some(now + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok().map(|_| Self(count))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
