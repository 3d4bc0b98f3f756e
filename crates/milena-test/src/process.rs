//! Takes a record through a handler and its layers, without a broker.

use std::future::poll_fn;

use milena_client::core::{BoxError, ConsumerRecord, Incoming, Outcome, ProcessError, Routes};
use tower_service::Service;

/// Takes a record through its route like a lane of a consumer. Selects the route, waits until it is
/// ready, and calls it once.
///
/// # Errors
/// The error that the layers return, or an error for a wrong order of layers.
pub async fn process<R>(routes: &R, record: ConsumerRecord) -> Result<Outcome, ProcessError>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
{
    routes.check().map_err(ProcessError::fatal)?;
    let mut service = routes.service(routes.select(&record));
    let failed =
        |error: <R::Service as Service<Incoming>>::Error| ProcessError::from_boxed(error.into());
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    service.call(Incoming::new(record)).await.map_err(failed)
}
