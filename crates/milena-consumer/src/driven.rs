//! What lanes can drive: tables of routes whose services take a record and answer with an outcome.

use milena_core::{BoxError, Incoming, Outcome, Routes};
use tower_service::Service;

/// Routes to services of records. All that are can be driven.
pub(crate) trait Driven:
    Routes<
    Service: Service<Incoming, Response = Outcome, Error: Into<BoxError>, Future: Send + 'static>,
>
{
}

impl<R> Driven for R
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
    <R::Service as Service<Incoming>>::Future: Send + 'static,
{
}
