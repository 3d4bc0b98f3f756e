//! Stacks that are ready to use.

use std::time::Duration;

use milena_core::Backoff;
use tower_layer::{Identity, Stack as Nested};

use super::Stack;
use crate::log::LogLayer;
use crate::metrics::MetricsLayer;
use crate::recovery::RecoveryLayer;
use crate::retry::RetryLayer;
use crate::timeout::TimeoutLayer;

/// The layers of [`Stack::standard`], inside those of `L`.
pub type StandardLayers<L = Identity> = Nested<
    RecoveryLayer,
    Nested<TimeoutLayer, Nested<MetricsLayer, Nested<RetryLayer, Nested<LogLayer, L>>>>,
>;

/// The layers of a [`Chain`].
pub type ChainLayers = Nested<RetryLayer, Nested<LogLayer, Nested<RecoveryLayer, Identity>>>;

impl Stack {
    /// Creates a stack with the layers that nearly every handler needs.
    ///
    /// Outermost first, these are a log line for each record that ended, five attempts with a
    /// backoff from 100 ms to 1 s, a metric for each attempt, a timeout of 30 s per attempt, and a
    /// conversion of panics to errors.
    ///
    /// For dead letters, put that layer outside with [`with_standard`](Stack::with_standard). For a
    /// breaker or a limit, add the layers in your own order.
    ///
    /// ```
    /// use milena_core::{Routes, Text};
    /// use milena_middleware::Stack;
    ///
    /// let stack = Stack::standard()
    ///     .handler(async |Text(order): Text| println!("billing {order}"));
    /// stack.check()?;
    /// println!("{}", stack.explain());
    /// # Ok::<_, milena_core::Error>(())
    /// ```
    pub fn standard() -> Stack<StandardLayers> {
        Self::new().with_standard()
    }
}

impl<L, T> Stack<L, T> {
    /// Adds the layers of [`Stack::standard`] inside those added so far.
    ///
    /// ```
    /// # use milena_core::{Error, ProducerRecord, RecordMetadata, Routes, Text};
    /// use milena_middleware::{DeadLetterLayer, Stack};
    /// # let producer = tower::service_fn(|letter: ProducerRecord| async move {
    /// #     let (topic, partition) = (letter.topic, 0.into());
    /// #     Ok::<_, Error>(RecordMetadata { topic, partition, offset: None, timestamp: None })
    /// # });
    ///
    /// let stack = Stack::new()
    ///     .layer(DeadLetterLayer::new("orders.dead", producer))
    ///     .with_standard()
    ///     .handler(async |Text(order): Text| println!("billing {order}"));
    /// stack.check()?;
    /// # Ok::<_, milena_core::Error>(())
    /// ```
    pub fn with_standard(self) -> Stack<StandardLayers<L>, T> {
        self.layer(LogLayer::new())
            .layer(RetryLayer::new(Backoff::default()))
            .layer(MetricsLayer::new())
            .layer(TimeoutLayer::new(Duration::from_secs(30)))
            .layer(RecoveryLayer::new())
    }
}

/// The plain chain that programs on other frameworks have. Recovery is outermost, then a log line,
/// then retry.
///
/// In this order a panic is caught and not retried, because retry is inside recovery. A warning in
/// the log says so when the chain is run. [`Stack::standard`] retries panics and ends attempts that
/// hang.
///
/// ```
/// use milena_core::{Backoff, Routes, Text};
/// use milena_middleware::{Chain, RetryLayer};
///
/// let chain = Chain::new(RetryLayer::new(Backoff::default()))
///     .handler(async |Text(order): Text| println!("billing {order}"));
/// chain.check()?;
/// assert!(chain.explain().contains("warning: the recovery layer stands outside the retry layer"));
/// # Ok::<_, milena_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain;

impl Chain {
    /// Creates a stack of recovery, log and retry, outermost first.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a chain is a stack with these layers"
    )]
    pub fn new(retry: RetryLayer) -> Stack<ChainLayers> {
        Stack::chain()
            .layer(RecoveryLayer::new())
            .layer(LogLayer::new())
            .layer(retry)
    }
}
