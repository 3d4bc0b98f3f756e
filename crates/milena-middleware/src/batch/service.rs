//! The service that gathers records for a handler.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, FromRecord, Incoming, IntoBatchOutcome, Outcome};
use tower_service::Service;

use super::Batching;
use super::gather::{BatchTable, Running, Seat};
use super::run::run;

/// A handler of several records as a service that takes one at a time. It is always ready. A clone
/// gathers for the same batches.
#[derive(Clone)]
pub struct BatchService {
    table: Arc<BatchTable>,
}

impl BatchService {
    /// Creates a service from a handler of several records and its state.
    pub fn new<H, A, Fut, T>(batching: Batching, handler: H, state: T) -> Self
    where
        H: Fn(Vec<A>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoBatchOutcome + Send,
        A: FromRecord<T> + Send + 'static,
        T: Send + Sync + 'static,
    {
        let state = Arc::new(state);
        let run = move |records, order| {
            let (handler, state) = (handler.clone(), Arc::clone(&state));
            let answers: super::gather::Answers = Box::pin(run(handler, state, records, order));
            answers
        };
        Self {
            table: BatchTable::new(batching, Arc::new(run)),
        }
    }
}

impl Service<Incoming> for BatchService {
    type Response = Outcome;
    type Error = BoxError;
    type Future = BatchFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> BatchFuture {
        let (seat, running) = self.table.join(incoming);
        BatchFuture {
            seat: Some(seat),
            running,
        }
    }
}

impl fmt::Debug for BatchService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchService").finish_non_exhaustive()
    }
}

/// The future of a record's answer. If it is dropped early, the record leaves its batch, or ends a
/// running one.
pub struct BatchFuture {
    /// The record's place in the batch. `None` once it has its answer.
    seat: Option<Seat>,
    /// The work of the batch, shared by its records.
    running: Running,
}

impl Future for BatchFuture {
    type Output = Result<Outcome, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.running).poll(cx));
        let answer = self.seat.take().map(|seat| seat.answer(ended));
        Poll::Ready(match answer {
            Some(answer) => answer.map_err(Into::into),
            None => Err("the future was polled after it had finished".into()),
        })
    }
}

impl Drop for BatchFuture {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            seat.leave();
        }
    }
}

impl fmt::Debug for BatchFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchFuture").finish_non_exhaustive()
    }
}
