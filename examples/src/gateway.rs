//! A payment gateway that behaves like a real one. It mostly works, sometimes fails, and is down
//! once for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use milena::ProcessError;
use tokio::time::Instant;

use crate::order::Order;

/// A gateway that takes payments. Clones share its state.
#[derive(Clone, Debug, Default)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// The orders that were paid.
    paid: AtomicU64,
    /// The orders that were paid only after another attempt.
    retried: AtomicU64,
    /// The planned outage. `None` for none.
    outage: Option<Outage>,
    /// The time at which the outage began. Empty before it.
    down_since: OnceLock<Instant>,
}

/// A planned outage of the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The number of payments before the outage.
    pub after: u64,
    /// The length of the outage.
    pub lasting: Duration,
}

impl Gateway {
    /// Creates a gateway that goes down once. The default gateway never does.
    #[must_use]
    pub fn with(outage: Outage) -> Self {
        Self(Arc::new(Inner {
            outage: Some(outage),
            ..Inner::default()
        }))
    }

    /// Charges for an order and returns the receipt. `attempt` counts from 1.
    ///
    /// # Errors
    /// One order in 40 fails on its first attempt. During the outage all orders fail.
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

    /// Returns the number of orders that were paid only after another attempt.
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
