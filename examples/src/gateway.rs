//! A payment gateway that behaves like the real ones: mostly well, at times flaky, and once down for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use milena::ProcessError;
use tokio::time::Instant;

use crate::order::Order;

/// Takes payments. Clones are one gateway.
#[derive(Clone, Debug, Default)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    paid: AtomicU64,
    retried: AtomicU64,
    outage: Option<Outage>,
    down_since: OnceLock<Instant>,
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
    /// A gateway that goes down once; the default one never does.
    #[must_use]
    pub fn with(outage: Outage) -> Self {
        Self(Arc::new(Inner {
            outage: Some(outage),
            ..Inner::default()
        }))
    }

    /// Charges for an order and gives the receipt. `attempt` counts from 1.
    ///
    /// # Errors
    /// Each 40th order fails on its first attempt; during the outage all fail.
    pub async fn charge(&self, order: &Order, attempt: u32) -> Result<String, ProcessError> {
        let unavailable = |why| Err(ProcessError::dependency("payments", why));
        if self.is_down() {
            return unavailable("connection refused");
        }
        if order.id % 40 == 13 && attempt == 1 {
            return unavailable("502 bad gateway");
        }
        self.0.paid.fetch_add(1, Ordering::Relaxed);
        self.0
            .retried
            .fetch_add(u64::from(attempt > 1), Ordering::Relaxed);
        let cents = order.cents * u64::from(order.quantity);
        Ok(format!("receipt-{}-{cents}", order.id))
    }

    /// How many orders were paid only after another attempt.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.retried.load(Ordering::Relaxed)
    }

    fn is_down(&self) -> bool {
        let Some(outage) = self.0.outage else {
            return false;
        };
        self.0.paid.load(Ordering::Relaxed) >= outage.after
            && self.0.down_since.get_or_init(Instant::now).elapsed() < outage.lasting
    }
}
