//! A finished stack, which is one route for every topic.

use std::fmt::{self, Write};

use milena_core::{
    BoxError, ConsumerRecord, Error, ErrorKind, Incoming, Outcome, Result, RouteInfo, Routes,
};
use parking_lot::Mutex;
use tower_service::Service;

use super::order;
use super::profile::Profile;
use crate::router::{BoxRoute, Route};

/// The layers around a handler, ready for `consumer.run`.
pub struct StackRoutes<S> {
    /// The description of the route for the driver.
    info: [RouteInfo; 1],
    /// The name that the user gave. `None` for the default.
    name: Option<String>,
    /// The type name of the handler. Empty for a closure, which has none.
    handler: String,
    /// The descriptions of the layers, outermost first.
    profiles: Vec<Profile>,
    /// True if a wrong order is only a warning.
    lenient: bool,
    // The service that lanes clone. The lock makes it shareable, because it need not be `Sync`.
    // Taken once per lane.
    service: Mutex<S>,
}

impl<S> StackRoutes<S> {
    pub(super) fn new(
        service: S,
        profiles: Vec<Profile>,
        name: Option<String>,
        lenient: bool,
    ) -> Self {
        let named = name.clone().unwrap_or_else(|| "handler".to_owned());
        Self {
            info: [route_info(named, &profiles)],
            name,
            handler: String::new(),
            profiles,
            lenient,
            service: Mutex::new(service),
        }
    }

    /// Sets the type name of the handler. Ignores that of a closure.
    pub(super) fn calls(mut self, handler: String) -> Self {
        if !handler.contains('{') {
            self.handler = handler;
        }
        self
    }

    /// Describes the layers as text, outermost first, and the longest time that a record may take.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = order::explain(&self.profiles, &self.handler);
        if let Some(defect) = order::defect(&self.profiles) {
            let _ = write!(text, "\nwarning: {defect}");
        }
        text
    }

    /// Limits the route to records of these topics, so that its gates pause only their partitions.
    /// Default every topic.
    ///
    /// As a route of a [`Router`](crate::Router) it takes only those of these topics that the route
    /// names too.
    #[must_use]
    pub fn for_topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<milena_core::TopicName>,
    {
        let [info] = &mut self.info;
        info.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }
}

impl<S> StackRoutes<S>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    /// Converts the stack to one route of a router.
    pub(crate) fn into_single_route(self) -> Route {
        let service = BoxRoute::new(self.service.into_inner());
        let [info] = self.info;
        Route::new(service, self.name, self.profiles, self.lenient).only(info.topics)
    }
}

/// Describes a route with these layers for the driver.
pub(crate) fn route_info(name: String, profiles: &[Profile]) -> RouteInfo {
    let mut info = RouteInfo::new(name);
    for profile in profiles {
        info.gates.extend(profile.gates.iter().cloned());
        info.gauges.extend(profile.gauges.iter().cloned());
        info.records_attempts |= profile.records_attempts;
        info.dead_letters |= profile.dead_letters;
        info.retries |= profile.retries;
        // A record that comes back from a retry topic is held until its time.
        info.holds |= !profile.suffixes.is_empty();
        info.asks_for_clock |= profile.asks_for_clock;
        info.writes.extend(profile.writes.iter().cloned());
        info.batch = info.batch.or(profile.batch);
    }
    info
}

impl<S> StackRoutes<S> {
    /// Checks that the stack can work. The error names the reason and the remedy. `consumer.run`
    /// calls this too.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the layers in the wrong order, or the topic name that no
    /// cluster can have.
    pub fn check(&self) -> Result<()> {
        if let Some(defect) = order::targets_defect(&self.profiles) {
            return Err(Error::new(ErrorKind::Config, defect));
        }
        match order::defect(&self.profiles) {
            None => Ok(()),
            Some(defect) if self.lenient => {
                tracing::warn!(%defect, "an unusual order of layers");
                Ok(())
            }
            Some(defect) => Err(Error::new(ErrorKind::Config, defect)),
        }
    }
}

impl<S: Clone + Send + 'static> Routes for StackRoutes<S> {
    type Service = S;

    fn check(&self) -> Result<()> {
        self.check()
    }

    fn routes(&self) -> &[RouteInfo] {
        &self.info
    }

    fn select(&self, _: &ConsumerRecord) -> usize {
        0
    }

    fn service(&self, _: usize) -> S {
        self.service.lock().clone()
    }
}

impl<S> fmt::Debug for StackRoutes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackRoutes")
            .field("layers", &self.profiles)
            .finish_non_exhaustive()
    }
}
