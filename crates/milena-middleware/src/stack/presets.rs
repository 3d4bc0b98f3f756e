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

/// The layers of [`Stack::standard`], inside of those of `L`.
pub type StandardLayers<L = Identity> = Nested<
    RecoveryLayer,
    Nested<TimeoutLayer, Nested<MetricsLayer, Nested<RetryLayer, Nested<LogLayer, L>>>>,
>;

/// The layers of a [`Chain`].
pub type ChainLayers = Nested<RetryLayer, Nested<LogLayer, Nested<RecoveryLayer, Identity>>>;

impl Stack {
    /// What nearly every handler wants, outermost first: a line in the log for each record that ended, five attempts with a backoff from
    /// 100 ms to 1 s, each of them counted for metrics, 30 s for each attempt, and panics as errors.
    ///
    /// For dead letters put that layer outside, by [`with_standard`](Stack::with_standard); for a breaker or a limit, build the order
    /// yourself.
    ///
    /// ```
    /// use milena_core::{Routes, Text};
    /// use milena_middleware::Stack;
    ///
    /// let stack = Stack::standard().handler(async |Text(order): Text| println!("billing {order}"));
    /// stack.check()?;
    /// println!("{}", stack.explain());
    /// # Ok::<_, milena_core::Error>(())
    /// ```
    pub fn standard() -> Stack<StandardLayers> {
        Self::new().with_standard()
    }
}

impl<L, T> Stack<L, T> {
    /// Puts the layers of [`Stack::standard`] inside of those so far.
    ///
    /// ```
    /// # use milena_core::{Error, ProducerRecord, RecordMetadata, Routes, Text};
    /// use milena_middleware::{DeadLetterLayer, Stack};
    /// # let producer = tower::service_fn(|letter: ProducerRecord| async move {
    /// #     Ok::<_, Error>(RecordMetadata { topic: letter.topic, partition: 0.into(), offset: None, timestamp: None })
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

/// The plain chain that programs on other frameworks have: recovery outside, then a line in the log, then retry.
///
/// In this order a panic is caught and not tried again, since retry stands inside of recovery: that is warned about when it is run, and
/// not refused. [`Stack::standard`] tries panics again, and ends attempts that hang.
///
/// ```
/// use milena_core::{Backoff, Routes, Text};
/// use milena_middleware::{Chain, RetryLayer};
///
/// let chain = Chain::new(RetryLayer::new(Backoff::default())).handler(async |Text(order): Text| println!("billing {order}"));
/// chain.check()?;
/// assert!(chain.explain().contains("warning: the recovery layer stands outside the retry layer"));
/// # Ok::<_, milena_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain;

impl Chain {
    /// Recovery, log and retry, outermost first.
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
