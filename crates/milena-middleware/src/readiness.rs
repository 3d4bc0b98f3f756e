//! Waits for a service inside a layer's own future.

use std::future::poll_fn;

use milena_core::{BoxError, Incoming, ProcessError};
use tower_service::Service;

/// Waits until `service` is ready. Returns `None` if the record's partition must be given back
/// first.
pub(crate) async fn ready<S>(
    service: &mut S,
    incoming: &Incoming,
) -> Option<Result<(), ProcessError>>
where
    S: Service<Incoming>,
    S::Error: Into<BoxError>,
{
    let ready = poll_fn(|cx| service.poll_ready(cx));
    tokio::select! {
        biased;
        ended = ready => Some(ended.map_err(classify)),
        () = incoming.stopping.cancelled() => None,
    }
}

/// Converts an error of a service to one with a class.
pub(crate) fn classify(error: impl Into<BoxError>) -> ProcessError {
    ProcessError::from_boxed(error.into())
}
