//! Runs of a handler over a source, from the check of its routes to the report.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Needs, Result};
use tokio::runtime::Handle;

use crate::end::{End, RunEnd};
use crate::gates;
use crate::lanes::RouteLanes;
use crate::panics::contained;
use crate::routes::{Driven, IntoRoutes};
use crate::source::{Drive, Source};

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Records that the handler acknowledged.
    pub processed: u64,
    /// Records that the handler skipped, with a reason.
    pub skipped: u64,
    /// Records that were written to a dead letter topic.
    pub dead_lettered: u64,
    /// Records that were written to a retry topic, to be read again later.
    pub forwarded: u64,
    /// Records that were done after their source no longer waited for them.
    pub late: u64,
    /// The reason for the end.
    pub end: RunEnd,
}

/// Processes the records of a source with a handler, until the source ends or the run is shut down.
///
/// Takes a stack, a router, a cloneable tower service, or an async function of extractors. A source
/// that cannot do what the handler or the order needs is refused before the first record.
///
/// ```
/// use milena_core::{ProducerRecord, Text};
/// use milena_lanes::InMemory;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let orders = ["two stamps", "a letter"].map(|text| ProducerRecord::new("orders").value(text));
/// let source = InMemory::of(orders);
/// let report = milena_lanes::run(&source, |Text(order): Text| async move {
///     println!("billing {order}");
/// })
/// .await?;
/// assert_eq!(report.processed, 2);
/// # Ok::<_, milena_core::Error>(())
/// # })?;
/// # Ok::<_, milena_core::BoxError>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Config`] for a wrong order of layers, and for a source that cannot do what the run
/// needs. [`ErrorKind::State`] for a source that was run already. An error for a lane that stopped,
/// with the record's topic, partition and offset, and for a fatal error of the handler.
///
/// # Cancel safety
/// If the future is dropped, everything ends at once. The records that are not settled stay with
/// the source.
pub async fn run<D, M, X>(source: &D, handler: X) -> Result<Report>
where
    D: Drive,
    X: IntoRoutes<M>,
    X::Routes: Driven,
{
    drive(source, handler.into_routes()).await
}

/// Processes the records of a source with these routes, like [`run`].
///
/// # Errors
/// As for [`run`].
///
/// # Cancel safety
/// As for [`run`].
pub async fn drive<D: Drive, R: Driven>(driver: &D, routes: R) -> Result<Report> {
    contained("the check of the routes", || routes.check())??;
    let source = driver.source();
    let needs = Needs::of(routes.routes(), source.rules().order);
    needs.check(&source.name(), source.capabilities())?;
    driver.prepare(routes.routes()).await?;
    let routes = Arc::new(routes);
    let lanes = RouteLanes::new(Arc::clone(&routes), runtime()?);
    driver.begin(Arc::new(lanes))?;
    let abandoned = Abandoned(Some(driver));
    // The watchers are aborted when this function returns.
    let _gates = gates::watch_all(source, &routes);
    driver.until_end().await;
    driver.close().await;
    abandoned.finished();
    report(&**source)
}

/// Returns the tokio runtime of the calling thread.
fn runtime() -> Result<Handle> {
    Handle::try_current().map_err(|cause| {
        let what = "a consumer must be used inside a tokio runtime";
        Error::new(ErrorKind::State, what).with_source(cause)
    })
}

/// Returns the report of a run that has ended, or the error that ended it.
fn report<S: Source>(source: &S) -> Result<Report> {
    let end = match source.ended() {
        Some(End::Failed(error)) => return Err(error),
        Some(End::Stopped(reason)) => RunEnd::Stopped(reason),
        Some(End::Closed) | None => RunEnd::Shutdown,
    };
    let tally = source.tally();
    Ok(Report {
        processed: tally.processed(),
        skipped: tally.skipped(),
        dead_lettered: tally.dead_lettered(),
        forwarded: tally.forwarded(),
        late: tally.late(),
        end,
    })
}

/// Guard that ends the source at once if the future of a run is dropped.
struct Abandoned<'a, D: Drive>(Option<&'a D>);

impl<D: Drive> Abandoned<'_, D> {
    fn finished(mut self) {
        self.0 = None;
    }
}

impl<D: Drive> Drop for Abandoned<'_, D> {
    fn drop(&mut self) {
        if let Some(driver) = self.0 {
            driver.abort();
        }
    }
}
