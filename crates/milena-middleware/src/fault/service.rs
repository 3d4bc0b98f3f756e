//! The service that fails on purpose.

use std::future::{Future, pending};
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use milena_core::{BoxError, ErrorClass, ProcessError};
use parking_lot::Mutex;
use tokio::time::sleep;
use tower_service::Service;

/// The service that [`FaultLayer`](super::FaultLayer) makes.
#[derive(Clone, Debug)]
pub struct Fault<S> {
    inner: S,
    plan: Arc<Plan>,
}

#[derive(Debug)]
pub(super) struct Plan {
    /// The seed of the random sequence.
    pub(super) seed: u64,
    /// Each fault with its share of the attempts, 0 to 1.
    pub(super) deeds: Vec<(f64, Deed)>,
    /// The random sequence, shared by all clones of the layer.
    pub(super) draw: Mutex<Rng>,
    /// The number of faults so far.
    pub(super) made: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Error(ErrorClass),
    Delay(Duration),
    Panic,
    Hang,
    Lose(ErrorClass),
}

impl Plan {
    fn draw(&self) -> Option<Deed> {
        let mut at = self.draw.lock().f64();
        for (share, deed) in &self.deeds {
            if at < *share {
                self.made.fetch_add(1, Ordering::Relaxed);
                return Some(*deed);
            }
            at -= share;
        }
        None
    }
}

impl<S> Fault<S> {
    pub(super) fn new(inner: S, plan: Arc<Plan>) -> Self {
        Self { inner, plan }
    }
}

impl<R, S> Service<R> for Fault<S>
where
    S: Service<R, Response: 'static>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let running = match self.plan.draw() {
            Some(Deed::Error(class)) => return Box::pin(async move { Err(fault(class)) }),
            Some(Deed::Panic) => return Box::pin(panicking()),
            Some(Deed::Hang) => return Box::pin(pending()),
            None => (self.inner.call(request), Duration::ZERO, None),
            Some(Deed::Delay(wait)) => (self.inner.call(request), wait, None),
            Some(Deed::Lose(class)) => (self.inner.call(request), Duration::ZERO, Some(class)),
        };
        let (running, wait, lost) = running;
        Box::pin(async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            let answer = running.await.map_err(Into::into);
            lost.map_or(answer, |class| Err(fault(class)))
        })
    }
}

#[expect(clippy::panic, reason = "a fault that a test asked for")]
async fn panicking<T>() -> Result<T, BoxError> {
    panic_any(TEXT)
}

fn fault(class: ErrorClass) -> BoxError {
    ProcessError::new(class, TEXT).into()
}

const TEXT: &str = "a fault, made on purpose";
