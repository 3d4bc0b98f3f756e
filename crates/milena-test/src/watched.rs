//! Routes that write the results of their layers to a journal, and return them unchanged.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_client::core::{
    BatchSeat, BoxError, ConsumerRecord, Incoming, Outcome, ProcessError, Result, RouteInfo, Routes,
};
use tokio::time::Instant;
use tower_service::Service;

use crate::processed::{Failed, Journal, Processed};

pub(crate) struct Watched<R> {
    inner: R,
    /// The journal that the services write to.
    journal: Journal,
}

impl<R> Watched<R> {
    pub(crate) fn new(inner: R, journal: Journal) -> Self {
        Self { inner, journal }
    }
}

impl<R> Routes for Watched<R>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
    <R::Service as Service<Incoming>>::Future: Send + 'static,
{
    type Service = Watching<R::Service>;

    fn check(&self) -> Result<()> {
        self.inner.check()
    }

    fn routes(&self) -> &[RouteInfo] {
        self.inner.routes()
    }

    fn select(&self, record: &ConsumerRecord) -> usize {
        self.inner.select(record)
    }

    fn service(&self, route: usize) -> Self::Service {
        let routes = self.inner.routes();
        let info = routes.get(route).or_else(|| routes.last());
        Watching {
            inner: self.inner.service(route),
            route: info.map_or_else(|| "".into(), |info| Arc::clone(&info.name)),
            journal: self.journal.clone(),
        }
    }
}

/// A route's service that writes its results to the journal.
#[derive(Clone)]
pub(crate) struct Watching<S> {
    inner: S,
    /// The name of the route.
    route: Arc<str>,
    /// The journal to write to.
    journal: Journal,
}

impl<S> Service<Incoming> for Watching<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let began = Instant::now();
        let (route, journal) = (Arc::clone(&self.route), self.journal.clone());
        let record = incoming.record.clone();
        let together = incoming.extensions.get::<BatchSeat>().is_some();
        let calling = self.inner.call(incoming);
        Box::pin(async move {
            let answer = calling.await.map_err(|error| {
                let boxed: BoxError = error.into();
                ProcessError::from_boxed(boxed)
            });
            // A record of a batch that comes again after others has not ended.
            if together && matches!(answer, Ok(Outcome::Hold(_))) {
                return answer.map_err(Into::into);
            }
            journal.add(Processed {
                record: record.into_inner(),
                route,
                result: answer.as_ref().map(Outcome::clone).map_err(Failed::from),
                took: began.elapsed(),
            });
            answer.map_err(Into::into)
        })
    }
}
