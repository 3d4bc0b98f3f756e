//! The network calls that the send task waits for.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use milena_core::Result;

use crate::network::{BoxFuture, LinkId, Wire};
use crate::send::identity::Identity;
use crate::send::request::Answer;

/// The end of something that the send task waited for.
pub(super) enum Done {
    /// A Produce request has its answer, or failed.
    Answer(Answer),
    /// A connection was made, or could not be made.
    Dialed(LinkId, Result<Arc<dyn Wire>>),
    /// A producer id came, or the request for one failed.
    Identity(Result<Identity>),
    /// The metadata changed, or the cluster was closed.
    Changed,
}

/// The calls in progress. They end in any order.
#[derive(Default)]
pub(super) struct Work {
    /// The futures of these calls. Each resolves to what the task does next.
    calls: FuturesUnordered<BoxFuture<Done>>,
}

impl Work {
    /// Adds a call.
    pub(super) fn push(&self, call: impl Future<Output = Done> + Send + 'static) {
        self.calls.push(Box::pin(call));
    }

    /// Waits for the end of the next call. `None` if no call is in progress.
    pub(super) async fn next(&mut self) -> Option<Done> {
        self.calls.next().await
    }

    /// Returns the end of a call that has ended. `None` if none has.
    pub(super) fn ended(&mut self) -> Option<Done> {
        self.calls.next().now_or_never().flatten()
    }
}
