//! The clients that share a health. The health is stopping once the last of them closes.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The number of a client. 0, the default, stands for events and figures that no joined client
/// owns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(u64);

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
    pub(crate) fn join(&self) -> ClientId {
        let mut list = self.0.lock();
        list.latest += 1;
        let id = ClientId(list.latest);
        list.closed.insert(id, false);
        list.last_closed = false;
        id
    }

    /// Marks a client as closed.
    pub(crate) fn close(&self, id: ClientId) {
        let mut list = self.0.lock();
        list.closed.insert(id, true);
        list.last_closed = list.closed.values().all(|closed| *closed);
    }

    /// Removes a client that was dropped.
    pub(crate) fn leave(&self, id: ClientId) {
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
