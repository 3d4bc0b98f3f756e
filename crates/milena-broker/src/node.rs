//! One broker of the cluster, with its address, its state and its fetch sessions.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Address, CancelToken};
use parking_lot::{Mutex, RwLock};

use crate::session::Sessions;

/// A broker. It outlives going down and coming back.
#[derive(Debug)]
pub(crate) struct Node {
    /// The node id, from 1.
    pub(crate) id: i32,
    /// The rack. `None` without one.
    pub(crate) rack: Option<String>,
    /// The address that clients get. Only [`advertise`](Self::advertise) changes it.
    advertised: RwLock<Address>,
    /// The socket address of the listener. `None` if it only serves connections in memory.
    listens_at: Option<SocketAddr>,
    /// True while it is up.
    up: AtomicBool,
    /// Ends the connections of the present run. Replaced when the broker comes back, or when its
    /// connections are cut.
    run: Mutex<CancelToken>,
    /// The fetch sessions. Cleared when it goes down.
    pub(crate) sessions: Mutex<Sessions>,
}

impl Node {
    pub(crate) fn new(
        id: i32,
        advertised: Address,
        stop: &CancelToken,
        max_sessions: usize,
    ) -> Self {
        Self {
            id,
            rack: None,
            listens_at: None,
            advertised: RwLock::new(advertised),
            up: AtomicBool::new(true),
            run: Mutex::new(stop.child()),
            sessions: Mutex::new(Sessions::new(max_sessions)),
        }
    }

    /// Puts it into this rack.
    pub(crate) fn racked(mut self, rack: Option<&String>) -> Self {
        self.rack = rack.cloned();
        self
    }

    /// Lets it listen at this socket address too.
    pub(crate) fn listening(mut self, at: SocketAddr) -> Self {
        self.listens_at = Some(at);
        self
    }

    /// Returns the address of its listener, or `None` if it only serves connections in memory.
    pub(crate) fn listens_at(&self) -> Option<SocketAddr> {
        self.listens_at
    }

    /// Returns the address that clients get.
    pub(crate) fn address(&self) -> Address {
        self.advertised.read().clone()
    }

    /// Changes the address that clients get.
    pub(crate) fn advertise(&self, address: Address) {
        *self.advertised.write() = address;
    }

    /// Returns true while it is up.
    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Returns the token that ends with the present run.
    pub(crate) fn run(&self) -> CancelToken {
        self.run.lock().clone()
    }

    /// Takes it down, which ends its connections and its listener. Returns true if it was up.
    pub(crate) fn stop(&self) -> bool {
        let was_up = self.up.swap(false, Ordering::AcqRel);
        self.run.lock().cancel();
        self.sessions.lock().clear();
        was_up
    }

    /// Brings it back. Returns true if it was down.
    pub(crate) fn start(&self, stop: &CancelToken) -> bool {
        let was_up = self.up.swap(true, Ordering::AcqRel);
        if !was_up {
            *self.run.lock() = stop.child();
        }
        !was_up
    }

    /// Ends all connections. The broker stays up.
    pub(crate) fn cut(&self, stop: &CancelToken) {
        let old = std::mem::replace(&mut *self.run.lock(), stop.child());
        old.cancel();
    }
}
