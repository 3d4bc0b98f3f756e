//! The clients that share a health: each is a part of its own, and it is stopping once the last of them closes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Event, Gauges, Observer};
use parking_lot::Mutex;

use crate::Health;

/// A client's part in a [`Health`], made by [`Health::join`]. A clone is the same part; the last one dropped takes it out.
///
/// Each has an [observer](Self::observer) and figures of its own, so that brokers and groups of the same name are told apart by their
/// clusters.
#[derive(Clone)]
pub struct Joined(Arc<Part>);

struct Part {
    client: Arc<Watched>,
}

/// A client whose events and figures are looked at; forgotten with the last of those who tell them.
struct Watched {
    health: Health,
    id: ClientId,
    is_closed: AtomicBool,
}

/// Which client's something is; the first is that of events and figures that come by no client's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(u64);

impl Joined {
    /// Looks at these figures as this client's, until they are gone.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        let client = &self.0.client;
        client.health.watch_as(client.id, gauges);
    }

    /// The observer of this client's events. It may outlive the part, as consumers outlive the handle that they were made by.
    #[must_use]
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.0.client) as Arc<dyn Observer>
    }

    /// The client is closing. Once the last one does that has joined and is still there, the health is as after
    /// [`Health::shut_down`], until another joins.
    pub fn close(&self) {
        let client = &self.0.client;
        if !client.is_closed.swap(true, Ordering::AcqRel) {
            client.health.clients().close(client.id);
        }
    }

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

/// The clients that take part, and whether the last of them has closed.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    /// Whether each has closed.
    closed: BTreeMap<ClientId, bool>,
    latest: u64,
    last_closed: bool,
}

impl Clients {
    fn join(&self) -> ClientId {
        let mut list = self.0.lock();
        list.latest += 1;
        let id = ClientId(list.latest);
        list.closed.insert(id, false);
        list.last_closed = false;
        id
    }

    fn close(&self, id: ClientId) {
        let mut list = self.0.lock();
        list.closed.insert(id, true);
        list.last_closed = list.closed.values().all(|closed| *closed);
    }

    fn leave(&self, id: ClientId) {
        let mut list = self.0.lock();
        let closed = list.closed.remove(&id).unwrap_or_default();
        // One that was dropped without being closed is no shutdown of the program.
        if !closed && list.closed.values().all(|closed| *closed) {
            list.last_closed = false;
        }
    }

    pub(crate) fn last_closed(&self) -> bool {
        self.0.lock().last_closed
    }

    /// Those that take part and have not closed.
    pub(crate) fn open(&self) -> Vec<ClientId> {
        let list = self.0.lock();
        let open = list.closed.iter().filter(|(_, closed)| !**closed);
        open.map(|(id, _)| *id).collect()
    }
}
