//! The membership of a client in a health, with the observer and the figures of that client.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Event, Gauges, Observer};

use crate::clients::ClientId;
use crate::health::Health;

/// A client's membership in a [`Health`], made by [`Health::join`]. A clone is the same membership,
/// which ends when the last clone is dropped.
///
/// Each has an [observer](Self::observer) and figures of its own, so brokers and groups of the same
/// name are separated by their clusters.
#[derive(Clone)]
pub struct Joined(Arc<Part>);

/// The membership that all clones of [`Joined`] share. Its drop takes the client off the list.
struct Part {
    /// The observed client. Observers may keep it alive for longer than the membership.
    client: Arc<ObservedClient>,
}

/// A client whose events and figures are observed. It is forgotten once the membership and all
/// observers are dropped.
struct ObservedClient {
    /// The health that it has joined.
    health: Health,
    /// The client's number in `health`.
    id: ClientId,
    /// True once the client was closed. Set by [`Joined::close`].
    is_closed: AtomicBool,
}

impl Health {
    /// Joins as one of several clients. The health shuts down when the last of them closes. A
    /// client that was built with this health joins by itself.
    #[must_use = "dropped, it takes no part any more"]
    pub fn join(&self) -> Joined {
        Joined::new(self)
    }
}

impl Joined {
    /// Reads these gauges as this client's, until they are gone.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        let client = &self.0.client;
        client.health.watch_as(client.id, gauges);
    }

    /// Returns the observer of this client's events. It may outlive the membership, as consumers
    /// outlive the handle they were made from.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0.client) as Arc<dyn Observer>
    }

    /// Marks the client as closing. Once every joined client that is still there has closed, the
    /// health is as after [`Health::shut_down`], until another client joins.
    pub fn close(&self) {
        let client = &self.0.client;
        if !client.is_closed.swap(true, Ordering::AcqRel) {
            client.health.clients().close(client.id);
        }
    }

    /// Joins a new client to `health`.
    fn new(health: &Health) -> Self {
        let id = health.clients().join();
        Self(Arc::new(Part {
            client: Arc::new(ObservedClient {
                health: health.clone(),
                id,
                is_closed: AtomicBool::new(false),
            }),
        }))
    }
}

impl Observer for ObservedClient {
    fn on(&self, event: &Event<'_>) {
        self.health.note(self.id, event);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.client.health.clients().leave(self.client.id);
    }
}

impl Drop for ObservedClient {
    fn drop(&mut self) {
        self.health.forget(self.id, *self.is_closed.get_mut());
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("id", &self.0.client.id)
            .field("is_closed", &self.0.client.is_closed)
            .finish_non_exhaustive()
    }
}
