//! A payment gateway that behaves like the real ones: mostly well, at times flaky, and once down for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena::ProcessError;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::order::Order;

/// Takes payments. Clones are one gateway.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: AtomicU64,
    paid: AtomicU64,
    outage: Option<Outage>,
    down_since: OnceCell<Instant>,
}

/// When the gateway goes down, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// After this many payments.
    pub after: u64,
    /// For this long.
    pub lasting: Duration,
}

impl Gateway {
    /// A gateway, with an outage or without.
    #[must_use]
    pub fn new(outage: Option<Outage>) -> Self {
        Self(Arc::new(Inner {
            calls: AtomicU64::new(0),
            paid: AtomicU64::new(0),
            outage,
            down_since: OnceCell::new(),
        }))
    }

    /// Charges for an order and gives the receipt. `attempt` counts from 1.
    ///
    /// # Errors
    /// Each 40th order fails on its first attempt; during the outage all fail.
    pub async fn charge(&self, order: &Order, attempt: u32) -> Result<String, ProcessError> {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_down().await {
            return Err(unavailable("connection refused"));
        }
        if order.id % 40 == 13 && attempt == 1 {
            return Err(unavailable("502 bad gateway"));
        }
        self.0.paid.fetch_add(1, Ordering::Relaxed);
        Ok(format!(
            "receipt-{}-{}",
            order.id,
            order.cents * u64::from(order.quantity)
        ))
    }

    /// How many calls it got, good and bad.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    async fn is_down(&self) -> bool {
        let Some(outage) = self.0.outage else {
            return false;
        };
        if self.0.paid.load(Ordering::Relaxed) < outage.after {
            return false;
        }
        let since = *self
            .0
            .down_since
            .get_or_init(|| async { Instant::now() })
            .await;
        since.elapsed() < outage.lasting
    }
}

fn unavailable(why: &'static str) -> ProcessError {
    ProcessError::dependency("payments", why)
}
