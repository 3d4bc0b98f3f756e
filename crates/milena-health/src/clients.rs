//! The clients that share a health. The state of each is kept apart, and the health is stopping
//! once the last of them closes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Event, Gauges, Observer};
use parking_lot::Mutex;

use crate::Health;

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
    client: Arc<Watched>,
}

/// A client whose events and figures are observed. It is forgotten once the membership and all
/// observers are dropped.
struct Watched {
    /// The health that it has joined.
    health: Health,
    /// The client's number in `health`.
    id: ClientId,
    /// True once the client was closed. Set by [`Joined::close`].
    is_closed: AtomicBool,
}

/// The number of a client. 0, the default, stands for events and figures that no joined client
/// owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(u64);

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
    pub(crate) fn new(health: &Health) -> Self {
        let id = health.clients().join();
        Self(Arc::new(Part {
            client: Arc::new(Watched {
                health: health.clone(),
                id,
                is_closed: AtomicBool::new(false),
            }),
        }))
    }
}

impl Observer for Watched {
    fn on(&self, event: &Event<'_>) {
        self.health.note(self.id, event);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.client.health.clients().leave(self.client.id);
    }
}

impl Drop for Watched {
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

/// The clients that have joined, and the flag that the last of them has closed.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<List>);

/// The list behind the lock.
#[derive(Debug, Default)]
struct List {
    /// The joined clients. The value is true once the client has closed.
    closed: BTreeMap<ClientId, bool>,
    /// The number of the latest client. Only grows, so that numbers are not reused.
    latest: u64,
    /// True after all joined clients have closed. Set to false again when another one joins.
    last_closed: bool,
}

impl Clients {
    /// Adds a client.
    fn join(&self) -> ClientId {
        let mut list = self.0.lock();
        list.latest += 1;
        let id = ClientId(list.latest);
        list.closed.insert(id, false);
        list.last_closed = false;
        id
    }

    /// Marks a client as closed.
    fn close(&self, id: ClientId) {
        let mut list = self.0.lock();
        list.closed.insert(id, true);
        list.last_closed = list.closed.values().all(|closed| *closed);
    }

    /// Removes a client that was dropped.
    fn leave(&self, id: ClientId) {
        let mut list = self.0.lock();
        let closed = list.closed.remove(&id).unwrap_or_default();
        // A client that was dropped without being closed does not mean that the program shuts down.
        if !closed && list.closed.values().all(|closed| *closed) {
            list.last_closed = false;
        }
    }

    /// Returns true if the last client has closed and no other has joined since.
    pub(crate) fn last_closed(&self) -> bool {
        self.0.lock().last_closed
    }

    /// Returns the clients that have joined and not closed.
    pub(crate) fn open(&self) -> Vec<ClientId> {
        let list = self.0.lock();
        let open = list.closed.iter().filter(|(_, closed)| !**closed);
        open.map(|(id, _)| *id).collect()
    }
}
