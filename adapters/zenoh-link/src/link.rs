//! The sending side: responses, notices, refusals, and the liveliness token.

use std::sync::{Mutex, PoisonError};

use zenoh::bytes::ZBytes;
use zenoh::key_expr::{KeyExpr, keyexpr};
use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::query::Queryable;
use zenoh::sample::Locality;
use zenoh::{Session, Wait};

use crate::error::{LinkError, PutError};
use crate::process;
use crate::query::PendingQuery;
use crate::route::RouteId;

/// The box's open session.
///
/// A put never waits for a robot: what its queue does not take is dropped. See
/// [`Settings`](crate::Settings).
pub struct Link {
    session: Session,
    routes: Vec<RoutePublishers>,
    alive_key: KeyExpr<'static>,
    alive: Mutex<Option<LivelinessToken>>,
    _receiving: Receiving,
}

/// What publishes for one route.
pub(crate) struct RoutePublishers {
    pub(crate) response: Publisher<'static>,
    pub(crate) notice: Publisher<'static>,
}

/// What keeps the subscriptions alive.
pub(crate) struct Receiving {
    pub(crate) _subscribers: Vec<Subscriber<()>>,
    pub(crate) _queryables: Vec<Queryable<()>>,
}

impl Link {
    pub(crate) fn new(
        session: Session,
        routes: Vec<RoutePublishers>,
        receiving: Receiving,
        alive_key: KeyExpr<'static>,
    ) -> Self {
        Self { session, routes, alive_key, alive: Mutex::new(None), _receiving: receiving }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Puts a response on the route's response key.
    ///
    /// # Errors
    ///
    /// [`PutError`] if there is no such route or the session is closed.
    pub fn respond(&self, route: RouteId, frame: &[u8]) -> Result<(), PutError> {
        put(&self.publishers(route)?.response, frame)
    }

    /// Puts a notice on the route's notice key.
    ///
    /// # Errors
    ///
    /// [`PutError`] if there is no such route or the session is closed.
    pub fn notify(&self, route: RouteId, frame: &[u8]) -> Result<(), PutError> {
        put(&self.publishers(route)?.notice, frame)
    }

    /// Answers an observation that belongs to no route, on the same key with `response` in place of
    /// its last chunk `observation`.
    ///
    /// # Errors
    ///
    /// [`PutError::NotAnObservationKey`] where no exact response key follows: an answer on a key
    /// with a wildcard would reach robots that did not ask.
    pub fn respond_stray(&self, observation_key: &str, frame: &[u8]) -> Result<(), PutError> {
        let key = response_key(observation_key)
            .ok_or_else(|| PutError::NotAnObservationKey { key: observation_key.to_owned() })?;
        self.session
            .put(key, ZBytes::from(frame))
            .priority(Priority::RealTime)
            .congestion_control(CongestionControl::Drop)
            .express(true)
            .allowed_destination(Locality::Remote)
            .wait()
            .map_err(PutError::Zenoh)
    }

    /// Answers a one-off request, on a thread that may block: it sends a reply, at the priority and with the
    /// congestion control that the query came with, and frees the query.
    ///
    /// # Errors
    ///
    /// [`PutError::Zenoh`] if the session is closed.
    pub fn reply(&self, query: PendingQuery, frame: &[u8]) -> Result<(), PutError> {
        let query = query.into_inner();
        query.reply(query.key_expr().clone(), ZBytes::from(frame)).wait().map_err(PutError::Zenoh)
    }

    /// Answers a query with a typed error, on a thread that may block: it sends as [`reply`](Self::reply) does and
    /// frees the query.
    ///
    /// # Errors
    ///
    /// [`PutError::Zenoh`] if the session is closed.
    pub fn refuse_query(&self, query: PendingQuery, frame: &[u8]) -> Result<(), PutError> {
        let query = query.into_inner();
        query.reply_err(ZBytes::from(frame)).wait().map_err(PutError::Zenoh)
    }

    /// Shows the liveliness token. Nothing happens if it is shown.
    ///
    /// # Errors
    ///
    /// [`LinkError::Declare`] if the session is closed.
    pub fn declare_alive(&self) -> Result<(), LinkError> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_none() {
            let token = self.session.liveliness().declare_token(&self.alive_key).wait();
            *alive = Some(token.map_err(|source| self.alive_error(source))?);
        }
        Ok(())
    }

    /// Takes the liveliness token back. Nothing happens if it is not shown.
    ///
    /// # Errors
    ///
    /// [`LinkError::Declare`] if the session is closed.
    pub fn withdraw_alive(&self) -> Result<(), LinkError> {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        match alive.take() {
            Some(token) => token.undeclare().wait().map_err(|source| self.alive_error(source)),
            None => Ok(()),
        }
    }

    /// zenoh's threads by id and name, so that their scheduling can be set. Ask again from time to
    /// time: zenoh starts further ones when it needs them, and a thread that has just started
    /// has no name yet.
    #[must_use]
    pub fn threads() -> Vec<(i32, String)> {
        process::zenoh_threads()
    }

    /// Ends the session: robots see the token go and the transport close.
    ///
    /// # Errors
    ///
    /// [`LinkError::Close`] if zenoh could not end it in order.
    pub fn close(&self) -> Result<(), LinkError> {
        self.session.close().wait().map_err(LinkError::Close)
    }

    fn publishers(&self, route: RouteId) -> Result<&RoutePublishers, PutError> {
        self.routes.get(route.index()).ok_or(PutError::UnknownRoute(route))
    }

    fn alive_error(&self, source: zenoh::Error) -> LinkError {
        LinkError::Declare { key: self.alive_key.to_string(), source }
    }
}

fn put(publisher: &Publisher<'static>, frame: &[u8]) -> Result<(), PutError> {
    publisher.put(ZBytes::from(frame)).wait().map_err(PutError::Zenoh)
}

fn response_key(observation_key: &str) -> Option<KeyExpr<'static>> {
    let stem = observation_key.strip_suffix("/observation")?;
    if keyexpr::new(stem).ok()?.is_wild() {
        return None;
    }
    KeyExpr::try_from(format!("{stem}/response")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_key_follows_from_an_exact_observation_key_only() {
        let key = response_key("site/cell/arm/pick/observation").expect("a key");
        assert_eq!(key.as_str(), "site/cell/arm/pick/response");
        for other in [
            "observation",
            "/observation",
            "site/my-observation",
            "site/observation/",
            "site/response",
            "site/*/observation",
            "site/a$*/observation",
            "site/**/observation",
        ] {
            assert_eq!(response_key(other), None, "{other}");
        }
    }
}
