//! Opens the link: checks the keys, opens the session, declares everything once.

use std::collections::HashSet;
use std::sync::Arc;

use zenoh::key_expr::KeyExpr;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::Queryable;
use zenoh::sample::Locality;
use zenoh::{Session, Wait};

use crate::error::LinkError;
use crate::inbox::Inbox;
use crate::intake::Intake;
use crate::link::{Link, Receiving, RoutePublishers};
use crate::route::{RouteId, RouteKeys};
use crate::settings::Settings;
use crate::subjects::Subjects;

/// Opens the box's session.
///
/// `strays` are key expressions such as `site/cell/*/*/observation`: what matches one and is no
/// route's key is a stray. `clock` gives the box's monotonic nanoseconds; it and `wake` are called
/// on zenoh's threads, `wake` after each arrival with the route that it is of (`None`: a stray or a query), so neither
/// may block. The liveliness token on
/// `alive_key` is not shown before [`Link::declare_alive`].
///
/// Call it from a plain thread and seldom: the queues stay allocated for the life of the process.
///
/// # Errors
///
/// Those of [`check`], and [`LinkError`] names the endpoint that cannot be used.
pub fn open(
    settings: &Settings,
    routes: Vec<RouteKeys>,
    strays: Vec<String>,
    alive_key: &str,
    clock: fn() -> u64,
    wake: impl Fn(Option<RouteId>) + Send + Sync + 'static,
) -> Result<(Link, Inbox), LinkError> {
    settings.check()?;
    let Keys { routes, strays, alive: alive_key } = Keys::new(routes, strays, alive_key)?;

    let largest = routes.iter().map(|route| route.max_frame_bytes).max().unwrap_or(0);
    let config = settings.to_zenoh(largest)?;

    let observations: Vec<_> = routes.iter().map(|route| route.observation.clone()).collect();
    let subjects = Subjects::new(&strays, &observations);
    let queues: Vec<_> = routes.iter().map(|route| (route.observation.to_string(), route.max_frame_bytes)).collect();
    let (intake, outlets) = Intake::new(&queues, subjects, clock, Box::new(wake));
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
        _queryables: queryables(&session, &routes, &intake)?,
        _subscribers: subscribers(&session, &intake)?,
    };
    Ok((Link::new(session, publishers, receiving, alive_key), inbox))
}

/// Checks everything that [`open`] would refuse before it opens anything.
///
/// It cannot find an endpoint in use or a router out of reach.
///
/// # Errors
///
/// [`LinkError`] names the endpoint that cannot be read, or the key that is invalid or used twice.
pub fn check(
    settings: &Settings,
    routes: Vec<RouteKeys>,
    strays: Vec<String>,
    alive_key: &str,
) -> Result<(), LinkError> {
    settings.check()?;
    Keys::new(routes, strays, alive_key).map(|_| ())
}

/// All keys after their check.
struct Keys {
    routes: Vec<ExactKeys>,
    strays: Vec<KeyExpr<'static>>,
    alive: KeyExpr<'static>,
}

impl Keys {
    fn new(routes: Vec<RouteKeys>, strays: Vec<String>, alive: &str) -> Result<Self, LinkError> {
        let alive = exact(alive)?;
        let strays = strays.into_iter().map(expression).collect::<Result<_, _>>()?;
        let routes = routes.into_iter().map(ExactKeys::new).collect::<Result<Vec<_>, _>>()?;
        refuse_duplicates(&routes)?;
        Ok(Self { routes, strays, alive })
    }
}

/// A route's keys after their check.
struct ExactKeys {
    observation: KeyExpr<'static>,
    response: KeyExpr<'static>,
    notice: KeyExpr<'static>,
    max_frame_bytes: usize,
}

impl ExactKeys {
    fn new(route: RouteKeys) -> Result<Self, LinkError> {
        let RouteKeys { observation, response, notice, max_frame_bytes } = route;
        Ok(Self {
            observation: exact(&observation)?,
            response: exact(&response)?,
            notice: exact(&notice)?,
            max_frame_bytes,
        })
    }

    fn keys(&self) -> [&KeyExpr<'static>; 3] {
        [&self.observation, &self.response, &self.notice]
    }
}

fn exact(key: &str) -> Result<KeyExpr<'static>, LinkError> {
    let key = expression(key.to_owned())?;
    if key.is_wild() { Err(LinkError::Wildcard { key: key.to_string() }) } else { Ok(key) }
}

fn expression(key: String) -> Result<KeyExpr<'static>, LinkError> {
    KeyExpr::try_from(key.as_str()).map(KeyExpr::into_owned).map_err(|source| LinkError::Key { key, source })
}

fn refuse_duplicates(routes: &[ExactKeys]) -> Result<(), LinkError> {
    let mut seen = HashSet::new();
    match routes.iter().flat_map(ExactKeys::keys).find(|key| !seen.insert(key.as_str())) {
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

fn queryables(session: &Session, routes: &[ExactKeys], intake: &Arc<Intake>) -> Result<Vec<Queryable<()>>, LinkError> {
    routes
        .iter()
        .flat_map(|route| [&route.observation, &route.response])
        .map(|key| {
            let (intake, own) = (Arc::clone(intake), key.clone());
            session
                .declare_queryable(key)
                .callback(move |query| intake.on_query(&own, query))
                .allowed_origin(Locality::Remote)
                .wait()
                .map_err(declare_error(key))
        })
        .collect()
}

fn declare_error(key: &KeyExpr<'static>) -> impl FnOnce(zenoh::Error) -> LinkError {
    move |source| LinkError::Declare { key: key.to_string(), source }
}
