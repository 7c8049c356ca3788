//! Opens the link: checks the keys, opens the session, declares everything once.

use std::collections::HashSet;
use std::sync::Arc;

use zenoh::key_expr::KeyExpr;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::Queryable;
use zenoh::sample::Locality;
use zenoh::{Session, Wait};

use crate::camera::{CameraKeys, Pictures};
use crate::client::{ClientId, ClientKeys, MAX_CLIENT_QUEUE};
use crate::error::LinkError;
use crate::inbox::Inbox;
use crate::input::InputKeys;
use crate::intake::{Intake, RouteQueue, Source};
use crate::link::{Link, Receiving, RoutePublishers};
use crate::route::RouteKeys;
use crate::settings::Settings;
use crate::subjects::Subjects;

/// What the box listens to, and answers on.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    /// Robots' tasks.
    pub routes: Vec<RouteKeys>,
    /// Who asks now and then.
    pub clients: Vec<ClientKeys>,
    /// What joins robots' observations.
    pub inputs: Vec<InputKeys>,
    /// Whose pictures join them.
    pub cameras: Vec<CameraKeys>,
    /// Key expressions such as `site/cell/*/*/observation`: what matches one and is no route's key is a stray.
    pub strays: Vec<String>,
}

/// Opens the box's session.
///
/// `clock` gives the box's monotonic nanoseconds; it and `wake` are called
/// on zenoh's threads, `wake` after each arrival with whose it is, so neither may block. The liveliness token on
/// `alive_key` is not shown before [`Link::declare_alive`].
///
/// Call it from a plain thread and seldom: the queues stay allocated for the life of the process.
///
/// # Errors
///
/// Those of [`check`], and [`LinkError`] names the endpoint that cannot be used.
pub fn open(
    settings: &Settings,
    topics: Topics,
    alive_key: &str,
    clock: fn() -> u64,
    wake: impl Fn(Source) + Send + Sync + 'static,
) -> Result<(Link, Inbox, Vec<Pictures>), LinkError> {
    settings.check()?;
    let Keys { routes, clients, inputs, cameras, strays, alive: alive_key } = Keys::new(topics, alive_key)?;

    let frames = routes.iter().map(|route| route.max_frame_bytes);
    let frames = frames.chain(clients.iter().map(|client| client.max_frame_bytes));
    let largest = frames.chain(inputs.iter().map(|input| input.max_frame_bytes)).max().unwrap_or(0);
    let pictures = cameras.iter().map(|camera| camera.max_frame_bytes).max().unwrap_or(0);
    let config = settings.to_zenoh(largest.max(pictures), !cameras.is_empty())?;

    let topics = routes.iter().flat_map(|route| [&route.observation].into_iter().chain(&route.reset)).cloned();
    let samples = inputs.iter().chain(&cameras).map(|input| input.samples.clone());
    let keys: Vec<_> = topics.chain(samples).collect();
    let subjects = Subjects::new(&strays, &keys);
    let queues: Vec<_> = routes.iter().map(ExactKeys::queue).collect();
    let requests: Vec<_> = clients.iter().map(|client| (client.max_frame_bytes, client.queue)).collect();
    let places = |inputs: &[ExactInput]| -> Vec<_> {
        inputs.iter().map(|input| (input.samples.to_string(), input.max_frame_bytes)).collect()
    };
    let (places, cameras) = (places(&inputs), places(&cameras));
    let (intake, mut outlets) = Intake::new(&queues, &requests, &places, &cameras, subjects, clock, Box::new(wake));
    let pictures = outlets.cameras.drain(..).map(Pictures::new).collect();
    let inbox = Inbox::new(outlets, largest);

    let session = zenoh::open(config).wait().map_err(|source| open_error(settings, source))?;
    let publishers = routes
        .iter()
        .map(|route| {
            Ok(RoutePublishers {
                response: publisher(&session, &route.response)?,
                notice: publisher(&session, &route.notice)?,
            })
        })
        .collect::<Result<_, LinkError>>()?;
    let intake = Arc::new(intake);
    let receiving = Receiving {
        _queryables: queryables(&session, &routes, &clients, &intake)?,
        _subscribers: subscribers(&session, &intake)?,
    };
    Ok((Link::new(session, publishers, receiving, alive_key), inbox, pictures))
}

/// Checks everything that [`open`] would refuse before it opens anything.
///
/// It cannot find an endpoint in use or a router out of reach.
///
/// # Errors
///
/// [`LinkError`] names the endpoint that cannot be read, the key that is invalid or used twice, or the client whose
/// queue is too long.
pub fn check(settings: &Settings, topics: Topics, alive_key: &str) -> Result<(), LinkError> {
    settings.check()?;
    Keys::new(topics, alive_key).map(|_| ())
}

/// All keys after their check.
struct Keys {
    routes: Vec<ExactKeys>,
    clients: Vec<ExactClient>,
    inputs: Vec<ExactInput>,
    cameras: Vec<ExactInput>,
    strays: Vec<KeyExpr<'static>>,
    alive: KeyExpr<'static>,
}

impl Keys {
    fn new(topics: Topics, alive: &str) -> Result<Self, LinkError> {
        let Topics { routes, clients, inputs, cameras, strays } = topics;
        let alive = exact(alive)?;
        let strays = strays.into_iter().map(expression).collect::<Result<_, _>>()?;
        let routes = routes.into_iter().map(ExactKeys::new).collect::<Result<Vec<_>, _>>()?;
        let clients = clients.into_iter().map(ExactClient::new).collect::<Result<Vec<_>, _>>()?;
        let inputs = inputs.into_iter().map(ExactInput::new).collect::<Result<Vec<_>, _>>()?;
        let cameras = cameras.into_iter().map(|CameraKeys { pictures: samples, max_frame_bytes }| {
            ExactInput::new(InputKeys { samples, max_frame_bytes })
        });
        let cameras = cameras.collect::<Result<Vec<_>, _>>()?;
        refuse_duplicates(&routes, &clients, inputs.iter().chain(&cameras))?;
        Ok(Self { routes, clients, inputs, cameras, strays, alive })
    }
}

/// A client's key after its check.
struct ExactClient {
    infer: KeyExpr<'static>,
    max_frame_bytes: usize,
    queue: usize,
}

impl ExactClient {
    fn new(client: ClientKeys) -> Result<Self, LinkError> {
        let ClientKeys { infer, max_frame_bytes, queue } = client;
        if !(1..=MAX_CLIENT_QUEUE).contains(&queue) {
            return Err(LinkError::ClientQueue { key: infer, queue });
        }
        Ok(Self { infer: exact(&infer)?, max_frame_bytes, queue })
    }
}

/// A joined input's or a camera's key after its check.
struct ExactInput {
    samples: KeyExpr<'static>,
    max_frame_bytes: usize,
}

impl ExactInput {
    fn new(InputKeys { samples, max_frame_bytes }: InputKeys) -> Result<Self, LinkError> {
        Ok(Self { samples: exact(&samples)?, max_frame_bytes })
    }
}

/// A route's keys after their check.
struct ExactKeys {
    observation: KeyExpr<'static>,
    response: KeyExpr<'static>,
    notice: KeyExpr<'static>,
    reset: Option<KeyExpr<'static>>,
    max_frame_bytes: usize,
}

impl ExactKeys {
    fn new(route: RouteKeys) -> Result<Self, LinkError> {
        let RouteKeys { observation, response, notice, reset, max_frame_bytes } = route;
        Ok(Self {
            observation: exact(&observation)?,
            response: exact(&response)?,
            notice: exact(&notice)?,
            reset: reset.as_deref().map(exact).transpose()?,
            max_frame_bytes,
        })
    }

    fn keys(&self) -> impl Iterator<Item = &KeyExpr<'static>> {
        [&self.observation, &self.response, &self.notice].into_iter().chain(&self.reset)
    }

    /// Where a query is told that it asks on a topic's key.
    fn topics(&self) -> impl Iterator<Item = &KeyExpr<'static>> {
        [&self.observation, &self.response].into_iter().chain(&self.reset)
    }

    fn queue(&self) -> RouteQueue {
        RouteQueue {
            observation: self.observation.to_string(),
            reset: self.reset.as_ref().map(ToString::to_string),
            max_frame_bytes: self.max_frame_bytes,
        }
    }
}

fn exact(key: &str) -> Result<KeyExpr<'static>, LinkError> {
    let key = expression(key.to_owned())?;
    if key.is_wild() { Err(LinkError::Wildcard { key: key.to_string() }) } else { Ok(key) }
}

fn expression(key: String) -> Result<KeyExpr<'static>, LinkError> {
    KeyExpr::try_from(key.as_str()).map(KeyExpr::into_owned).map_err(|source| LinkError::Key { key, source })
}

fn refuse_duplicates<'k>(
    routes: &'k [ExactKeys],
    clients: &'k [ExactClient],
    inputs: impl Iterator<Item = &'k ExactInput>,
) -> Result<(), LinkError> {
    let mut seen = HashSet::new();
    let keys = routes.iter().flat_map(ExactKeys::keys).chain(clients.iter().map(|client| &client.infer));
    let mut keys = keys.chain(inputs.map(|input| &input.samples));
    match keys.find(|key| !seen.insert(key.as_str())) {
        Some(key) => Err(LinkError::Duplicate { key: key.to_string() }),
        None => Ok(()),
    }
}

/// zenoh's words contain the endpoint that it could not listen on.
fn open_error(settings: &Settings, source: zenoh::Error) -> LinkError {
    let words = source.to_string();
    match settings.listen.iter().find(|endpoint| words.contains(address(endpoint))) {
        Some(endpoint) => LinkError::Listen { endpoint: endpoint.clone(), source },
        None => LinkError::Open(source),
    }
}

fn address(endpoint: &str) -> &str {
    endpoint.split(['?', '#']).next().unwrap_or(endpoint)
}

fn publisher(session: &Session, key: &KeyExpr<'static>) -> Result<Publisher<'static>, LinkError> {
    session
        .declare_publisher(key.clone())
        .priority(Priority::RealTime)
        .congestion_control(CongestionControl::Drop)
        .express(true)
        .allowed_destination(Locality::Remote)
        .wait()
        .map_err(declare_error(key))
}

fn subscribers(session: &Session, intake: &Arc<Intake>) -> Result<Vec<Subscriber<()>>, LinkError> {
    intake
        .subjects()
        .iter()
        .map(|(subject, key)| {
            let intake = Arc::clone(intake);
            session
                .declare_subscriber(key)
                .callback(move |sample| intake.on_sample(subject, sample))
                .allowed_origin(Locality::Remote)
                .wait()
                .map_err(declare_error(key))
        })
        .collect()
}

fn queryables(
    session: &Session,
    routes: &[ExactKeys],
    clients: &[ExactClient],
    intake: &Arc<Intake>,
) -> Result<Vec<Queryable<()>>, LinkError> {
    let topics = routes.iter().flat_map(ExactKeys::topics).map(|key| {
        let (intake, own) = (Arc::clone(intake), key.clone());
        session
            .declare_queryable(key)
            .callback(move |query| intake.on_query(&own, query))
            .allowed_origin(Locality::Remote)
            .wait()
            .map_err(declare_error(key))
    });
    let requests = (0..).map(ClientId::new).zip(clients).map(|(client, ExactClient { infer: key, .. })| {
        let (intake, own) = (Arc::clone(intake), key.clone());
        session
            .declare_queryable(key)
            // Nobody else has to be asked.
            .complete(true)
            .callback(move |query| intake.on_request(client, &own, query))
            .allowed_origin(Locality::Remote)
            .wait()
            .map_err(declare_error(key))
    });
    topics.chain(requests).collect()
}

fn declare_error(key: &KeyExpr<'static>) -> impl FnOnce(zenoh::Error) -> LinkError {
    move |source| LinkError::Declare { key: key.to_string(), source }
}
