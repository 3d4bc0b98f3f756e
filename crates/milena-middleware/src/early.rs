//! A future that either holds its answer already or waits for the inner service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{BoxError, Outcome};
use pin_project_lite::pin_project;

pin_project! {
    /// The future of a layer that may decide before anything inside runs.
    pub struct EarlyFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = Projection]
    enum State<F> {
        Decided { answer: Option<Outcome> },
        Running { #[pin] inner: F },
    }
}

impl<F> EarlyFuture<F> {
    pub(crate) fn decided(outcome: Outcome) -> Self {
        Self {
            state: State::Decided {
                answer: Some(outcome),
            },
        }
    }

    pub(crate) fn running(inner: F) -> Self {
        Self {
            state: State::Running { inner },
        }
    }
}

impl<F, E> Future for EarlyFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projection::Running { inner } => inner.poll(cx).map_err(Into::into),
            Projection::Decided { answer } => match answer.take() {
                Some(outcome) => Poll::Ready(Ok(outcome)),
                None => Poll::Ready(Err("the future was polled after it had finished".into())),
            },
        }
    }
}
