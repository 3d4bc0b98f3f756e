//! The service that gives errors a class.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use milena_core::{BoxError, ErrorMap, ProcessError};
use pin_project_lite::pin_project;
use tower_service::Service;

/// The service that [`ClassifyLayer`](super::ClassifyLayer) makes.
#[derive(Clone, Debug)]
pub struct Classified<S> {
    inner: S,
    map: ErrorMap,
}

impl<S> Classified<S> {
    pub(super) fn new(inner: S, map: ErrorMap) -> Self {
        Self { inner, map }
    }
}

impl<R, S> Service<R> for Classified<S>
where
    S: Service<R>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ClassifyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let polled = self.inner.poll_ready(cx);
        polled.map_err(|error| classified(&self.map, error))
    }

    fn call(&mut self, request: R) -> Self::Future {
        ClassifyFuture {
            inner: self.inner.call(request),
            map: self.map.clone(),
        }
    }
}

pin_project! {
    /// The future that gives an error of the inner service its class.
    pub struct ClassifyFuture<F> {
        #[pin]
        inner: F,
        map: ErrorMap,
    }
}

impl<F, T, E> Future for ClassifyFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        Poll::Ready(answer.map_err(|error| classified(this.map, error)))
    }
}

fn classified(map: &ErrorMap, error: impl Into<BoxError>) -> BoxError {
    map.apply(ProcessError::from_boxed(error.into())).into()
}
