//! One token that all connections share, replaced before it expires.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::future::BoxFuture;
use milena_core::{Error, ErrorKind, Result, Timestamp, WallClock};
use parking_lot::Mutex as Lock;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::AbortHandle;

use super::bearer::BearerToken;
use super::provider::TokenProvider;
use super::refresh_plan::RefreshPlan;
use crate::secret::CredentialId;

/// A provider that keeps the token of another provider and replaces it in time.
///
/// Many connections that authenticate at once share one fetch. A token that is due is replaced in
/// the background, and the old one serves until then. A fetch that fails keeps the old token while
/// it is valid, and counts. The next one is tried when the next connection asks, at least 1 s
/// later.
///
/// A clone shares the token. The background fetch ends with the last clone.
#[derive(Clone)]
pub struct Refresher {
    /// The token and its provider. The fetch in the background shares it.
    shared: Arc<Shared>,
    /// The fetch in the background. Only the clones of the refresher share it.
    background: Arc<Background>,
}

/// The fetch in the background. The last one if it has ended, and `None` before the first. Dropping
/// it ends the fetch.
#[derive(Default)]
struct Background(Lock<Option<AbortHandle>>);

struct Shared {
    /// The provider that fetches.
    provider: Box<dyn TokenProvider>,
    /// The times at which tokens are replaced.
    plan: RefreshPlan,
    /// The time that one fetch has.
    deadline: Duration,
    /// The clock that lifetimes are compared with.
    clock: WallClock,
    /// The token and its times. `None` before the first fetch.
    held: Lock<Option<Held>>,
    /// Locked by the one who fetches.
    fetching: Arc<Mutex<()>>,
    /// Fetches that returned a token.
    fetched: AtomicU64,
    /// Fetches that failed.
    failed: AtomicU64,
}

struct Held {
    /// The newest token.
    token: BearerToken,
    /// The time at which it was fetched.
    fetched: Timestamp,
    /// The time from which on it is replaced. Moved on when a fetch fails.
    due: Timestamp,
}

impl Refresher {
    /// Creates a refresher over `provider`. Nothing is fetched before the first call.
    #[must_use]
    pub fn new(provider: impl TokenProvider) -> Self {
        Self::with(provider, RefreshPlan::default(), WallClock::default())
    }

    /// Creates a refresher with its own plan and clock.
    #[must_use]
    pub fn with(provider: impl TokenProvider, plan: RefreshPlan, clock: WallClock) -> Self {
        let shared = Arc::new(Shared {
            provider: Box::new(provider),
            plan,
            deadline: DEADLINE,
            clock,
            held: Lock::new(None),
            fetching: Arc::new(Mutex::new(())),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        Self {
            shared,
            background: Arc::default(),
        }
    }

    /// Returns the number of fetches that returned a token.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.shared.fetched.load(Ordering::Relaxed)
    }

    /// Returns the number of fetches that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    async fn get(&self) -> Result<BearerToken> {
        if let Some(token) = self.valid() {
            return Ok(token);
        }
        let guard = Arc::clone(&self.shared.fetching).lock_owned().await;
        // The one who held the lock before has most likely fetched it.
        if let Some(token) = self.shared.usable() {
            return Ok(token);
        }
        self.shared.fetch(guard).await
    }

    /// Returns the token while it is valid, and begins to replace it once it is due.
    fn valid(&self) -> Option<BearerToken> {
        let now = self.shared.clock.now();
        let (token, due) = {
            let held = self.shared.held.lock();
            let held = held.as_ref().filter(|held| held.token.expires() > now)?;
            (held.token.clone(), held.due <= now)
        };
        if due && let Ok(guard) = Arc::clone(&self.shared.fetching).try_lock_owned() {
            let shared = Arc::clone(&self.shared);
            let task = tokio::spawn(async move {
                // The failure was counted and told, and the old token serves on.
                let _ = shared.fetch(guard).await;
            });
            *self.background.0.lock() = Some(task.abort_handle());
        }
        Some(token)
    }
}

impl TokenProvider for Refresher {
    fn token(&self) -> BoxFuture<'_, Result<BearerToken>> {
        Box::pin(self.get())
    }

    /// Drops the token, so that the next call fetches another one.
    ///
    /// A token that is younger than [`RefreshPlan::least`] stays. A broker that refuses every token
    /// would otherwise have each connection ask the identity server.
    fn refused(&self, token: CredentialId) {
        let now = self.shared.clock.now();
        let mut held = self.shared.held.lock();
        // Another connection may have replaced it already.
        if held.as_ref().is_some_and(|held| {
            held.token.value().id() == token
                && now.since(held.fetched) >= self.shared.plan.shortest()
        }) {
            *held = None;
        }
    }
}

impl Shared {
    /// Returns the token if it has not expired.
    fn usable(&self) -> Option<BearerToken> {
        let now = self.clock.now();
        let held = self.held.lock();
        let held = held.as_ref().filter(|held| held.token.expires() > now)?;
        Some(held.token.clone())
    }

    /// Asks the provider, and keeps what it returns. `_fetching` shows that nobody else asks.
    async fn fetch(&self, _fetching: OwnedMutexGuard<()>) -> Result<BearerToken> {
        let asked = tokio::time::timeout(self.deadline, self.provider.token()).await;
        let answer = asked.unwrap_or_else(|_| {
            let text = format!(
                "the token provider did not answer within {} s",
                self.deadline.as_secs()
            );
            Err(Error::new(ErrorKind::Timeout, text))
        });
        let now = self.clock.now();
        let answer = answer.and_then(|token| checked(token, now));
        match &answer {
            Ok(token) => {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                let due = self.plan.due(now, token.expires(), fastrand::f64());
                *self.held.lock() = Some(Held {
                    token: token.clone(),
                    fetched: now,
                    due,
                });
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(error = %error, "a bearer token could not be fetched");
                if let Some(held) = &mut *self.held.lock() {
                    held.due = now.plus(AFTER_FAILURE);
                }
            }
        }
        answer
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(task) = self.0.lock().take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Refresher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Refresher({} fetched, {} failed)",
            self.fetched(),
            self.failed()
        )
    }
}

/// Refuses a token that cannot be used.
fn checked(token: BearerToken, now: Timestamp) -> Result<BearerToken> {
    let text = match (token.value().is_empty(), token.expires() <= now) {
        (true, _) => "the token provider returned an empty token",
        (false, true) => {
            "the token provider returned a token that is expired: compare the clocks of both sides"
        }
        (false, false) => return Ok(token),
    };
    Err(Error::new(ErrorKind::Security, text))
}

/// The time that one fetch has.
const DEADLINE: Duration = Duration::from_secs(30);
/// The shortest time between a failed fetch in the background and the next one.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
