//! The service that gathers records for a handler.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, FromRecord, Incoming, IntoBatchOutcome, Outcome};
use tower_service::Service;

use super::Batching;
use super::gather::{Running, Seat, Table};
use super::run::run;

/// A handler of several records as a service of one; always ready. A clone gathers for the same batches.
#[derive(Clone)]
pub struct BatchService {
    table: Arc<Table>,
}

impl BatchService {
    /// A handler of several records, with its state.
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
            table: Table::new(batching, Arc::new(run)),
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

/// A record's answer. Dropped before, the record leaves its batch, or ends it.
pub struct BatchFuture {
    seat: Option<Seat>,
    running: Running,
}

impl Future for BatchFuture {
    type Output = Result<Outcome, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = ready!(Pin::new(&mut self.running).poll(cx));
        let answer = self.seat.take().map(|seat| seat.answer(ended));
        Poll::Ready(match answer {
            Some(answer) => answer.map_err(Into::into),
            None => Err("polled after its end".into()),
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
