//! Tables of routes that lanes can call.

use milena_core::{BoxError, Incoming, Outcome, Routes};
use tower_service::Service;

/// Routes whose services take records and answer with an outcome. Every suitable type implements
/// this trait.
pub trait Driven:
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
