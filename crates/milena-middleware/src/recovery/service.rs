//! The service that catches panics, in `call` and in the future.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorClass, ProcessError, panic_text};
use pin_project_lite::pin_project;
use tower_service::Service;

/// The service that [`RecoveryLayer`](super::RecoveryLayer) makes.
#[derive(Clone, Debug)]
pub struct Recovery<S> {
    inner: S,
}

impl<S> Recovery<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<R, S> Service<R> for Recovery<S>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RecoveryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match catch_unwind(AssertUnwindSafe(|| self.inner.call(request))) {
            Ok(inner) => RecoveryFuture {
                state: State::Running { inner },
            },
            Err(panic) => RecoveryFuture {
                state: State::Panicked { panic: Some(panic) },
            },
        }
    }
}

pin_project! {
    /// The future of an answer. Resolves with an error if the inner service panics.
    pub struct RecoveryFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Running { #[pin] inner: F },
        Panicked { panic: Option<Box<dyn Any + Send>> },
        Done,
    }
}

impl<F, T, E> Future for RecoveryFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        let ended = match state.as_mut().project() {
            StateProjection::Running { inner } => {
                match catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
                    Ok(polled) => ready!(polled).map_err(Into::into),
                    Err(panic) => Err(as_error(panic)),
                }
            }
            StateProjection::Panicked { panic } => {
                Err(as_error(panic.take().unwrap_or_else(|| Box::new(()))))
            }
            StateProjection::Done => Err(as_error(Box::new(
                "the future was polled after it had finished",
            ))),
        };
        state.set(State::Done);
        Poll::Ready(ended)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the panic ends here")]
fn as_error(panic: Box<dyn Any + Send>) -> BoxError {
    let what = format!("the handler panicked: {}", panic_text(&*panic));
    ProcessError::new(ErrorClass::Panic, what).into()
}
